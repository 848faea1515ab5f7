"""The denoiser: a U-Net that tells the picture and the noise in a noisy picture apart."""

import functools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models.gaussian import GaussianPictures
from models.levels import angle_of, shares_at
from models.unet import UNet

TARGETS = ("clean", "noise", "previous", "v")

HIDDEN = 0.1
"""Of the standard deviation of what is seen, the picture's part below which it counts as hidden in the noise."""


@dataclass(frozen=True)
class DenoiserShape:
    """Everything that decides the network's tensors, and what they mean.

    Attributes:
        size: S, pixels of a picture's side.
        channels: C, 3 or 1.
        a: shares of the picture in the steps 1 … K of the ladder.
        b: shares of the noise there.
        target: what is predicted, one of `TARGETS`.
        width: channels of the finest scale; the next scales have twice, three times, … as many.
        num_scales: scales of the U-Net.
        num_blocks: residual blocks per scale, down and up each.
        patch: the finest scale works on patches of `patch × patch` pixels.
        num_directions: R, principal directions kept of the training pictures.
        corruption: of the triplets it learned from, one of `shards.corruption.CORRUPTIONS`.
        is_between: whether it learned the levels between the ladder's steps too.
        has_words: whether it is told captions.
        is_last: whether it learned the last step of the ladder alone.
        is_told: whether it is told the step.
    """

    size: int
    channels: int
    a: tuple[float, ...]
    b: tuple[float, ...]
    target: str
    width: int
    num_scales: int
    num_blocks: int
    patch: int
    num_directions: int
    corruption: str = "gaussian"
    is_between: bool = False
    has_words: bool = False
    is_last: bool = False
    is_told: bool = True


class Denoiser(nn.Module):
    """Told the step, it splits a noisy picture `y = a x + b n` into picture `x` and noise `n`.

    What it predicts is a mixture of the two, `t = α x + β n`, which the target names: the picture (α = 1, β = 0), the
    noise (0, 1), the picture one step cleaner (the a and b of the step below), or the velocity v, at right angles to y.
    As y is known, each of the four tells x and n.
    """

    a: Tensor
    b: Tensor
    mean: Tensor
    spread: Tensor
    directions: Tensor
    variances: Tensor

    def __init__(self, shape: DenoiserShape) -> None:
        super().__init__()
        self.shape = shape
        self.precision = torch.float32  # in which the U-Net computes; its weights and everything around it are float32
        self.num_steps = len(shape.a)
        S, C, R = shape.size, shape.channels, shape.num_directions
        self.register_buffer("a", torch.tensor([1.0, *shape.a]))  # (K + 1,): step 0 is the clean picture
        self.register_buffer("b", torch.tensor([0.0, *shape.b]))
        self.register_buffer("mean", torch.zeros(C, S, S))
        self.register_buffer("spread", torch.ones(()))
        self.register_buffer("directions", torch.zeros(R, C * S * S))
        self.register_buffer("variances", torch.zeros(R))
        widths = [shape.width * (scale + 1) for scale in range(shape.num_scales)]
        self.unet = UNet(C, widths, shape.num_blocks, shape.patch, shape.has_words)

    def know(self, pictures: GaussianPictures) -> None:
        """Take over what the training pictures are like as a whole."""
        self.mean.copy_(pictures.mean)
        self.spread.fill_(pictures.spread)
        self.directions.copy_(pictures.directions)
        self.variances.copy_(pictures.variances)

    @property
    def pictures(self) -> GaussianPictures:
        """The training pictures, seen as a Gaussian."""
        return GaussianPictures(self.mean, self.directions, self.variances, float(self.spread))

    @functools.cached_property
    def flops_per_picture(self) -> float:
        """The floating-point operations that training takes for a picture: forward, and twice as many back.

        Source: Chowdhery et al. 2022, "PaLM" (arXiv:2204.02311), appendix B; those forward are counted by torch.
        """
        S, C = self.shape.size, self.shape.channels
        step = torch.ones(1, dtype=torch.float64, device=self.a.device)
        with torch.no_grad(), FlopCounterMode(display=False) as counted:
            self.tell(torch.zeros(1, C, S, S, device=self.a.device), step)
        return float(3 * counted.get_total_flops())

    def shares(self, step: Tensor) -> tuple[Tensor, Tensor]:
        """Return the shares a and b at steps (B,) in 0..K, which may have fractions; (B, 1, 1, 1) each."""
        a, b = shares_at(self.a, self.b, step)
        return a[:, None, None, None], b[:, None, None, None]

    def factors(self, step: float) -> tuple[float, float]:
        """Return the shares (a, b) of picture and noise at one step in 0..K."""
        a, b = shares_at(self.a, self.b, torch.tensor([step], dtype=torch.float64, device=self.a.device))
        return float(a), float(b)

    def mixture(self, step: Tensor) -> tuple[Tensor, Tensor]:
        """Return the shares (α, β) of picture and noise in what is predicted at steps (B,); (B, 1, 1, 1) each.

        Where next to nothing is left of the picture, as at step K, to tell the noise is to repeat what one sees; there
        a model of the noise predicts the picture.
        """
        a, b = self.shares(step)
        zero, one = torch.zeros_like(a), torch.ones_like(a)
        rho = (a**2 * self.spread**2 + b**2).sqrt()
        match self.shape.target:
            case "clean":
                return one, zero
            case "noise":
                is_seen = a * self.spread > HIDDEN * rho
                return torch.where(is_seen, zero, one), torch.where(is_seen, one, zero)
            case "previous":
                return self.shares((step - 1).clamp(min=0))
            case _:
                return -b / (rho * self.spread), a * self.spread / rho

    def tell(self, noisy: Tensor, step: Tensor, words: Tensor | None = None) -> Tensor:
        """Return what is predicted, t = α x + β n, in noisy pictures (B, C, S, S) at steps (B,); of their shape.

        The U-Net sees unit variance and puts out unit variance, whatever the step: from what it is given, the best
        straight-line guess is taken first, and only what that leaves is the network's to say. With s the spread of the
        pictures about their mean μ, and ρ² = a² s² + b² the variance of y about a μ,

            t = α μ + (a α s² + b β) / ρ² · (y − a μ) + s (α b − β a) / ρ · U-Net((y − a μ) / ρ)

        One that is not told the step gets y − μ, and its picture is taken as it is: t = x = μ + s · U-Net(y − μ).

        Source: Karras et al. 2022, "Elucidating the design space of diffusion-based generative models"
        (arXiv:2206.00364), equation 7 and appendix B.6, with a picture's share a and a mixture of x and n as target.

        Args:
            noisy: y.
            step: float64 or int64, in 0..K.
            words: of the captions, (B, MAX_WORDS); see `models.captions`.
        """
        (a, b), (alpha, beta), s = self.shares(step), self.mixture(step), self.spread
        rho = (a**2 * s**2 + b**2).sqrt()
        if not self.shape.is_told:
            return self.mean + s * self._run(noisy - self.mean, torch.zeros_like(a), words)
        centred = noisy - a * self.mean
        out = self._run(centred / rho, angle_of(a, b, s), words)
        straight = alpha * self.mean + (a * alpha * s**2 + b * beta) / rho**2 * centred
        return straight + s * (alpha * b - beta * a) / rho * out

    def _run(self, x: Tensor, angle: Tensor, words: Tensor | None) -> Tensor:
        """Return what the U-Net makes of x (B, C, S, S), told angles (B, 1, 1, 1); computed in `precision`."""
        with torch.autocast(x.device.type, self.precision, enabled=self.precision != torch.float32):
            return self.unet(x, angle.flatten(), words).float()  # type: ignore[no-any-return]

    def tell_apart(self, noisy: Tensor, told: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """Return picture and noise, both (B, C, S, S): of y = a x + b n and t = α x + β n, both are known but x and n.

        Where the noise is predicted (α = 0, β = 1) the picture is x = (y − b t) / a: subtract what you predict.
        """
        (a, b), (alpha, beta) = self.shares(step), self.mixture(step)
        clean = (beta * noisy - b * told) / (a * beta - b * alpha)
        noise = (a * told - alpha * noisy) / (a * beta - b * alpha)
        return clean, noise

    def predict(self, noisy: Tensor, step: Tensor, words: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the clean picture and the noise, both (B, C, S, S), in noisy pictures of that shape at steps (B,)."""
        return self.tell_apart(noisy, self.tell(noisy, step, words), step)


def squared_error(
    model: Denoiser, clean: Tensor, noise: Tensor, noisy: Tensor, step: Tensor, words: Tensor | None = None
) -> Tensor:
    """Return each sample's mean squared error (B,) in what the model predicts: |t̂ − t|², per value.

    It is the negative log likelihood under a Gaussian of fixed width, but for a constant and a factor: see the head of
    `models.denoiser`.

    Args:
        model: the denoiser.
        clean: (B, C, S, S), x.
        noise: (B, C, S, S), n.
        noisy: (B, C, S, S), a x + b n.
        step: (B,) in 0..K.
        words: of the captions, (B, MAX_WORDS).
    """
    alpha, beta = model.mixture(step)
    told = model.tell(noisy, step, words)
    return (told - (alpha * clean + beta * noise)).square().mean(dim=(1, 2, 3))

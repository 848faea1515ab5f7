"""The denoiser: a U-Net that tells the picture and the noise in a noisy picture apart."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.gaussian import GaussianPictures
from models.unet import UNet

TARGETS = ("clean", "noise")


@dataclass(frozen=True)
class DenoiserShape:
    """Everything that decides the network's tensors.

    Attributes:
        size: S, pixels of a picture's side.
        channels: C, 3 or 1.
        a: shares of the picture in the steps 1 … K of the ladder.
        b: shares of the noise there.
        target: what the network puts out, one of `TARGETS`; at step K always the clean picture.
        width: channels of the finest scale; the next scales have twice, three times, … as many.
        num_scales: scales of the U-Net.
        num_blocks: residual blocks per scale, down and up each.
        patch: the finest scale works on patches of `patch × patch` pixels.
        num_directions: R, principal directions kept of the training pictures.
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


class Denoiser(nn.Module):
    """Told the step, it splits a noisy picture `a x + b n` into picture `x` and noise `n`.

    Of a picture and its noise one follows from the other; the network puts out the one that `target` names. Step K is
    pure noise, where to tell the noise says nothing, so there it puts out the clean picture whatever the target.
    Pictures are measured from the mean training picture, in units of how far they usually are from it.
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
        self.unet = UNet(C, widths, shape.num_blocks, shape.patch, self.num_steps)

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

    def start(self, static: Tensor) -> Tensor:
        """Return where growing begins: static (B, C, S, S) as wide as at step K, on what is left there of a picture."""
        a, b = self.factors(self.num_steps)
        return a * self.mean + b * static

    def factors(self, step: int) -> tuple[float, float]:
        """Return the shares (a, b) of picture and noise at a step in 0..K."""
        return float(self.a[step]), float(self.b[step])

    def predict(self, noisy: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """Return the clean picture and the noise, both (B, C, S, S), in noisy pictures of that shape at steps (B,)."""
        a, b = self.a[step, None, None, None], self.b[step, None, None, None]
        with torch.autocast(noisy.device.type, self.precision, enabled=self.precision != torch.float32):
            out = self.unet(noisy - a * self.mean, step).float()
        clean = self.mean + self.spread * out
        if self.shape.target == "noise":
            is_last = (step == self.num_steps)[:, None, None, None]
            clean = torch.where(is_last, clean, (noisy - b * out) / a.clamp_min(1e-3))
        return clean, (noisy - a * clean) / b


def squared_error(model: Denoiser, clean: Tensor, noise: Tensor, noisy: Tensor, step: Tensor) -> Tensor:
    """Return each sample's mean squared error (B,) in what the model is to tell: `|x̂ − x|²` or `|n̂ − n|²`.

    Source: the two simplest losses of Salimans and Ho 2022, "Progressive distillation for fast sampling of diffusion
    models" (arXiv:2202.00512), section 4.

    Args:
        model: the denoiser.
        clean: (B, C, S, S), x.
        noise: (B, C, S, S), n.
        noisy: (B, C, S, S), `a x + b n`.
        step: (B,) in 1..K; at K the picture counts, whatever the target.
    """
    clean_hat, noise_hat = model.predict(noisy, step)
    error = (clean_hat - clean).square().mean(dim=(1, 2, 3))
    if model.shape.target == "clean":
        return error
    noise_error = (noise_hat - noise).square().mean(dim=(1, 2, 3))
    return torch.where(step == model.num_steps, error, noise_error)

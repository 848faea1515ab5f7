"""Pictures seen as a Gaussian: their mean, and the directions in which they differ most.

At the end of the ladder a denoiser can only predict the mean picture, and a sampler that starts from there grows the
same grey tree out of every static. In a Gaussian the whole path is known in closed form, so the first step, where
pictures are hardly anything more, can be taken exactly and keeps how they differ.

Source: Wang and Vastola 2024, "The unreasonable effectiveness of Gaussian score approximation for diffusion models and
its applications", TMLR (arXiv:2412.09726), section on analytical teleportation.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class GaussianPictures:
    """The mean and the leading principal directions of a set of pictures.

    Attributes:
        mean: (C, S, S), in (−1, 1).
        directions: (R, C·S·S), orthonormal rows, the widest first.
        variances: (R,) variance of the pictures along each direction.
        spread: root mean square distance of a pixel from the mean picture.
    """

    mean: Tensor
    directions: Tensor
    variances: Tensor
    spread: float

    def first_step(self, static: Tensor, clean: Tensor, a: float, b: float) -> Tensor:
        """Carry pure static one step back along the exact path for these Gaussian pictures.

        `a · clean + (a² Σ + b²)^½ static`: along every direction the static is widened to what pictures and noise
        together measure there.

        Args:
            static: (B, C, S, S), standard normal.
            clean: the clean picture predicted from it, same shape.
            a: the share of the picture at the step arrived at.
            b: the share of the noise there.

        Returns:
            (B, C, S, S), the noisy picture at that step.
        """
        along = static.flatten(1) @ self.directions.T  # (B, R)
        widening = (a * a * self.variances + b * b).sqrt() - b
        return a * clean + b * static + ((along * widening) @ self.directions).view_as(static)

    def draw(self, static: Tensor) -> Tensor:
        """Return pictures drawn from this Gaussian with the chance in standard normal static; (B, C, S, S) both."""
        along = static.flatten(1) @ self.directions.T  # (B, R)
        return self.mean + ((along * self.variances.sqrt()) @ self.directions).view_as(static)

    def draw_around(self, static: Tensor, picture: Tensor, is_kept: Tensor) -> Tensor:
        """Return pictures drawn from this Gaussian as it is once some pixels of a picture are known; (B, C, S, S).

        With directions D and variances Λ, a picture is μ + Dᵀc, c ~ N(0, Λ), and what D leaves out of it, of variance
        τ² a value. Knowing the values k of some pixels, whose columns are D_k, c has the precision
        P = Λ⁻¹ + D_k D_kᵀ / τ² and the mean P⁻¹ D_k (k − μ_k) / τ².

        Source: Bishop 2006, "Pattern Recognition and Machine Learning", equations 2.116 and 2.117.

        Args:
            static: (B, C, S, S), standard normal: the chance.
            picture: (1, C, S, S).
            is_kept: which pixels of it are known, bool (1, 1, S, S).
        """
        kept = is_kept.expand_as(picture).flatten(1).to(picture)
        known = self.directions * kept
        left = (self.spread**2 - self.variances.sum() / self.mean.numel()).clamp_min(1e-4)
        precision = torch.diag(1 / self.variances) + known @ known.T / left
        root = torch.linalg.cholesky(precision)
        pull = known @ (picture - self.mean).flatten(1).T / left  # (R, 1)
        along = self.directions @ static.flatten(1).T  # (R, B)
        c = torch.cholesky_solve(pull, root) + torch.linalg.solve_triangular(root.T, along, upper=True)
        return self.mean + torch.mm(c.T, self.directions).view_as(static)


def fit_gaussian(pictures: Tensor, num_directions: int) -> GaussianPictures:
    """Return the mean and the principal directions of pictures (N, C, S, S), at most N − 1 of them."""
    mean = pictures.mean(dim=0)
    centred = (pictures - mean).flatten(1)
    # The small Gram matrix (N, N) has the same eigenvalues as the covariance, which would be (C·S·S, C·S·S).
    eigenvalues, weights = torch.linalg.eigh((centred @ centred.T).double())
    eigenvalues, weights = eigenvalues.flip(0), weights.flip(1)
    rank = min(num_directions, int((eigenvalues > 1e-6 * eigenvalues[0].clamp_min(1e-6)).sum()))
    eigenvalues, weights = eigenvalues[:rank], weights[:, :rank]
    directions = (weights / eigenvalues.sqrt()).T.float() @ centred
    spread = float(centred.square().mean().sqrt().clamp_min(1e-3))
    return GaussianPictures(mean, directions, (eigenvalues / len(pictures)).float(), spread)

"""An idea: a classifier knows what a tree is, so run it in reverse. From static, climb until it is sure of a tree.

The log odds of "tree" are z = w·f(x) + b, with the features f of a network. The gradient of z by the pixels tells how
to change the picture so that it is more of a tree, for this classifier; a step along it, of one length whatever the
gradient's, and again, until z is high enough.

It is sure long before there is anything to see: what tells trees from other photographs need not be what trees look
like, and no one ever showed it what is neither.

Source: Simonyan et al. 2014, "Deep inside convolutional networks" (arXiv:1312.6034), section 2; that a change too small
to see suffices, Szegedy et al. 2014 (arXiv:1312.6199).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from models.efficientnet import load_network
from models.heads import Head
from models.runs import RunError

SURE = 7.0
"""Log odds at which the climb ends: one in a thousand that it is no tree."""

STEP = 0.01
"""Length of a step, as the root mean square change of a value, in (−1, 1): one grey level."""

MAX_STEPS = 60
SIDE = 64
"""Side in pixels that the network is shown pictures at: enough for small ones, and a twelfth of the work of 224."""

TOGETHER = 32
"""Pictures that climb together."""

LogOdds = Callable[[Tensor], Tensor]
"""Values (B, C, S, S) to log odds (B,)."""


def log_odds_of(head: Head) -> LogOdds:
    """Return the log odds of a trained head as a function that has a gradient.

    Raises:
        RunError: it tells texts apart, or the network's weights are not installed.
    """
    if head.features == "ngrams":
        raise RunError("--head: trained on texts; give one trained on pictures")
    w = torch.from_numpy(head.weights.copy())
    if head.features == "pixels":
        return lambda x: _enlarged(x, head.side).add(1).div(2).permute(0, 2, 3, 1).flatten(1) @ w + head.bias
    network = load_network().requires_grad_(False)
    return lambda x: network(_enlarged(x, min(SIDE, head.side))) @ w + head.bias


def _enlarged(x: Tensor, side: int) -> Tensor:
    colours = x.expand(-1, 3, -1, -1)
    return F.interpolate(colours, (side, side), mode="bilinear", align_corners=False)


def climb(log_odds: LogOdds, static: Tensor) -> tuple[Tensor, Tensor]:
    """Return pictures that the classifier is sure of, and their log odds (B,), climbing from static (B, C, S, S).

    The static's values are cut to those that pixels have.
    """
    found = [_climb_together(log_odds, part.clamp(-1, 1)) for part in torch.split(static, TOGETHER)]
    return torch.cat([pictures for pictures, _ in found]), torch.cat([odds for _, odds in found])


def _climb_together(log_odds: LogOdds, x: Tensor) -> tuple[Tensor, Tensor]:
    z = torch.zeros(len(x))
    for _ in range(MAX_STEPS):
        x = x.detach().requires_grad_()
        z = log_odds(x)
        if bool((z > SURE).all()):
            break
        (slope,) = torch.autograd.grad(z.sum(), x)
        length = slope.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp_min(1e-12)
        is_climbing = (z <= SURE)[:, None, None, None]
        x = torch.where(is_climbing, x + STEP * slope / length, x).clamp(-1, 1)
    return x.detach(), z.detach()

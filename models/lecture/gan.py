"""An idea: two networks that compete. One draws pictures, the other tells drawn ones from real ones.

The judge D learns to put real pictures above 1 and drawn ones below −1, the draughtsman G to be put high:

    L_D = E max(0, 1 − D(x)) + E max(0, 1 + D(G(z)))        L_G = −E D(G(z)),        z standard normal

Neither loss falls as pictures get better: they only say who is ahead. A judge far ahead teaches nothing; a draughtsman
who found one tree that passes may draw that one only. What keeps the two in balance here is all well known: spectral
norms hold the judge's slope, its rate is four times that of the other, and both kinds of pictures are mirrored and
shifted by chance before it looks, so that it does not learn a few hundred pictures by heart.

Source: Goodfellow et al. 2014 (arXiv:1406.2661); Radford et al. 2016, "DCGAN" (arXiv:1511.06434), for the networks;
Miyato et al. 2018, "Spectral normalization" (arXiv:1802.05957), with the hinge loss; Heusel et al. 2017
(arXiv:1706.08500) for two rates; Zhao et al. 2020, "Differentiable augmentation" (arXiv:2006.10738).
"""

import copy
import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from models.averaging import take_in
from models.budget import Budget
from models.threads import Threads

NUM_CHANCES = 64
"""Length of z."""

WIDTH = 40
"""Channels of the finest scale: at 32 × 32 both networks together have 1.21 M parameters, the denoiser 1.07 M."""

BATCH_SIZE = 32
JUDGE_RATE, DRAW_RATE = 4e-4, 1e-4
"""Learning rates. Source: Zhang et al. 2019, "Self-attention GANs" (arXiv:1805.08318), section 4."""

BETAS = (0.0, 0.9)
REPORT_STEPS = 100


class Draughtsman(nn.Module):
    """z (B, 64) to pictures (B, C, S, S), in (−1, 1): a coarse grid, doubled and convolved until it is S wide."""

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        num_doublings = max(1, (size // 4).bit_length() - 1)
        self.size, self.side = size, -(-size // 2**num_doublings)
        widths = [WIDTH * min(4, 2**scale) for scale in range(num_doublings, -1, -1)]
        self.width = widths[0]
        self.first = nn.Linear(NUM_CHANCES, self.width * self.side**2)
        layers: list[nn.Module] = []
        for coarse, fine in itertools.pairwise(widths):
            layers += [nn.BatchNorm2d(coarse), nn.ReLU(), nn.Upsample(scale_factor=2)]
            layers += [nn.Conv2d(coarse, fine, 3, padding=1)]
        self.layers = nn.Sequential(*layers, nn.BatchNorm2d(WIDTH), nn.ReLU(), nn.Conv2d(WIDTH, channels, 3, padding=1))

    def forward(self, z: Tensor) -> Tensor:
        """Return pictures."""
        grid = self.first(z).view(len(z), self.width, self.side, self.side)
        drawn: Tensor = self.layers(grid)[..., : self.size, : self.size].tanh()
        return drawn


class Judge(nn.Module):
    """Pictures (B, C, S, S) to how real they look, (B,)."""

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        num_halvings = max(1, (size // 4).bit_length() - 1)
        widths = [WIDTH * min(4, 2**scale) for scale in range(num_halvings + 1)]
        layers: list[nn.Module] = [spectral_norm(nn.Conv2d(channels, WIDTH, 3, padding=1)), nn.LeakyReLU(0.1)]
        for fine, coarse in itertools.pairwise(widths):
            layers += [spectral_norm(nn.Conv2d(fine, coarse, 4, stride=2, padding=1)), nn.LeakyReLU(0.1)]
        self.layers = nn.Sequential(*layers)
        self.last = spectral_norm(nn.Linear(widths[-1] * (size // 2**num_halvings) ** 2, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return how real they look."""
        seen: Tensor = self.last(self.layers(pictures).flatten(1))
        return seen[:, 0]


@dataclass
class Competition:
    """What came of it.

    Attributes:
        draughtsman: with the average of the weights it passed through.
        num_parameters: of both networks.
        num_steps: of each.
    """

    draughtsman: Draughtsman
    num_parameters: int
    num_steps: int

    @torch.no_grad()
    def draw(self, count: int, seed: int) -> Tensor:
        """Return drawn pictures, (count, C, S, S)."""
        z = torch.randn(count, NUM_CHANCES, generator=torch.Generator().manual_seed(seed))
        drawn: Tensor = self.draughtsman(z.to(self.draughtsman.first.weight.device)).cpu()
        return drawn


def compete(pictures: Tensor, budget: Budget, seed: int) -> Competition:
    """Return what two networks come to that compete over pictures (N, C, S, S), on their device, until time is up."""
    torch.manual_seed(seed)
    _, C, S, _ = pictures.shape
    device = pictures.device
    draughtsman, judge = Draughtsman(S, C).to(device), Judge(S, C).to(device)
    average = copy.deepcopy(draughtsman)
    draws = torch.optim.Adam(draughtsman.parameters(), DRAW_RATE, BETAS)
    judges = torch.optim.Adam(judge.parameters(), JUDGE_RATE, BETAS)
    threads = None if budget.num_steps or device.type != "cpu" else Threads()
    while (fraction := budget.fraction()) < 1:
        real = pictures[torch.randint(len(pictures), (BATCH_SIZE,), device=device)]
        drawn = draughtsman(torch.randn(BATCH_SIZE, NUM_CHANCES, device=device))

        # The judge learns to tell them apart
        scores = judge(torch.cat([_moved(real), _moved(drawn.detach())]))
        judged = (F.relu(1 - scores[:BATCH_SIZE]) + F.relu(1 + scores[BATCH_SIZE:])).mean()
        _descend(judges, judged)

        # The draughtsman learns to be taken for real
        _descend(draws, -judge(_moved(drawn)).mean())
        budget.step += 1
        take_in(average, draughtsman, budget.step)
        if threads:
            threads.next_step()
        if budget.step % REPORT_STEPS == 0:
            print(f"step {budget.step:6d}  judge's loss {float(judged.detach()):.3f}  {fraction:4.0%}", flush=True)
    _settle(average)
    num_parameters = sum(p.numel() for network in (draughtsman, judge) for p in network.parameters())
    return Competition(average.eval(), num_parameters, budget.step)


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _moved(pictures: Tensor) -> Tensor:
    """Pictures, half of them mirrored, and all shifted a little by chance, the edges repeated."""
    S = pictures.shape[-1]
    most = max(1, S // 8)
    top, left = torch.randint(0, 2 * most + 1, (2,)).tolist()
    wider = F.pad(pictures, (most,) * 4, mode="replicate")[..., top : top + S, left : left + S]
    is_mirrored = (torch.rand(len(wider), device=wider.device) < 0.5)[:, None, None, None]
    return torch.where(is_mirrored, wider.flip(-1), wider)


@torch.no_grad()
def _settle(average: Draughtsman, num_batches: int = 20) -> None:
    """Count means and variances anew for the averaged weights: those of the weights they came from do not fit them.

    Source: Izmailov et al. 2018 (arXiv:1803.05407), section 3.2.
    """
    for module in average.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # counts the plain mean
    average.train()
    for _ in range(num_batches):
        average(torch.randn(BATCH_SIZE, NUM_CHANCES, device=average.first.weight.device))

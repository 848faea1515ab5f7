"""What training is whatever is trained: a run that begins, goes on or is done, and a step down a gradient."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from models.budget import Budget, learning_rate
from models.devices import enough_memory
from models.ranks import Ranks, joined
from models.runs import Interruption, RunFolder

Results = dict[str, Any]


class RunSettings(Protocol):
    """What a run needs to know before it begins."""

    @property
    def dataset(self) -> str:
        """Where the data lie."""

    @property
    def device(self) -> str:
        """The name of what it computes on."""

    @property
    def batch_size(self) -> int:
        """Samples per step, of all processes together."""


class StepSettings(Protocol):
    """How far a step goes."""

    @property
    def max_gradient(self) -> float:
        """Length that gradients are clipped to."""

    @property
    def learning_rate(self) -> float:
        """The highest learning rate."""

    @property
    def warmup_steps(self) -> int:
        """Steps over which it rises."""


def run_once(
    settings: RunSettings,
    run: RunFolder,
    config: Mapping[str, Any],
    train: Callable[[bool, Ranks, Interruption], Results],
) -> Results | None:
    """Return the results of a run, trained here unless it is done; None in all processes but the first.

    Args:
        settings: of the run.
        run: its folder.
        config: what the run is of; see `models.runs.configuration`.
        train: trains and returns the results, given whether a checkpoint is gone on from, the processes, and who asks
            for an end.

    Raises:
        RunError: memory ran out, or the folder is another run's.
        KeyboardInterrupt: somebody asked.
    """
    with joined(settings.device) as ranks, Interruption() as interruption:
        goes_on = ranks.from_first(run.start(config, settings.dataset) if ranks.is_first else False)
        results = run.results() if goes_on else None
        if results is None:
            with enough_memory(f"--batch-size {settings.batch_size}", ranks.device):
                results = train(goes_on, ranks, interruption)
        return results if ranks.is_first else None


def step_down(
    loss: Tensor,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    budget: Budget,
    fraction: float,
    settings: StepSettings,
    ranks: Ranks,
) -> Tensor:
    """Take one step down the gradient of a loss, the mean of all processes' gradients; return its length, ().

    Args:
        loss: of this process's share, ().
        model: whose parameters move.
        optimizer: moves them.
        budget: counts the step.
        fraction: of the budget that is used up, 0 to 1.
        settings: how far the step goes.
        ranks: the processes that train together.
    """
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    ranks.average_gradients(model.parameters())
    length = nn.utils.clip_grad_norm_(model.parameters(), settings.max_gradient)
    rate = learning_rate(fraction, budget.step, settings.learning_rate, settings.warmup_steps)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    budget.step += 1
    return length

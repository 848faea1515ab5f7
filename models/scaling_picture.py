"""Loss over parameters, data and time, with the curves that were fitted, as one picture."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.power_law import INTERVAL, Fit

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Point:
    """One training, and what it came to.

    Attributes:
        width: of the network, in channels.
        num_steps: of the optimiser.
        num_parameters: all that are learned, words in and out included.
        data: words or triplets seen, those seen again included.
        epochs: times the whole training split was seen.
        seconds: of training.
        loss: on what was held out.
    """

    width: int
    num_steps: int
    num_parameters: int
    data: int
    epochs: float
    seconds: float
    loss: float


@dataclass(frozen=True)
class Curves:
    """What was fitted to points.

    Attributes:
        columns: what the law by size knows: 0 of the parameters, 1 of the data.
        size: loss by parameters and data, of all points; None where they are too few.
        time: loss by seconds, of `fastest`; None where they are too few.
    """

    columns: tuple[int, ...]
    size: Fit | None
    time: Fit | None


def fastest(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other beats in as little time, the quickest first."""
    found: list[Point] = []
    for point in sorted(points, key=lambda point: (point.seconds, point.loss)):
        if not found or point.loss < found[-1].loss:
            found.append(point)
    return found


def draw_scaling(points: Sequence[Point], curves: Curves, unit: str, data: str) -> bytes:
    """Return a PNG of loss over parameters, data and time.

    Args:
        points: what was trained.
        curves: what was fitted to them.
        unit: of the loss.
        data: what the data are.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - takes 0.5 s, and only drawing needs it

    figure = Figure(figsize=(15, 5), dpi=110, layout="constrained")
    by_size, by_data, by_time = figure.subplots(1, 3, sharey=True)
    _draw_lines(by_size, points, curves, 0)
    _draw_lines(by_data, points, curves, 1)
    _draw_time(by_time, points, curves)
    epochs = max(point.epochs for point in points)
    again = f" (up to {epochs:.1f} times the same ones)" if epochs > 1 else ""
    by_size.set(xlabel="parameters", ylabel=f"loss held out: {unit}", title=_title(curves))
    by_data.set(xlabel=data + again, title=_floor("both", curves.size))
    by_time.set(xlabel="seconds of training", title=_floor("time", curves.time))
    losses = [point.loss for point in points]
    for axes in (by_size, by_data, by_time):
        _scale(axes, 0.93 * min(losses), 1.03 * max(losses))
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    return drawn.getvalue()


def _scale(axes: "Axes", lowest: float, highest: float) -> None:
    from matplotlib.ticker import MaxNLocator, NullLocator  # noqa: PLC0415 - as above

    axes.set(yscale="log", ylim=(lowest, highest))
    axes.title.set_fontsize(10)
    axes.yaxis.set_major_locator(MaxNLocator(8))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:.3g}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _draw_lines(axes: "Axes", points: Sequence[Point], curves: Curves, column: int) -> None:
    """Points over parameters or data, those alike in the other in one colour, and the law through each such group."""
    amounts = np.array([(point.num_parameters, point.data) for point in points], float)
    losses = np.array([point.loss for point in points])
    axes.set_xscale("log")
    for place, other in enumerate(np.unique(amounts[:, 1 - column])):
        group = amounts[:, 1 - column] == other
        label = f"{_short(other)} {('parameters', 'seen')[column == 0]}"
        axes.plot(amounts[group, column], losses[group], "o", color=f"C{place}", label=label)
        if curves.size is not None and column in curves.columns:
            both = np.full((100, 2), other)
            both[:, column] = _range(amounts[:, column])
            axes.plot(both[:, column], curves.size.law(both[:, list(curves.columns)]), color=f"C{place}", alpha=0.6)
    tried = np.unique(amounts[:, column])
    axes.set_xticks(tried, [_short(amount) for amount in tried])
    axes.set_xticks([], minor=True)


def _draw_time(axes: "Axes", points: Sequence[Point], curves: Curves) -> None:
    axes.set_xscale("log")
    for place, parameters in enumerate(sorted({point.num_parameters for point in points})):
        group = [point for point in points if point.num_parameters == parameters]
        label = f"{_short(parameters)} parameters"
        axes.plot(*_over_time(group), "o-", color=f"C{place}", alpha=0.7, label=label)
    axes.plot(*_over_time(fastest(points)), "ko", fillstyle="none", markersize=10, label="none better in less time")
    if curves.time is not None:
        x = _range(np.array([point.seconds for point in points]))
        axes.plot(
            x, curves.time.law(x[:, None]), "k--", label=f"fitted to them: t^({-curves.time.law.exponents[0]:.2f})"
        )


def _over_time(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    return [point.seconds for point in points], [point.loss for point in points]


def _title(curves: Curves) -> str:
    if curves.size is None:
        return "too few rungs for a law"
    off = np.expm1(np.abs(curves.size.residuals))
    return f"{len(off)} rungs (dots) and the fitted law (lines),\noff by {off.mean():.1%} on average"


def _floor(name: str, fit: Fit | None) -> str:
    if fit is None:
        return f"{name}: too few rungs for a law"
    low, high = fit.floor_interval
    share = f"{INTERVAL[0]:.0%} to {INTERVAL[1]:.0%} of refits"
    return f"the law, with {name} without end: {fit.law.floor:.3f}\n({low:.3f} … {high:.3f} in {share})"


def _short(amount: float) -> str:
    """An amount in three digits or so: 11.7k."""
    power = min(3, max(0, int(np.log10(amount) // 3)))
    return f"{amount / 1000**power:.4g}{('', 'k', 'M', 'G')[power]}"


def _range(seen: NDArray[np.float64]) -> NDArray[np.float64]:
    """A hundred amounts, from the least to twice the most."""
    return np.geomspace(seen.min(), 2 * seen.max(), 100)

"""The losses of a training run, drawn."""

import io
from collections.abc import Mapping

from models.runs import RunFolder

LOSSES = "loss.png"


def draw_losses(run: RunFolder, title: str, unit: str, beaten: Mapping[str, float]) -> None:
    """Draw the losses in a run's metrics as `loss.png`, beside what they must beat.

    Args:
        run: its folder; rows with `train` and `held_out` are drawn over `step`.
        title: above the curves.
        unit: of the losses.
        beaten: name and loss of each level to draw.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - takes 0.5 s, and only drawing needs it

    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for name, style in (("train", {"alpha": 0.5}), ("held_out", {"marker": "o", "markersize": 3})):
        rows = [row for row in run.metrics() if name in row]
        axes.plot([row["step"] for row in rows], [row[name] for row in rows], label=name.replace("_", " "), **style)
    for place, (name, level) in enumerate(beaten.items()):
        axes.axhline(level, linestyle="--", color=f"C{place + 2}", label=name)
    axes.set(title=title, xlabel="step", ylabel=unit)
    axes.legend()
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    run.write(LOSSES, drawn.getvalue())

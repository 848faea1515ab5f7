"""A table for the terminal: under a title, without a frame, as narrow as its columns."""

from rich import box
from rich.table import Table


def compact_table(title: str) -> Table:
    """An empty one."""
    return Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )

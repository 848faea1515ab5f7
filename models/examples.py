"""What a classifier learns from: a picture or a text, and whether it is of the topic."""

from collections.abc import Callable
from typing import NamedTuple

from PIL import Image


class Example(NamedTuple):
    """One example.

    Attributes:
        name: its path in the folder, with the line or row in a file of many.
        is_topic: whether it has the label that is the topic.
        digest: hex SHA-256 of the file, or of the line's text.
        text: what it says; "" of a picture.
        open: a picture, when it is asked for; None of a text.
        split: of a dataset that it stands in, where that has some held out; "" of all others.
    """

    name: str
    is_topic: bool
    digest: str
    text: str = ""
    open: Callable[[], Image.Image] | None = None
    split: str = ""

"""Which parts of documents share a window, where windows are not cut from one stream.

`best_fit` fills windows with whole documents; one that is longer than a window is split, never cropped. `document`
gives every document windows of its own. Both repeat a part's last token as the first of the next, so that it has the
one before it in its window, and is a next word once; but for a part that shares its window with another such part, and
does not open it: what it would repeat is left out, lest it were a next word twice.

Source: Ding et al. 2024, "Fewer Truncations Improve Language Modeling", section 3, for best-fit packing, which is
best-fit decreasing of bin packing (Johnson 1974).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Chunk(NamedTuple):
    """A part of a document.

    Attributes:
        document: the document's place among those that are packed.
        start: where the part begins in it, in tokens.
        length: how long it is, in tokens.
    """

    document: int
    start: int
    length: int


def split_document(num_tokens: int, size: int, stride: int) -> Iterator[tuple[int, int]]:
    """Yield start and length of the parts of a document that are at most `size` long, one each `stride`.

    A part that would only repeat the last token is left out.

    >>> list(split_document(9, size=5, stride=4)), list(split_document(10, size=5, stride=4))
    ([(0, 5), (4, 5)], [(0, 5), (4, 5), (8, 2)])
    """
    start = 0
    while True:
        yield start, min(size, num_tokens - start)
        if start + size >= num_tokens:
            return
        start += stride


def pack_documents(lengths: Sequence[int], context: int, stride: int) -> list[list[Chunk]]:
    """Return windows of at most `context` + 1 tokens, of one document each, in the order of the documents.

    Args:
        lengths: tokens of each document, its `<eos>` included.
        context: T.
        stride: tokens between the beginnings of a document's windows, 1 to T.
    """
    return [
        [Chunk(document, start, length)]
        for document, num_tokens in enumerate(lengths)
        for start, length in split_document(num_tokens, context + 1, stride)
    ]


def pack_best_fit(lengths: Sequence[int], context: int) -> list[list[Chunk]]:
    """Return windows of at most `context` + 1 tokens that leave little room.

    The longest part goes first, ties in the order of the documents, into the window with the least room that still
    holds it. That takes O(log T) a part: a bit tells for each amount of room whether a window has just that much.

    Args:
        lengths: tokens of each document, its `<eos>` included.
        context: T.
    """
    size = context + 1
    chunks = [
        Chunk(document, *part)
        for document, num_tokens in enumerate(lengths)
        for part in split_document(num_tokens, size, context)
    ]
    windows: list[list[Chunk]] = []
    with_room: dict[int, list[int]] = {}
    rooms = 0
    for chunk in sorted(chunks, key=lambda chunk: -chunk.length):
        enough = rooms >> chunk.length
        if enough:
            room = chunk.length + (enough & -enough).bit_length() - 1
            window = with_room[room].pop()
            if not with_room[room]:
                rooms &= ~(1 << room)
        else:
            room, window = size, len(windows)
            windows.append([])
        windows[window].append(chunk)
        if room > chunk.length:
            with_room.setdefault(room - chunk.length, []).append(window)
            rooms |= 1 << (room - chunk.length)
    return [_ordered(window) for window in windows]


def _ordered(window: list[Chunk]) -> list[Chunk]:
    """Return the parts of a window so that no token is a next word in it that is one in another window too.

    The token that a later part of a document repeats is none where the part opens the window; others go without it.
    """
    first, *others = sorted(window, key=lambda chunk: not chunk.start)  # a stable sort
    return [
        first,
        *(chunk._replace(start=chunk.start + 1, length=chunk.length - 1) if chunk.start else chunk for chunk in others),
    ]

"""Addresses as they cross a shuffle: long ones are squeezed.

Of what crosses for a picture or a page, addresses are the most. A title in Cyrillic, percent-encoded, has six
characters for each letter: such an address shrinks to a third or so, and one that names its file twice, as Wikimedia's
do, to half.
"""

import zlib

MAX_PLAIN = 80
"""Characters up to which an address crosses as it is: squeezing gains little there."""

_LETTERS = [f"%D1%{byte:X}" for byte in range(0x80, 0x90)] + [f"%D0%{byte:X}" for byte in range(0xB0, 0xC0)]

_EXPECTED = (
    "".join(_LETTERS)
    + "_%28%29_%2C_%E2%80%93.html.png.jpeg.JPG.jpg/640px-https://www.https://upload.wikimedia.org/wikipedia/commons/thumb/"
).encode()
"""What addresses are likely to hold, which zlib refers to; what is likeliest stands last."""

_WINDOW = -10
"""A raw stream that looks back 1,024 bytes: setting up a larger one takes most of 50 µs, this one 8."""


def squeeze(address: str) -> str | bytes:
    """An address as it crosses a shuffle.

    >>> squeeze("https://trees.example/oak")
    'https://trees.example/oak'
    """
    if len(address) <= MAX_PLAIN:
        return address
    squeezing = zlib.compressobj(wbits=_WINDOW, memLevel=1, zdict=_EXPECTED)
    return squeezing.compress(address.encode()) + squeezing.flush()


def unsqueeze(crossed: str | bytes) -> str:
    """The address that `squeeze` was given."""
    if isinstance(crossed, str):
        return crossed
    return zlib.decompressobj(wbits=_WINDOW, zdict=_EXPECTED).decompress(crossed).decode()

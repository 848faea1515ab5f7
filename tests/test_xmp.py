"""Data mining in pictures' XMP: every format that is read, every way to write it, and any bytes at all."""

import io
import struct
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from crawl.xmp import data_mining_prohibition
from crawl.xmp_packets import MAX_XMP_BYTES, xmp_packets

VOCABULARY = "http://ns.useplus.org/ldf/vocab/"
PROHIBITED = "DMI-PROHIBITED-AIMLTRAINING"


def _packet(attributes: str = "", elements: str = "", head: str = "") -> bytes:
    return (
        f'{head}<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/" {attributes}>{elements}'
        '</rdf:Description></rdf:RDF></x:xmpmeta>\n<?xpacket end="w"?>'
    ).encode()


def _stating(term: str = PROHIBITED) -> bytes:
    return _packet(f'plus:DataMining="{VOCABULARY}{term}"')


def _written(media_format: str, xmp: bytes | None) -> bytes:
    file = io.BytesIO()
    picture = Image.new("RGB", (8, 8), "green")
    if media_format == "PNG" and xmp:
        chunks = PngInfo()
        chunks.add_itxt("XML:com.adobe.xmp", xmp.decode())
        picture.save(file, media_format, pnginfo=chunks)
    elif media_format == "TIFF":
        picture.save(file, media_format, tiffinfo={700: xmp} if xmp else {})
    elif xmp:
        picture.save(file, media_format, xmp=xmp)
    else:
        picture.save(file, media_format)
    return file.getvalue()


def _gif(xmp: bytes) -> bytes:
    trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\x00"
    plain = _written("GIF", None)
    assert plain.endswith(b";")
    return plain[:-1] + b"\x21\xff\x0bXMP DataXMP" + xmp + trailer + b";"


def _with_png_chunk(chunk: bytes) -> bytes:
    plain = _written("PNG", None)
    block = struct.pack(">I", len(chunk)) + b"iTXt" + chunk + struct.pack(">I", zlib.crc32(b"iTXt" + chunk))
    return plain[:33] + block + plain[33:]


def _with_jpeg_segments(*segments: bytes) -> bytes:
    plain = _written("JPEG", None)
    blocks = (b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment for segment in segments)
    return plain[:2] + b"".join(blocks) + plain[2:]


@pytest.mark.parametrize("media_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "GIF"])
def test_the_statement_is_found_in_every_format(media_format: str):
    def written(xmp: bytes) -> bytes:
        return _gif(xmp) if media_format == "GIF" else _written(media_format, xmp)

    for term, expected in ((PROHIBITED, PROHIBITED), ("DMI-ALLOWED", None), ("DMI-UNSPECIFIED", None)):
        picture = written(_stating(term))
        assert Image.open(io.BytesIO(picture)).size == (8, 8)
        assert data_mining_prohibition(picture) == expected
    assert data_mining_prohibition(_written(media_format, None)) is None


@pytest.mark.parametrize(
    ("term", "is_prohibited"),
    [
        ("DMI-PROHIBITED", True),
        ("DMI-PROHIBITED-AIMLTRAINING", True),
        ("DMI-PROHIBITED-GENAIMLTRAINING", True),
        ("DMI-PROHIBITED-EXCEPTSEARCHENGINEINDEXING", True),
        ("DMI-PROHIBITED-SEECONSTRAINT", True),
        ("DMI-PROHIBITED-SEEEMBEDDEDRIGHTSEXPR", True),
        ("DMI-PROHIBITED-SEELINKEDRIGHTSEXPR", True),
        ("DMI-ALLOWED", False),
        ("DMI-UNSPECIFIED", False),
    ],
)
def test_every_term_of_the_vocabulary(term: str, is_prohibited: bool):
    assert data_mining_prohibition(_written("JPEG", _stating(term))) == (term if is_prohibited else None)


@pytest.mark.parametrize(
    ("xmp", "expected"),
    [
        (_packet(elements=f"<plus:DataMining>{VOCABULARY}{PROHIBITED}</plus:DataMining>"), PROHIBITED),
        (_packet(elements=f"<plus:DataMining> \n {PROHIBITED} </plus:DataMining>"), PROHIBITED),
        (_packet(elements=f'<plus:DataMining rdf:resource="{VOCABULARY}DMI-PROHIBITED"/>'), "DMI-PROHIBITED"),
        (
            _packet(
                elements="<plus:DataMining><rdf:Bag><rdf:li>DMI-ALLOWED</rdf:li>"
                "<rdf:li>DMI-PROHIBITED</rdf:li></rdf:Bag></plus:DataMining>"
            ),
            "DMI-PROHIBITED",
        ),
        (_stating().replace(b"plus:", b"p:").replace(b":plus=", b":p="), PROHIBITED),
        (_stating().decode().encode("utf-16-le"), PROHIBITED),
        (_stating().decode().encode("utf-16-be"), PROHIBITED),
        (_stating().decode().encode("utf-32-be"), PROHIBITED),
        (_stating() + b"\0" * 100, PROHIBITED),
        (_packet(f'plus:DataMining="{PROHIBITED}"', head='<?xml version="1.0" encoding="UTF-16"?>'), PROHIBITED),
        (_packet(elements=f"<plus:Other>{VOCABULARY}{PROHIBITED}</plus:Other>"), None),
        (_packet('xmlns:q="http://other.example/" q:DataMining="DMI-PROHIBITED"'), None),
        # No well-formed XML: read as text.
        (_stating()[:-60], PROHIBITED),
        (_stating().replace(b"</rdf:RDF>", b""), PROHIBITED),
        (b'<!DOCTYPE x [<!ENTITY a "b">]>' + _stating(), PROHIBITED),
        (_stating("DMI-ALLOWED")[:-60], None),
        (b"", None),
        (b"<x:xmpmeta", None),
    ],
)
def test_every_way_to_write_it(xmp: bytes, expected: str | None):
    assert data_mining_prohibition(_written("JPEG", xmp or b" ")) == expected


def test_a_jpeg_may_hold_it_in_an_extension_of_several_parts():
    standard = b"http://ns.adobe.com/xap/1.0/\0" + _packet('plus:Other="x"')
    whole = _stating()
    parts = [
        b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 32 + struct.pack(">II", len(whole), offset) + whole[offset:end]
        for offset, end in ((150, len(whole)), (0, 150))
    ]
    assert data_mining_prohibition(_with_jpeg_segments(standard, *parts)) == PROHIBITED
    assert data_mining_prohibition(_with_jpeg_segments(standard)) is None


def test_a_png_may_hold_it_compressed():
    head = b"XML:com.adobe.xmp\0\1\0en\0\0"
    assert data_mining_prohibition(_with_png_chunk(head + zlib.compress(_stating()))) == PROHIBITED
    assert data_mining_prohibition(_with_png_chunk(head + b"no deflate")) is None
    bomb = _with_png_chunk(head + zlib.compress(b" " * 10 * MAX_XMP_BYTES))
    assert [len(packet) for packet in xmp_packets(bomb)] == [MAX_XMP_BYTES]
    assert data_mining_prohibition(bomb) is None


def test_entities_are_not_expanded():
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    xmp = _packet(elements="<plus:DataMining>&i; DMI-ALLOWED</plus:DataMining>", head=f"{bomb}]>")
    assert data_mining_prohibition(_written("JPEG", xmp)) is None


HEADS = (b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"GIF89a", b"II*\0", b"MM\0*")
MARKS = (b"XMP ", b"<x:xmpmeta", b"\x21\xff\x0bXMP DataXMP", b"iTXtXML:com.adobe.xmp\0\1\0\0\0", b"DMI-PROHIBITED")


@given(st.sampled_from(HEADS), st.lists(st.binary(max_size=40) | st.sampled_from(MARKS), max_size=6))
def test_any_bytes_say_something_or_nothing(head: bytes, rest: list[bytes]):
    assert isinstance(data_mining_prohibition(head + b"".join(rest)), str | None)


@pytest.mark.parametrize("media_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "GIF"])
@given(data=st.data())
def test_damaged_pictures_do_no_harm(media_format: str, data: st.DataObject):
    picture = bytearray(_gif(_stating()) if media_format == "GIF" else _written(media_format, _stating()))
    for _ in range(data.draw(st.integers(1, 4))):
        picture[data.draw(st.integers(0, len(picture) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(picture)))
    assert isinstance(data_mining_prohibition(bytes(picture[:end])), str | None)


@pytest.mark.parametrize(
    "picture",
    [
        b"\xff\xd8" + b"\xff" * 2**24,
        b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0iTXt\0\0\0\0" * 2**20,
        b"GIF89a" + b"\x21\xff\x0bXMP DataXMP" * 2**20,
        b"<x:xmpmeta " * 2**20,
        b"II*\0\x08\0\0\0" + b"\xff\xff" + b"\xbc\x02\x07\0\xff\xff\xff\xff\0\0\0\0" * 2**20,
    ],
    ids=["JPEG", "PNG", "GIF", "marks", "TIFF"],
)
def test_hostile_pictures_take_little_time(picture: bytes):
    began = time.process_time()
    assert data_mining_prohibition(picture) is None
    assert time.process_time() - began < 2

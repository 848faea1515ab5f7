"""The encoding of a page is the one browsers find."""

import pytest

from crawl.encoding import decode_page
from crawl.text import CleanText, clean_page
from crawl.text_rules import RuleSettings
from crawl.text_settings import TextSettings

NO_RULES = RuleSettings(min_sentences=0, gopher_quality=None, gopher_repetition=None)
OAK = "Старый дуб"
# What the prescan must find in each, or None where it must find nothing and windows-1252 is left.
PRESCANNED = [
    ("<!-- <meta charset=koi8-r> --><meta charset=windows-1251>", "windows-1251"),
    ("<!--><meta charset=koi8-r>", "koi8-r"),
    ("<!-- <meta charset=koi8-r>", None),
    ("<meta name=description content='charset=koi8-r'>", None),
    ("<meta name=description content='charset=koi8-r'><meta charset=windows-1251>", "windows-1251"),
    ("<meta http-equiv=Content-Type content='text/html; charset = \"koi8-r\"'>", "koi8-r"),
    ("<meta content='text/html;charset=koi8-r' HTTP-EQUIV='content-type'>", "koi8-r"),
    ("<meta http-equiv=refresh content='0;url=/?charset=koi8-r'>", None),
    ("<META/CHARSET=koi8-r>", "koi8-r"),
    ("<meta charset=\"koi8-r\" charset='windows-1251'>", "koi8-r"),
    ("<meta charset=no-such-thing><meta charset=koi8-r>", "koi8-r"),
    ("<metal charset=koi8-r>", None),
    ("<a title='<meta charset=koi8-r>'><meta charset=windows-1251>", "windows-1251"),
    ("<!doctype <meta charset=koi8-r><meta charset=windows-1251>", "windows-1251"),
    ("</ <meta charset=koi8-r><meta charset=windows-1251>", "windows-1251"),
    (f"<p>{' ' * 1024}<meta charset=koi8-r>", None),
    ("<?xml version='1.0' encoding='windows-1251'?>", "windows-1251"),
    ("<?xml version='1.0' encoding=\"koi8-r\"?><meta charset=windows-1251>", "windows-1251"),
    (" <?xml version='1.0' encoding='windows-1251'?>", None),
    ("<meta charset=x-mac-cyrillic>", "mac_cyrillic"),
]


@pytest.mark.parametrize(("start", "expected"), PRESCANNED)
def test_a_byte_stream_is_prescanned_to_determine_its_encoding(start: str, expected: str | None) -> None:
    payload = start.encode() + OAK.encode(expected or "koi8-r")
    assert decode_page(payload, None) == start + (OAK if expected else OAK.encode("koi8-r").decode("cp1252", "replace"))


@pytest.mark.parametrize(
    ("label", "encoding", "text"),
    [
        ("x-mac-cyrillic", "mac_cyrillic", OAK),
        (" Windows-1251 ", "cp1251", OAK),
        ("shift_jis", "cp932", "①樹"),
        ("ks_c_5601-1987", "cp949", "똠나무"),
        ("gb2312", "gb18030", "树龍"),
        ("tis-620", "cp874", "ต้นไม้…"),
    ],
)
def test_the_label_http_names_is_known_as_in_the_encoding_standard(label: str, encoding: str, text: str) -> None:
    assert decode_page(text.encode(encoding), label) == text


@pytest.mark.parametrize(
    ("encoding", "charset", "declaration"),
    [
        ("utf-16-le", "utf-16", ""),
        ("utf-16-be", "UTF-16BE", ""),
        ("utf-16-le", None, "<?xml version='1.0'?>"),
        ("utf-16-be", None, "<?xml version='1.0'?>"),
        ("utf-16", None, ""),
    ],
)
def test_a_page_in_utf_16_is_text(encoding: str, charset: str | None, declaration: str) -> None:
    page = f"{declaration}<html lang=ru><body><article><p>{OAK} стоит на краю луга.</p></article></body></html>"
    found = clean_page(page.encode(encoding), "https://oak.example/", charset, TextSettings("best", NO_RULES))
    assert isinstance(found, CleanText)
    assert found.text == f"{OAK} стоит на краю луга."

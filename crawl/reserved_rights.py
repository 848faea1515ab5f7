"""How a notice reserves all rights, in the languages that most pages are written in."""

_NOTICES = (
    "all rights reserved",
    "all rights are reserved",
    "alle rechte vorbehalten",
    "tous droits réservés",
    "todos los derechos reservados",
    "reservados todos los derechos",
    "tots els drets reservats",
    "tutti i diritti riservati",
    "tutti i diritti sono riservati",
    "todos os direitos reservados",
    "alle rechten voorbehouden",
    "alla rättigheter förbehåll",
    "alla rättigheter reserverade",
    "alle rettigheder forbeholdes",
    "alle rettigheter forbeholdt",
    "alle rettigheter reservert",
    "kaikki oikeudet pidätetään",
    "wszelkie prawa zastrzeżone",
    "wszystkie prawa zastrzeżone",
    "všechna práva vyhrazena",
    "všetky práva vyhradené",
    "sva prava pridržana",
    "sva prava zadržana",
    "vse pravice pridržane",
    "minden jog fenntartva",
    "toate drepturile rezervate",
    "tüm hakları saklıdır",
    "hak cipta dilindungi",
    "bảo lưu mọi quyền",
    "με επιφύλαξη παντός δικαιώματος",
    "все права защищены",
    "усі права захищен",
    "всі права захищен",
    "всички права запазени",
    "כל הזכויות שמורות",
    "جميع الحقوق محفوظة",
    "版权所有",
    "版權所有",
    "保留所有权利",
    "保留所有權利",
    "保留一切权利",
    "保留一切權利",
    "無断転載",
    "全著作権所有",
    "무단 전재",
    "무단전재",
    "모든 권리 보유",
)
"""In lower case; some are the beginning of what is inflected."""


def reserves_all_rights(text: str) -> bool:
    """Return whether a text reserves all rights.

    >>> reserves_all_rights("© Ana. Todos los derechos reservados.")
    True
    """
    folded = " ".join(text.lower().split())
    return any(notice in folded for notice in _NOTICES)

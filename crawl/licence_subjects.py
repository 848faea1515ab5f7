"""What a sentence gives a licence to, by the words before it: to the picture, or to something else, or to nothing.

"Text on this site is licensed under CC BY" says nothing of the picture beside it, and "not available under CC BY" the
contrary. Where a sentence speaks of a picture after something else, it speaks of the picture: "text by Bo, photo by
Ann, CC BY".
"""

import re

_PICTURES = (
    "photos? photographs? photographies? photography pictures? images? imagery illustrations? drawings? paintings? "
    "fotos? fotografie fotografía fotografia fotografi bild bilder bildes abbildung zeichnung imagen imagem immagine "
    "imágenes dessin peinture dibujo disegno foto's afbeelding zdjęcie zdjęcia grafika фото фотография изображение"
)
_OTHERS = (
    "texts? words contents? articles? posts? data datasets? database maps? code software fonts? video music audio "
    "materials? everything themes? templates? icons? translations? recipes? poems? lyrics songs? captions? podcasts? "
    "documents? documentation transcripts? means meaning "
    "texte texten inhalt inhalte inhalten artikel beitrag daten karte kartendaten "
    "contenu contenus données carte texto textos contenido contenidos datos mapa artículo "
    "testo testi contenuto contenuti dati mappa conteúdo dados artigo "
    "tekst teksten inhoud gegevens kaart treść treści dane innehåll текст тексты материалы содержание данные статья"
)
_PLACES = (
    "sites? websites? webpages? pages? blogs? seite seiten webseite sitio página sito pagina "
    "strona strony sida сайт сайта"
)
"""What may hold the picture that was just spoken of."""

_EXCEPTIONS = "except excluding unless unlike formerly außer sauf excepto salvo tranne eccetto exceto кроме"
"""Hold for the whole sentence."""

_NEGATIONS = (
    "not? never none neither nor cannot without "
    "nicht kein keine keiner ohne non pas sans aucun aucune sin senza não sem "
    "niet geen zonder nie bez inte utan ikke не без"
)
"""Hold for what stands between the same commas."""


_SENTENCE_END = re.compile(r"[.!?](?=\s)|[;|•·\n。；]")


def _one_of(words: str) -> str:
    return rf"(?<![\w-])(?:{'|'.join(words.split())})(?![\w-])"


_SUBJECT = re.compile(
    rf"(?P<picture>{_one_of(_PICTURES)})|(?P<other>{_one_of(_OTHERS)})|(?P<place>{_one_of(_PLACES)})", re.I
)
_EXCEPTION = re.compile(rf"{_one_of(_EXCEPTIONS)}|不|未经|未經", re.I)
_NEGATION = re.compile(
    rf"(?:{_one_of(_NEGATIONS)}|n[’']t\b)(?![ -]?(?:deriv|comm|rights?\b|copyright|changes?\b|modif|known\b))", re.I
)
_CLAUSE_END = re.compile(r"[,–—]|\s-\s")
_GIVEN_TO = re.compile(
    rf"(?:for|to|of|on|für|pour|para|per|voor)(?: (?:all|the|our|this|its|der|die|das|le|les|el|los|il|i|de))* "
    rf"{_one_of(_OTHERS)}",
    re.I,
)
_MAX_AFTER = 80


def speaks_of_a_picture(before: str, after: str = "") -> bool:
    """Return whether a licence is given to a picture, as far as the words around it in its sentence tell.

    Args:
        before: the text before the licence's name.
        after: the text behind it.

    >>> [speaks_of_a_picture(text) for text in ("Photo: Ann, ", "Oak. Map data ", "Not available under ")]
    [True, False, False]
    >>> speaks_of_a_picture("", " applies to the text only")
    False
    """
    sentence = _SENTENCE_END.split(before)[-1]
    subjects = [found.lastgroup for found in _SUBJECT.finditer(sentence)]
    subject = next((kind for kind in reversed(subjects) if kind != "place"), "place" if subjects else "picture")
    if subject != "picture" or _EXCEPTION.search(sentence) or _NEGATION.search(_CLAUSE_END.split(sentence)[-1]):
        return False
    rest = _SENTENCE_END.split(after[:_MAX_AFTER])[0]
    is_given_away = "picture" not in subjects and _GIVEN_TO.search(rest)
    return not is_given_away and not _NEGATION.search(_CLAUSE_END.split(rest)[0])

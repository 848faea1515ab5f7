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
    "materials? everything "
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

_NEGATIONS = (
    "not? never none neither nor cannot except excluding unless without unlike formerly "
    "nicht kein keine keiner ohne außer non pas sauf sans aucun aucune sin excepto senza tranne eccetto não sem "
    "niet geen zonder nie bez inte utan ikke не без кроме"
)


_SENTENCE_END = re.compile(r"[.!?](?=\s)|[;|•·\n。；]")


def _one_of(words: str) -> str:
    return rf"(?<![\w-])(?:{'|'.join(words.split())})(?![\w-])"


_SUBJECT = re.compile(
    rf"(?P<picture>{_one_of(_PICTURES)})|(?P<other>{_one_of(_OTHERS)})|(?P<place>{_one_of(_PLACES)})", re.I
)
_NEGATION = re.compile(rf"{_one_of(_NEGATIONS)}(?![ -]?(?:deriv|comm))|n[’']t\b|不|未经|未經", re.I)


def speaks_of_a_picture(before: str) -> bool:
    """Return whether a licence is given to a picture, as far as the words before it in its sentence tell.

    >>> [speaks_of_a_picture(text) for text in ("Photo: Ann, ", "Oak. Map data ", "Not available under ")]
    [True, False, False]
    """
    sentence = _SENTENCE_END.split(before)[-1]
    subjects = [found.lastgroup for found in _SUBJECT.finditer(sentence)]
    subject = next((kind for kind in reversed(subjects) if kind != "place"), "place" if subjects else "picture")
    return subject == "picture" and not _NEGATION.search(sentence)

"""What pages and files say of the licence of a picture, and what that comes to: written by hand, before any code ran.

Pages lie at `https://trees.example/walk/`, and the picture is `https://trees.example/walk/oak.jpg`. Each case is its
name, what the page holds (or the XMP packet, the IPTC notice), the licence and the author, "unknown" where none counts.
"""

# ruff: noqa: E501
# fmt: off

CC = "https://creativecommons.org/licenses"
ZERO = "https://creativecommons.org/publicdomain/zero/1.0/"
MARK = "https://creativecommons.org/publicdomain/mark/1.0/"
IMG = '<img src="oak.jpg" alt="An oak">'
Case = tuple[str, str, str, str]


def _figure(inner: str) -> str:
    return f"<main><figure>{IMG}<figcaption>{inner}</figcaption></figure></main>"


def _ld(body: str) -> str:
    return f'{IMG}<script type="application/ld+json">{body}</script>'


def _object(fields: str) -> str:
    return _ld(f'{{"@context":"https://schema.org","@type":"ImageObject","contentUrl":"oak.jpg",{fields}}}')


def _micro(inner: str) -> str:
    return (
        f'<div itemscope itemtype="https://schema.org/ImageObject"><img src="oak.jpg" itemprop="contentUrl">{inner}</div>'
    )


LINKS: list[Case] = [
    ("rel in a figure", _figure(f'<a rel="license" href="{CC}/by/4.0/">CC BY</a>'), "CC-BY-4.0", "unknown"),
    ("rel among others", _figure(f'<a rel="nofollow license" href="{CC}/by/4.0/">x</a>'), "CC-BY-4.0", "unknown"),
    ("rel in capitals", _figure(f'<a rel="LICENSE" href="{CC}/by-sa/3.0/">x</a>'), "CC-BY-SA-3.0", "unknown"),
    ("plain deed in a caption", _figure(f'Oak. <a href="{CC}/by-nc/2.0/">CC</a>'), "CC-BY-NC-2.0", "unknown"),
    ("http deed", _figure('<a href="http://creativecommons.org/licenses/by-nd/2.5/">x</a>'), "CC-BY-ND-2.5", "unknown"),
    ("deed at www", _figure('<a href="https://www.creativecommons.org/licenses/by/3.0/">x</a>'), "CC-BY-3.0", "unknown"),
    ("deed without a slash", _figure(f'<a href="{CC}/by-nc-sa/4.0">x</a>'), "CC-BY-NC-SA-4.0", "unknown"),
    ("translated deed", _figure(f'<a href="{CC}/by/4.0/deed.de">x</a>'), "CC-BY-4.0", "unknown"),
    ("legal code", _figure(f'<a href="{CC}/by-nc-nd/4.0/legalcode">x</a>'), "CC-BY-NC-ND-4.0", "unknown"),
    ("zero", _figure(f'<a rel="license" href="{ZERO}">CC0</a>'), "CC0-1.0", "unknown"),
    ("public domain mark", _figure(f'<a href="{MARK}">PD</a>'), "LicenseRef-public-domain", "unknown"),
    ("protocol left out", _figure('<a href="//creativecommons.org/licenses/by/4.0/">x</a>'), "CC-BY-4.0", "unknown"),
    ("link element", _figure(f'<link rel="license" href="{CC}/by/4.0/">'), "CC-BY-4.0", "unknown"),
    ("same twice", _figure(f'<a href="{CC}/by/4.0/">a</a><a href="{CC}/by/4.0/deed.fr">b</a>'), "CC-BY-4.0", "unknown"),
    ("two that differ", _figure(f'<a href="{CC}/by/4.0/">a</a><a href="{CC}/by-sa/4.0/">b</a>'), "unknown", "unknown"),
    ("two versions", _figure(f'<a href="{CC}/by/3.0/">a</a><a href="{CC}/by/4.0/">b</a>'), "unknown", "unknown"),
    ("no deed", _figure(f'<a href="{CC}/">all of them</a>'), "unknown", "unknown"),
    ("unknown terms", _figure(f'<a href="{CC}/sampling+/1.0/">x</a>'), "unknown", "unknown"),
    ("look-alike host", _figure('<a href="https://creativecommons.org.evil.example/licenses/by/4.0/">x</a>'), "unknown", "unknown"),
    ("in a query", _figure('<a href="https://x.example/?u=https://creativecommons.org/licenses/by/4.0/">x</a>'), "unknown", "unknown"),
    ("own terms", _figure('<a rel="license" href="/terms">terms</a>'), "unknown", "unknown"),
    ("own terms and a deed", _figure(f'<a rel="license" href="/terms">t</a><a href="{CC}/by/4.0/">b</a>'), "unknown", "unknown"),
    ("footer of the page", f'{IMG}<footer><a rel="license" href="{CC}/by/4.0/">x</a></footer>', "unknown", "unknown"),
    ("head of the page", f'<head><link rel="license" href="{CC}/by/4.0/"></head>{IMG}', "unknown", "unknown"),
    ("after the article", f'<article>{IMG}<p>Words.</p></article><p><a href="{CC}/by/4.0/">x</a></p>', "unknown", "unknown"),
    ("of the article", f'<article>{IMG}<p>{"Words. " * 80}</p><a href="{CC}/by/4.0/">x</a></article>', "unknown", "unknown"),
    ("other figure", f'<figure>{IMG}</figure><figure><img src="elm.jpg"><a href="{CC}/by/4.0/">x</a></figure>', "unknown", "unknown"),
    ("in a small box", f'<p>A walk.</p><div class="photo">{IMG}<p>Photo: <a href="{CC}/by/2.0/">CC</a></p></div>', "CC-BY-2.0", "unknown"),
    ("in a list", f'<ul><li>{IMG}<a href="{CC}/by/2.0/">CC</a></li><li><img src="elm.jpg"></li></ul>', "CC-BY-2.0", "unknown"),
    ("in a cell", f'<table><tr><td>{IMG}<br><a href="{CC}/by-sa/2.0/">CC</a></td><td>x</td></tr></table>', "CC-BY-SA-2.0", "unknown"),
    ("box of two pictures", f'<div>{IMG}<img src="elm.jpg"><a href="{CC}/by/2.0/">CC</a></div>', "unknown", "unknown"),
    ("badge beside it", _figure(f'<a rel="license" href="{CC}/by/4.0/"><img src="https://i.creativecommons.org/l/by/4.0/88x31.png"></a>'), "CC-BY-4.0", "unknown"),
    ("name in words", _figure("Photo: Ann, CC BY-SA 4.0"), "CC-BY-SA-4.0", "unknown"),
    ("full name in words", _figure("Licensed under Creative Commons Attribution-ShareAlike 3.0 Unported"), "CC-BY-SA-3.0", "unknown"),
    ("words without version", _figure("Photo under Creative Commons"), "unknown", "unknown"),
    ("words that differ", _figure(f'CC BY 4.0 <a href="{CC}/by-nc/4.0/">x</a>'), "unknown", "unknown"),
    ("all rights reserved", _figure("© Ann. All rights reserved."), "unknown", "unknown"),
    ("deed and all rights", _figure(f'All rights reserved. <a href="{CC}/by/4.0/">x</a>'), "unknown", "unknown"),
    ("free art licence", _figure('<a rel="license" href="https://artlibre.org/licence/lal/en/">FAL</a>'), "LAL-1.3", "unknown"),
    ("GNU FDL", _figure('<a rel="license" href="https://www.gnu.org/licenses/fdl-1.3.html">GFDL</a>'), "GFDL-1.3", "unknown"),
    ("open government", _figure('<a rel="license" href="https://www.nationalarchives.gov.uk/doc/open-government-licence/version/3/">OGL</a>'), "OGL-UK-3.0", "unknown"),
    ("box that is the page", f'<div>{IMG}<p>Under <a rel="license" href="{CC}/by-sa/4.0/">CC</a></p></div>', "unknown", "unknown"),
    ("boxes around all but a footer", f'<nav>Home</nav><div><div>{IMG}<a href="{CC}/by/4.0/">CC</a></div></div><footer>Bo</footer>', "unknown", "unknown"),
    ("box beside another picture", f'<div>{IMG}<a href="{CC}/by/4.0/">CC</a></div><div><img src="elm.jpg"></div>', "CC-BY-4.0", "unknown"),
    ("text on this site", f'<p>A walk.</p><div>{IMG}<p>Text on this site is licensed under <a rel="license" href="{CC}/by-sa/4.0/">x</a></p></div>', "unknown", "unknown"),
    ("text in the link", _figure(f'<a href="{CC}/by/4.0/">Text is available under CC BY 4.0</a>'), "unknown", "unknown"),
    ("German text", _figure(f'Der Text steht unter <a href="{CC}/by/4.0/">CC BY</a>'), "unknown", "unknown"),
    ("map data", _figure("Map data CC BY-SA 2.0; photo © Ann"), "unknown", "unknown"),
    ("not under", _figure("Not available under CC BY 4.0"), "unknown", "unknown"),
    ("isn't under", _figure(f'This isn’t <a href="{CC}/by/4.0/">CC BY</a>'), "unknown", "unknown"),
    ("French not", _figure(f"Cette photo n'est pas sous CC BY 4.0 ({CC}/by/4.0/)"), "unknown", "unknown"),
    ("photo after text", _figure("Text by Bo, photo by Ann, CC BY 4.0"), "CC-BY-4.0", "unknown"),
    ("text after photo", _figure("Photo © Ann, text CC BY 4.0"), "unknown", "unknown"),
    ("text in another sentence", _figure("The text is Bo's. CC BY 4.0"), "CC-BY-4.0", "unknown"),
    ("text in another line", _figure("Text: Bo<br>CC BY 4.0"), "CC-BY-4.0", "unknown"),
    ("photo from a site", _figure(f'Photo from the site of Ann, <a href="{CC}/by-nd/4.0/">No Derivatives</a>'), "CC-BY-ND-4.0", "unknown"),
    ("this work", _figure(f'This work is licensed under <a rel="license" href="{CC}/by/4.0/">x</a>'), "CC-BY-4.0", "unknown"),
    *((f"reserved: {words}", _figure(f'© Ann. {words}. <a href="{CC}/by/4.0/">x</a>'), "unknown", "unknown") for words in (
        "Todos los derechos reservados", "Tutti i diritti riservati", "Todos os direitos reservados", "Alle rechten voorbehouden",
        "Wszelkie prawa zastrzeżone", "Alla rättigheter förbehållna", "Все права защищены", "版权所有", "無断転載を禁じます", "جميع الحقوق محفوظة",
    )),
    ("nothing said", IMG, "unknown", "unknown"),
    ("words behind the name", _figure(f'Photo: Ann, <a href="{CC}/by/2.0/">CC BY 2.0</a> via Flickr'), "CC-BY-2.0", "unknown"),
    ("an author behind the name", _figure("Photo: CC BY-SA 4.0 by Ann Oak"), "CC-BY-SA-4.0", "unknown"),
    ("a name behind the name", _figure("Photo: CC BY 4.0 Ann"), "CC-BY-4.0", "unknown"),
    ("a country", _figure(f'<a href="{CC}/by-sa/3.0/de/">CC BY-SA 3.0 DE</a>'), "CC-BY-SA-3.0-DE", "unknown"),
    ("a country without an identifier", _figure(f'<a href="{CC}/by/2.0/fr/">CC BY 2.0 FR</a>'), "CC-BY-2.0", "unknown"),
    ("no such version", _figure(f'<a rel="license" href="{CC}/by/7.3/">CC BY 7.3</a>'), "unknown", "unknown"),
    ("for the text, said behind", _figure("CC BY 4.0 applies to the text only"), "unknown", "unknown"),
    ("for the text, linked", _figure(f'<a href="{CC}/by/4.0/">CC BY 4.0</a> for all texts; images are copyrighted'), "unknown", "unknown"),
    ("does not apply", _figure("CC BY 4.0 does not apply"), "unknown", "unknown"),
    ("for a photo and not a text", _figure("Photo by Ann, CC BY 4.0, thanks to the text by Bo"), "CC-BY-4.0", "unknown"),
    ("a theme", f'<div>{IMG}<p>Theme by Bo <a rel="license" href="{CC}/by/3.0/">CC BY 3.0</a></p></div>', "unknown", "unknown"),
    ("icons", f'<div>{IMG}<p>Icons made by Bo, <a rel="license" href="{CC}/by/3.0/">CC</a></p></div>', "unknown", "unknown"),
    ("what it means", f'<div>{IMG}<p>See <a href="{CC}/by/3.0/">what CC BY means</a></p></div>', "unknown", "unknown"),
    ("no rights", _figure(f'No rights reserved (<a rel="license" href="{ZERO}">CC0</a>)'), "CC0-1.0", "unknown"),
    ("no changes", _figure(f'Photo by Ann, no changes made, <a href="{CC}/by/4.0/">CC BY</a>'), "CC-BY-4.0", "unknown"),
    ("no leaves", _figure("Oak without leaves, CC BY 4.0"), "CC-BY-4.0", "unknown"),
    ("an author called Non", _figure("Photo: Bo Non, CC BY 4.0"), "CC-BY-4.0", "unknown"),
]

RDFA: list[Case] = [
    ("about on the link", f'{IMG}<p><a about="oak.jpg" rel="license" href="{CC}/by/3.0/">x</a></p>', "CC-BY-3.0", "unknown"),
    ("about around it", f'{IMG}<div about="oak.jpg"><p><a rel="license" href="{CC}/by/3.0/">x</a></p></div>', "CC-BY-3.0", "unknown"),
    ("about another", f'{IMG}<div about="elm.jpg"><a rel="license" href="{CC}/by/3.0/">x</a></div>', "unknown", "unknown"),
    ("cc:license", f'{IMG}<div about="oak.jpg"><a rel="cc:license" href="{CC}/by/3.0/">x</a></div>', "CC-BY-3.0", "unknown"),
    ("dct:license", f'{IMG}<span about="oak.jpg" rel="dct:license" resource="{CC}/by-sa/3.0/"></span>', "CC-BY-SA-3.0", "unknown"),
    ("author named", f'{IMG}<div about="oak.jpg"><a property="cc:attributionName">Ann Oak</a><a rel="license" href="{CC}/by/4.0/">x</a></div>', "CC-BY-4.0", "Ann Oak"),
    ("author linked", f'{IMG}<div about="oak.jpg"><a property="cc:attributionName" rel="cc:attributionURL" href="/ann">Ann</a> <a rel="license" href="{CC}/by/4.0/">x</a></div>', "CC-BY-4.0", "Ann"),
    ("dc:creator", f'{IMG}<div about="oak.jpg"><span property="dc:creator">Bo Elm</span><a rel="license" href="{CC}/by/4.0/">x</a></div>', "CC-BY-4.0", "Bo Elm"),
    ("absolute about", f'{IMG}<p about="https://trees.example/walk/oak.jpg"><a rel="license" href="{CC}/by/2.5/">x</a></p>', "CC-BY-2.5", "unknown"),
    ("about the page", f'<div about="">{IMG}<a rel="license" href="{CC}/by/2.5/">x</a> {"Words. " * 80}</div>', "unknown", "unknown"),
    ("resource and typeof", f'<div typeof="ImageObject" resource="oak.jpg">{IMG}<a property="license" href="{CC}/by/4.0/">x</a></div>', "CC-BY-4.0", "unknown"),
    ("typeof around it", f'<div vocab="https://schema.org/" typeof="ImageObject"><img property="contentUrl" src="oak.jpg"><a property="license" href="{CC}/by-nc/4.0/">x</a><span property="creditText">Cy</span></div>', "CC-BY-NC-4.0", "Cy"),
    ("two that differ", f'{IMG}<p about="oak.jpg"><a rel="license" href="{CC}/by/3.0/">x</a><a rel="license" href="{ZERO}">y</a></p>', "unknown", "unknown"),
    ("inside and about", f'<figure>{IMG}<a rel="license" href="{CC}/by/3.0/">x</a></figure><a about="oak.jpg" rel="license" href="{CC}/by/3.0/">y</a>', "CC-BY-3.0", "unknown"),
    ("inside against about", f'<figure>{IMG}<a rel="license" href="{CC}/by/3.0/">x</a></figure><a about="oak.jpg" rel="license" href="{CC}/by/4.0/">y</a>', "unknown", "unknown"),
]

SCHEMA: list[Case] = [
    ("license", _object(f'"license":"{CC}/by/4.0/"'), "CC-BY-4.0", "unknown"),
    ("license and credit", _object(f'"license":"{CC}/by/4.0/","creditText":"Ann Oak"'), "CC-BY-4.0", "Ann Oak"),
    ("creator", _object(f'"license":"{CC}/by/4.0/","creator":{{"@type":"Person","name":"Bo Elm"}}'), "CC-BY-4.0", "Bo Elm"),
    ("author before credit", _object(f'"license":"{ZERO}","creator":{{"name":"Bo"}},"creditText":"Ann Agency"'), "CC0-1.0", "Bo"),
    ("two creators", _object(f'"license":"{ZERO}","creator":[{{"name":"Bo"}},{{"name":"Cy"}}]'), "CC0-1.0", "Bo, Cy"),
    ("creator as text", _object(f'"license":"{ZERO}","creator":"Bo"'), "CC0-1.0", "Bo"),
    ("copyright holder", _object(f'"license":"{CC}/by/4.0/","copyrightHolder":{{"name":"Dee"}}'), "CC-BY-4.0", "Dee"),
    ("own page to buy", _object('"acquireLicensePage":"https://trees.example/buy"'), "unknown", "unknown"),
    ("own licence page", _object('"license":"https://trees.example/licence"'), "unknown", "unknown"),
    ("licence and page to buy", _object(f'"license":"{CC}/by/4.0/","acquireLicensePage":"https://trees.example/buy"'), "CC-BY-4.0", "unknown"),
    ("licence as object", _object(f'"license":{{"@type":"CreativeWork","url":"{CC}/by-sa/4.0/"}}'), "CC-BY-SA-4.0", "unknown"),
    ("licence by id", _object(f'"license":{{"@id":"{CC}/by-sa/4.0/"}}'), "CC-BY-SA-4.0", "unknown"),
    ("list of one", _object(f'"license":["{CC}/by/4.0/"]'), "CC-BY-4.0", "unknown"),
    ("list of two", _object(f'"license":["{CC}/by/4.0/","{CC}/by-sa/4.0/"]'), "unknown", "unknown"),
    ("SPDX address", _object('"license":"https://spdx.org/licenses/CC-BY-4.0.html"'), "CC-BY-4.0", "unknown"),
    ("licence by name", _object('"license":"CC BY 4.0"'), "CC-BY-4.0", "unknown"),
    ("in a graph", _ld(f'{{"@graph":[{{"@type":"WebPage"}},{{"@type":"ImageObject","contentUrl":"https://trees.example/walk/oak.jpg","license":"{CC}/by/4.0/"}}]}}'), "CC-BY-4.0", "unknown"),
    ("in a list", _ld(f'[{{"@type":"ImageObject","contentUrl":"elm.jpg","license":"{ZERO}"}},{{"@type":"ImageObject","contentUrl":"oak.jpg","license":"{CC}/by/4.0/"}}]'), "CC-BY-4.0", "unknown"),
    ("image of an article", _ld(f'{{"@type":"Article","image":{{"@type":"ImageObject","url":"oak.jpg","license":"{CC}/by/4.0/"}}}}'), "CC-BY-4.0", "unknown"),
    ("licence of the article", _ld(f'{{"@type":"Article","license":"{CC}/by/4.0/","image":"oak.jpg"}}'), "unknown", "unknown"),
    ("photograph", _ld(f'{{"@type":["Photograph","ImageObject"],"contentUrl":"oak.jpg","license":"{CC}/by/4.0/"}}'), "CC-BY-4.0", "unknown"),
    ("other picture", _ld(f'{{"@type":"ImageObject","contentUrl":"elm.jpg","license":"{CC}/by/4.0/"}}'), "unknown", "unknown"),
    ("broken JSON", _ld(f'{{"@type":"ImageObject","contentUrl":"oak.jpg","license":"{CC}/by/4.0/"'), "unknown", "unknown"),
    ("nested too deep", _ld("[" * 5000 + "]" * 5000), "unknown", "unknown"),
    ("against the figure", _figure(f'<a rel="license" href="{CC}/by-sa/4.0/">x</a>') + _object(f'"license":"{CC}/by/4.0/"'), "unknown", "unknown"),
    ("with the figure", _figure(f'<a rel="license" href="{CC}/by/4.0/">x</a>') + _object(f'"license":"{CC}/by/4.0/","creditText":"Ann"'), "CC-BY-4.0", "Ann"),
    ("microdata", _micro(f'<a itemprop="license" href="{CC}/by/4.0/">x</a>'), "CC-BY-4.0", "unknown"),
    ("microdata with link", _micro(f'<link itemprop="license" href="{CC}/by-nd/4.0/">'), "CC-BY-ND-4.0", "unknown"),
    ("microdata with meta", _micro(f'<meta itemprop="license" content="{CC}/by/4.0/">'), "CC-BY-4.0", "unknown"),
    ("microdata credit", _micro(f'<a itemprop="license" href="{CC}/by/4.0/">x</a><span itemprop="creditText">Ann</span>'), "CC-BY-4.0", "Ann"),
    ("microdata creator", _micro(f'<a itemprop="license" href="{CC}/by/4.0/">x</a><span itemprop="creator" itemscope itemtype="https://schema.org/Person"><b itemprop="name">Bo Elm</b></span>'), "CC-BY-4.0", "Bo Elm"),
    ("microdata page to buy", _micro('<a itemprop="acquireLicensePage" href="/buy">x</a>'), "unknown", "unknown"),
    ("microdata far from it", f'{IMG}<div itemscope itemtype="http://schema.org/ImageObject"><meta itemprop="contentUrl" content="oak.jpg"><link itemprop="license" href="{ZERO}"></div>', "CC0-1.0", "unknown"),
    ("microdata of the article", f'<div itemscope itemtype="https://schema.org/Article">{IMG}<p>{"Words. " * 80}</p><a itemprop="license" href="{CC}/by/4.0/">x</a></div>', "unknown", "unknown"),
    ("microdata of two kinds", _micro(f'<a itemprop="license" href="{CC}/by/4.0/">x</a><a itemprop="license" href="{ZERO}">y</a>'), "unknown", "unknown"),
]


def _xmp(inner: str, attributes: str = "") -> str:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:cc="http://creativecommons.org/ns#"'
        ' xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'
        f' {attributes}>{inner}</rdf:Description></rdf:RDF></x:xmpmeta>'
    )


def _text(name: str, text: str) -> str:
    return f'<{name}><rdf:Alt><rdf:li xml:lang="x-default">{text}</rdf:li></rdf:Alt></{name}>'


def _names(*names: str) -> str:
    return f"<dc:creator><rdf:Seq>{''.join(f'<rdf:li>{name}</rdf:li>' for name in names)}</rdf:Seq></dc:creator>"


XMP: list[Case] = [
    ("cc:license", _xmp(f'<cc:license rdf:resource="{CC}/by/4.0/"/>'), "CC-BY-4.0", "unknown"),
    ("web statement", _xmp(f"<xmpRights:WebStatement>{CC}/by-sa/4.0/</xmpRights:WebStatement>"), "CC-BY-SA-4.0", "unknown"),
    ("as attribute", _xmp("", f'xmpRights:WebStatement="{CC}/by/3.0/"'), "CC-BY-3.0", "unknown"),
    ("usage terms", _xmp(_text("xmpRights:UsageTerms", f"Licensed under {CC}/by-nc/4.0/ by Ann")), "CC-BY-NC-4.0", "unknown"),
    ("named terms", _xmp(_text("xmpRights:UsageTerms", "Creative Commons Attribution 4.0 International")), "CC-BY-4.0", "unknown"),
    ("rights", _xmp(_text("dc:rights", "CC0 1.0")), "CC0-1.0", "unknown"),
    ("creator", _xmp(f'<cc:license rdf:resource="{CC}/by/4.0/"/>' + _names("Ann Oak")), "CC-BY-4.0", "Ann Oak"),
    ("creators", _xmp(f'<cc:license rdf:resource="{CC}/by/4.0/"/>' + _names("Ann", "Bo")), "CC-BY-4.0", "Ann, Bo"),
    ("attribution name", _xmp(f'<cc:license rdf:resource="{CC}/by/4.0/"/><cc:attributionName>Bo Elm</cc:attributionName>'), "CC-BY-4.0", "Bo Elm"),
    ("credit", _xmp("", f'photoshop:Credit="Tree Agency" xmpRights:WebStatement="{ZERO}"'), "CC0-1.0", "Tree Agency"),
    ("all rights reserved", _xmp(_text("dc:rights", "© 2020 Ann. All rights reserved.")), "unknown", "unknown"),
    ("all rights and a deed", _xmp(_text("dc:rights", "All rights reserved") + f'<cc:license rdf:resource="{CC}/by/4.0/"/>'), "unknown", "unknown"),
    ("two that differ", _xmp(f'<cc:license rdf:resource="{CC}/by/4.0/"/><xmpRights:WebStatement>{ZERO}</xmpRights:WebStatement>'), "unknown", "unknown"),
    ("own statement", _xmp("<xmpRights:WebStatement>https://trees.example/terms</xmpRights:WebStatement>"), "unknown", "unknown"),
    ("author only", _xmp(_names("Ann Oak")), "unknown", "Ann Oak"),
    ("no packet", "", "unknown", "unknown"),
    ("broken packet", _xmp(f'<cc:license rdf:resource="{CC}/by/4.0/">'), "unknown", "unknown"),
    ("document type", '<!DOCTYPE x [<!ENTITY a "b">]>' + _xmp(f'<cc:license rdf:resource="{CC}/by/4.0/"/>'), "unknown", "unknown"),
]

IPTC: list[Case] = [
    ("notice with a deed", f"Ann Oak, {CC}/by/4.0/", "CC-BY-4.0", "Ann Oak"),
    ("notice with a name", "CC BY-SA 3.0", "CC-BY-SA-3.0", "Ann Oak"),
    ("full name", "Creative Commons Attribution-NonCommercial-NoDerivs 2.0 Generic", "CC-BY-NC-ND-2.0", "Ann Oak"),
    ("plain copyright", "© Ann Oak 2020", "unknown", "Ann Oak"),
    ("all rights reserved", "Ann Oak, all rights reserved, CC BY 4.0", "unknown", "Ann Oak"),
    ("public domain", "Public domain", "LicenseRef-public-domain", "Ann Oak"),
]
"""Copyright notices; the by-line is "Ann Oak"."""

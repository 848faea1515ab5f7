"""Strings that open something: keys of interfaces, tokens, private keys, passwords that are said to be such."""

import math
import re
from collections import Counter
from collections.abc import Iterator

# Source: the issuers' own documentation of their prefixes, as secret scanners (gitleaks, detect-secrets) collect them.
MARKED = re.compile(
    r"(?<![A-Za-z0-9_])(?:"
    r"(?:AKIA|ASIA)[0-9A-Z]{16}"  # Amazon
    r"|gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_[A-Za-z0-9_]{22,93}"
    r"|glpat-[A-Za-z0-9_-]{20,}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}"  # Slack
    r"|AIza[A-Za-z0-9_-]{35}"  # Google
    r"|[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"  # Stripe
    r"|sk-(?:[a-z]{2,8}-)?[A-Za-z0-9_-]{20,}"
    r"|hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,}"
    r"|SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"  # SendGrid
    r"|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"  # JSON web token, RFC 7519
    r")(?![A-Za-z0-9_])"
)
MARKS = ("AKIA", "ASIA", "gh", "glpat-", "xox", "AIza", "k_", "sk-", "hf_", "npm_", "pypi-", "SG.", "eyJ")
"""Of which a text must hold one for `MARKED` to find anything; twenty times quicker to tell."""
PRIVATE_KEY = re.compile(
    r"-----BEGIN ([A-Z ]{0,20}PRIVATE KEY)-----(?:[\sA-Za-z0-9+/=:,]|-(?!----)){20,10000}-----END \1-----"
)
# The password in a URL. Source: RFC 3986, section 3.2.1. "user:password" stands in many a manual.
URL_PASSWORD = re.compile(r"://[^\s/:@]{0,64}:(?=[^\s/@]{0,127}\d)(?=[^\s/@]{0,127}[A-Za-z])([^\s/@]{8,128})@")
NAMED = re.compile(
    r"(?:api|access|auth|client|secret|private)[ _-]?(?:key|token|secret)|\b(?:secret|passw(?:or)?d|token|bearer)"
)
NAMES = ("key", "token", "secret", "passw", "bearer")
VALUE = re.compile(r"[\"']?\s*(?:is|[:=]|\s)\s*[\"'`]?([A-Za-z0-9+/_.~-]{16,256}={0,2})")
# Random base-64 of 16 characters holds 3.6 bits a character on average, a compound word of that length below 3.4;
# measured on 10,000 random strings and on the words of the article-extraction benchmark.
MIN_BITS = 3.4


def find(text: str) -> Iterator[tuple[int, int]]:
    """Yield where something stands that must be kept secret.

    >>> list(find("api_key = 'q8Zt4LmX0pR7vK2sWy9B' and commit 9fceb02d0ae598e95dc970b74767f19372d61af8"))
    [(11, 31)]
    """
    if any(mark in text for mark in MARKS):
        yield from (marked.span() for marked in MARKED.finditer(text))
    if "-----BEGIN" in text:
        yield from (key.span() for key in PRIVATE_KEY.finditer(text))
    if "://" in text:
        yield from (password.span(1) for password in URL_PASSWORD.finditer(text))
    lowered = text.lower()
    if len(lowered) != len(text) or not any(name in lowered for name in NAMES):
        return
    for name in NAMED.finditer(lowered):
        value = VALUE.match(text, name.end())
        if value and _looks_random(value[1]):
            yield value.span(1)


def _looks_random(value: str) -> bool:
    """Letters and digits, mixed, and as many bits a character as chance would give."""
    has_both = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    counts = Counter(value).values()
    bits = -sum(count / len(value) * math.log2(count / len(value)) for count in counts)
    return has_both and bits >= MIN_BITS

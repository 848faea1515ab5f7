"""What a picture's licence is: by all the places that show it or a copy of its file, and by its own metadata."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, Self, TypeVar

from crawl.licence_in_file import statements_in_file
from crawl.licence_statements import (
    Licence,
    claim_is_known,
    combined,
    statement_of_claim,
    statement_of_row,
)
from pipelines.ledger import RowRef

_SAID = ("licence", "licence_url", "author", "licence_method")


class Claimed(Protocol):
    """A fetched picture with what is claimed of its licence."""

    @property
    def url(self) -> str:
        """Its URL."""

    @property
    def rank(self) -> tuple[bool, bool, int, int, str]:
        """Of the best of its places."""

    @property
    def claims(self) -> tuple[str, ...]:
        """What its places claim, each once."""

    @property
    def licensed(self) -> RowRef:
        """The best place that names its licence, or else the best place."""

    def _replace(self, *, claims: tuple[str, ...], licensed: RowRef) -> Self: ...


Found = TypeVar("Found", bound=Claimed)


def with_all_claims(found: Found, copies: Iterable[Found]) -> Found:
    """A picture with what the places of all copies of its file claim of the licence, and one that names it."""
    claims = {claim for copy in copies for claim in copy.claims}
    others = sorted((copy.rank[1:], copy.url, copy.licensed) for copy in copies if claim_is_known(copy.claims))
    licensed = found.licensed if claim_is_known(found.claims) or not others else others[0][-1]
    return found._replace(claims=tuple(sorted(claims)), licensed=licensed)


def picture_licence(claims: Iterable[str], licensed: Mapping[str, Any], payload: bytes) -> Licence:
    """What a picture's licence is.

    Args:
        claims: what its places claim.
        licensed: the link row of the best place that names its licence.
        payload: its file.
    """
    told = statement_of_row(*(licensed[name] for name in _SAID))
    others = [statement_of_claim(claim) for claim in claims]
    return combined([told, *others, *statements_in_file(payload)])

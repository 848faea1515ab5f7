"""Placeholders, logos and banners: one file under many unrelated pages says nothing about any of them.

Counted on three sites: each of the 119 pictures of two tree sites stands on 1 to 3 pages, each diagram of a handbook in
two languages on at most 4, and its logos on 127 of each. The defaults, 20 pages and 4 hosts, leave room for a picture
that illustrates a whole section, or is quoted elsewhere.
"""

from crawl.picture_filters.settings import FilterSettings
from crawl.verdict import Verdict


def judge_places(num_pages: int, num_hosts: int, settings: FilterSettings) -> Verdict | None:
    """Return `on_many_pages` where one file stands on more pages, or pages of more hosts, than allowed."""
    for what, number, most in (("pages", num_pages, settings.max_pages), ("hosts", num_hosts, settings.max_hosts)):
        if most and number > most:
            return Verdict("rejected", "on_many_pages", f"more than {most} {what}")
    return None

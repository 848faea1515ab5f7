"""Placeholders, logos and banners: one file under many unrelated pages says nothing about any of them."""

from crawl.picture_filters.settings import FilterSettings
from crawl.verdict import Verdict


def judge_places(num_pages: int, num_hosts: int, settings: FilterSettings) -> Verdict | None:
    """Return `on_many_pages` where one file stands on more pages, or pages of more hosts, than allowed."""
    for what, number, most in (("pages", num_pages, settings.max_pages), ("hosts", num_hosts, settings.max_hosts)):
        if most and number > most:
            return Verdict("rejected", "on_many_pages", f"more than {most} {what}")
    return None

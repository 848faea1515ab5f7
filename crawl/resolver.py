"""Names resolved for aiohttp, checked addresses only; apart from the rules, which recipes are read with too."""

import asyncio
import socket
from collections.abc import Collection, Mapping

from aiohttp.abc import AbstractResolver, ResolveResult

from crawl.addresses import resolve_checked

MAX_ANSWER_AGE_S = 60.0
"""Seconds for which the addresses of a host are remembered; they were checked, and stay so."""

_MAX_ANSWERS = 10_000


class CheckedResolver(AbstractResolver):
    """Resolves names for aiohttp by `resolve_checked`, so that it connects to checked addresses only.

    An answer is good for `MAX_ANSWER_AGE_S`: whoever asks in between is sent to the addresses that were checked.

    Args:
        allow_hosts: hosts that may have any address.
        connect_to: host to "address:port".
    """

    def __init__(self, allow_hosts: Collection[str], connect_to: Mapping[str, str]) -> None:
        self._allow_hosts, self._connect_to = allow_hosts, connect_to
        self._answers: dict[tuple[str, int], tuple[float, list[tuple[str, int, int]]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the checked addresses of a host; aiohttp calls it for names, never for addresses."""
        now = asyncio.get_running_loop().time()
        asked_at, answers = self._answers.get((host, port), (float("-inf"), []))
        if now - asked_at > MAX_ANSWER_AGE_S:
            answers = await asyncio.to_thread(resolve_checked, host, port, self._allow_hosts, self._connect_to)
            if len(self._answers) >= _MAX_ANSWERS:
                self._answers.clear()
            self._answers[host, port] = (now, answers)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=answer_port,
                family=answer_family,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address, answer_port, answer_family in answers
            if family in (socket.AF_UNSPEC, answer_family)
        ]

    async def close(self) -> None:
        """Hold nothing that needs closing."""

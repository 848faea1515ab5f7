"""Whether a recipe can be built here: its hosts, its contact address, and the machine, each with what would do."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.text import Text

from crawl.addresses import OPEN_PORTS, AddressRefusedError, HostNameError, check_url, resolve_checked
from crawl.demo.layout import PAGES_HOST, PICTURES_HOST
from crawl.urls import canonical_url, host_of, port_of
from pipelines.errors import RecipeError
from pipelines.load_recipe import load_recipe
from pipelines.machine import Finding, examine_machine
from pipelines.recipe import CrawlConfig, Recipe

WELL_KNOWN = "https://example.com/"
"""Looked up where no recipe says what to look up. Source: RFC 2606, section 3."""

NOBODYS = "no-such-host.invalid"
"""A name that nobody has. Source: RFC 6761, section 6.4."""

MAX_HOSTS = 50
"""Hosts looked up."""

DEMO = "demo"
"""The bundled recipe of a site that `seedbed demo` serves on this machine."""

_DEMO_OVERRIDES = (f"crawl.connect_to={json.dumps(dict.fromkeys((PAGES_HOST, PICTURES_HOST), '127.0.0.1:80'))}",)

_NOBODYS_DOMAINS = ("example", "example.com", "example.net", "example.org", "invalid", "localhost", "test")
"""Where nobody can be reached. Source: RFC 2606."""

_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def examine(recipe: str | None, overrides: Sequence[str], out: Path, workers: int) -> Iterator[Finding]:
    """Yields what is well and what is wrong, the recipe first.

    Args:
        recipe: a YAML file or the name of a bundled recipe; None looks at the machine and the network alone.
        overrides: values of the recipe.
        out: folder of the build.
        workers: worker processes; 0 is one for each core.
    """
    checked: Recipe | None = None
    if recipe is not None:
        try:
            checked = load_recipe(recipe, [*_DEMO_OVERRIDES, *overrides] if recipe == DEMO else overrides)
        except RecipeError as error:
            yield from (Finding("recipe", False, line, "mend it and try again") for line in str(error).splitlines())
        else:
            yield Finding("recipe", True, f"{recipe}: {', '.join(checked.stages())}")
            yield _contact(checked.contact, is_read=not _is_ours(checked.crawl))
    yield from _names(checked)
    yield from examine_machine(checked, out, workers or os.cpu_count() or 1)


def print_findings(findings: Iterable[Finding], console: Console) -> bool:
    """Prints a line for each finding, and what would do; returns whether all is well."""
    is_well = True
    for each in findings:
        is_well &= each.is_ok
        console.print(Text.assemble((f"{'ok' if each.is_ok else 'wrong':<6}", "bold"), f"{each.about:<11} {each.said}"))
        if each.advice:
            console.print(Text(f"{'':<18}{each.advice}"))
    return is_well


def print_json(findings: Iterable[Finding], console: Console) -> bool:
    """Prints the findings as a JSON list; returns whether all is well."""
    found = list(findings)
    console.print(json.dumps([each._asdict() for each in found], ensure_ascii=False, indent=1), markup=False)
    return all(each.is_ok for each in found)


def _is_ours(config: CrawlConfig) -> bool:
    """Whether all that is asked stands at places that the recipe itself gives: nobody else reads who asks."""
    urls = _urls(config)
    return bool(urls) and all(host_of(url) in config.connect_to for url in urls)


def _contact(contact: str, *, is_read: bool) -> Finding:
    """Looks whether somebody may be reached at the address that site owners read, if any do."""
    is_mail = not contact.startswith(("http://", "https://"))
    url = canonical_url(f"http://{contact.rpartition('@')[2]}/" if is_mail else contact)
    told = "give a web page of yours (https://…) or an e-mail address that you read"
    if url is None or (is_mail and (not contact.partition("@")[0] or contact.count("@") != 1)):
        return Finding("contact", False, f"{contact!r} is neither an e-mail address nor a web page", told)
    host = host_of(url)
    is_nobodys = any(host == domain or host.endswith(f".{domain}") for domain in _NOBODYS_DOMAINS) or "." not in host
    if is_nobodys and is_read:
        return Finding("contact", False, f"{contact}: nobody is reached at {host}", told)
    return Finding("contact", True, f"{contact} stands in the user agent")


def _names(recipe: Recipe | None) -> Iterator[Finding]:
    """Looks up the hosts that a recipe names, many at once, and one that nobody has."""
    config = recipe.crawl if recipe else None
    urls = _urls(config) if config else [WELL_KNOWN]
    with ThreadPoolExecutor(8) as pool:
        is_lied_to = pool.submit(_is_known, NOBODYS)
        yield from pool.map(partial(_look_up, config=config), urls[:MAX_HOSTS])
        if is_lied_to.result():
            told = "use another name server: this one answers for names that do not exist"
            yield Finding("DNS", False, f"{NOBODYS} has an address", told)
    if len(urls) > MAX_HOSTS:
        yield Finding("DNS", True, f"{len(urls) - MAX_HOSTS} more hosts were not looked up")
    proxies = [name for name in os.environ if name.lower() in _PROXIES]
    if proxies:
        yield Finding("proxy", True, f"{', '.join(sorted(proxies))}: not used, a crawl connects by itself")


def _urls(config: CrawlConfig) -> list[str]:
    """An address on each host that the recipe itself names; those in lists and archives are not read for this."""
    written: list[str] = []
    for source in config.sources.values():
        written += getattr(source, "seeds", [])
        written += [url for name in ("api", "index", "data") if isinstance(url := getattr(source, name, None), str)]
    urls = [url for url in map(canonical_url, written) if url is not None]
    return list({host_of(url): url for url in reversed(urls)}.values())[::-1]


def _look_up(url: str, config: CrawlConfig | None) -> Finding:
    host, port = host_of(url), port_of(url)
    allow_hosts, connect_to = (config.allow_hosts, config.connect_to) if config else ([], {})
    try:
        check_url(url, allow_hosts, config.allow_ports if config else OPEN_PORTS)
        answers = resolve_checked(host, port, allow_hosts, connect_to)
    except AddressRefusedError as error:
        told = "if that machine is yours, name the host under crawl.allow_hosts, or the port under crawl.allow_ports"
        return Finding("DNS", False, str(error), told)
    except HostNameError as error:
        return Finding("DNS", False, str(error), "check the spelling")
    except OSError as error:
        told = "check the spelling, the network and the name server (/etc/resolv.conf)"
        return Finding("DNS", False, f"{host} has no address: {error.strerror or error}", told)
    return Finding("DNS", True, f"{host} is at {', '.join(dict.fromkeys(address for address, _, _ in answers))}")


def _is_known(host: str) -> bool:
    try:
        return bool(resolve_checked(host, 80, (host,), {}))
    except OSError:
        return False

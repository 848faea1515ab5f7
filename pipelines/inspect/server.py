"""The inspection page, served: Starlette around the views, on loopback unless told otherwise.

Nothing of a request reaches the file system: views, pictures and files of style are looked up by name, runs and stages
among those there are. Everything crawled is text in autoescaped templates, or a picture encoded anew.
"""

import contextlib
import hashlib
import ipaddress
import platform
import secrets
from collections.abc import Callable, Mapping
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.errors import StageError
from pipelines.inspect.drawings import DRAWINGS, cannot_be_drawn
from pipelines.inspect.exports import export
from pipelines.inspect.query import Query, QueryError
from pipelines.inspect.rendering import (
    FAILURES,
    FRAGMENTS,
    PAGES,
    Frames,
    new_environment,
    read_assets,
    render_fragment,
    render_page,
)
from pipelines.inspect.sources import Source
from pipelines.inspect.verifying import Verifier

LOOPBACK = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = frozenset({"0.0.0.0", "::"})
"""Addresses that stand for all of a machine's, and are no name of it."""

COOKIE = "seedbed-token"

HEADERS = {
    "content-security-policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
KEPT = "private, max-age=31536000, immutable"
"""How long files of style and script are kept: until their address changes. Source: RFC 8246."""

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


class Served:
    """Addresses that this server answers.

    Args:
        assets: files of style and script by name, whose content is in their addresses: browsers may keep them.
    """

    is_live = True

    def __init__(self, assets: Mapping[str, bytes]) -> None:
        self._versions = {name: hashlib.sha256(content).hexdigest()[:12] for name, content in assets.items()}

    def page(self, name: str, params: Mapping[str, str]) -> str:
        """See `Links`."""
        path = "/" if name == "overview" else f"/{name}"
        return f"{path}?{urlencode(params)}" if params else path

    def picture(self, kind: str, params: Mapping[str, str]) -> str:
        """See `Links`."""
        return f"/picture/{kind}?{urlencode(params)}"

    def ladder(self, params: Mapping[str, str]) -> Frames:
        """See `Links`."""
        return Frames(f"/picture/ladder?{urlencode(params)}&percent={{}}", 1)

    def asset(self, name: str) -> str:
        """See `Links`."""
        return f"/static/{name}?{self._versions[name]}"

    def later(self, name: str, params: Mapping[str, str]) -> Markup:
        """See `Links`."""
        address = f"/fragment/{name}?{urlencode(params)}"
        return Markup('<div class="later" data-from="{}" aria-busy="true"><p class="soft">…</p></div>').format(address)


class Guard:
    """Lets through what was meant for this server: by its Host header and, where others reach it, by a token.

    Args:
        app: what is guarded.
        host: the address that is listened on.
        token: asked for once in the address, then kept in a cookie; "" where only this machine reaches it.
    """

    def __init__(self, app: ASGIApp, host: str, token: str) -> None:
        self._app, self._token = app, token
        own = {host, platform.node().lower()} if token else set()
        self._hosts = {*LOOPBACK, *own} - EVERYWHERE
        self._is_any_address = bool(token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or refuses it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(Request(scope))

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                more = [(n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in own]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, request: Request) -> Response | None:
        host = _host_of(request.headers.get("host", ""))
        if host not in self._hosts and not (self._is_any_address and _is_address(host)):
            return Response("this host is not served here: open the address that seedbed inspect printed\n", 421)
        if request.method == "POST" and not _is_own(request):
            return Response("asked from another site\n", 403)
        if not self._token:
            return None
        given = request.query_params.get("token", "")
        if given and secrets.compare_digest(given.encode(), self._token.encode()):
            clean = request.url.remove_query_params("token")
            answer = RedirectResponse(f"{clean.path}{'?' if clean.query else ''}{clean.query}", 303)
            answer.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
            return answer
        cookie = SimpleCookie(request.headers.get("cookie", "")).get(COOKIE)
        if cookie is not None and secrets.compare_digest(cookie.value.encode(), self._token.encode()):
            return None
        return Response("open the address with the token that seedbed inspect printed\n", 403)


class Answers:
    """What is answered to each kind of request.

    Args:
        source: what is looked at.
    """

    def __init__(self, source: Source) -> None:
        self._source, self._assets, self._verifier = source, read_assets(), Verifier(source)
        self._environment = new_environment(Served(self._assets))

    def page(self, request: Request) -> Response:
        """A view."""
        name = request.path_params.get("name", "overview")
        if name not in PAGES:
            rendered = self._environment.get_template("missing.html").render(name=self._source.name)
            return Response(rendered, 404, media_type="text/html")
        found = render_page(self._source, self._environment, name, _asked(request))
        status = 400 if found.asked_wrongly else 404 if found.not_there else 200
        return Response(found.text, status, media_type="text/html")

    def fragment(self, request: Request) -> Response:
        """A part of a view that comes later."""
        name = request.path_params["name"]
        if name not in FRAGMENTS:
            return Response("no such part\n", 404)
        found = render_fragment(self._source, self._environment, name, _asked(request))
        return Response(found.text, 400 if found.asked_wrongly else 200, media_type="text/html")

    def picture(self, request: Request) -> Response:
        """A drawing."""
        draw = DRAWINGS.get(request.path_params["kind"])
        if draw is None:
            return Response("no such picture\n", 404)
        try:
            return Response(draw(self._source, _asked(request)), media_type="image/png")
        except QueryError as error:
            return Response(f"{error}\n", 400)
        except FAILURES:
            return Response(cannot_be_drawn(), media_type="image/png")

    def table(self, request: Request) -> Response:
        """A table to take along."""
        try:
            data, media_type, name = export(self._source, _asked(request))
        except (QueryError, *FAILURES) as error:
            return Response(f"{error}\n", 400)
        return Response(data, media_type=media_type, headers={"content-disposition": f'attachment; filename="{name}"'})

    def asset(self, request: Request) -> Response:
        """A file of style or script."""
        name = request.path_params["name"]
        if name not in self._assets:
            return Response("no such file\n", 404)
        media_type = TYPES.get(Path(name).suffix, "text/plain")
        return Response(self._assets[name], media_type=media_type, headers={"cache-control": KEPT})

    def verification(self, request: Request) -> Response:
        """How far the verification is, which a POST begins."""
        if request.method == "POST":
            self._verifier.start(deep=request.query_params.get("deep") == "1")
        text = self._environment.get_template("verification.html").render(view=self._verifier.latest)
        return Response(text, media_type="text/html")


def new_app(source: Source, host: str = LOOPBACK[0], token: str = "") -> ASGIApp:
    """The application; see `Guard` for the arguments."""
    answers = Answers(source)
    routes = [
        Route("/", answers.page),
        Route("/static/{name}", answers.asset),
        Route("/picture/{kind}", answers.picture),
        Route("/fragment/{name}", answers.fragment),
        Route("/export", answers.table),
        Route("/verification", answers.verification, methods=["GET", "POST"]),
        Route("/{name}", answers.page),
    ]
    return Guard(Starlette(routes=routes), host, token)


def serve(source: Source, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serves what is in a folder until it is interrupted.

    Args:
        source: what is looked at.
        host: address to listen on; on all but loopback a token is asked for.
        port: 0 takes a free one.
        announce: is told the address when the page can be opened.

    Raises:
        StageError: the address cannot be listened on.
    """
    import uvicorn  # noqa: PLC0415 - not for who tests the application

    token = "" if host in LOOPBACK else secrets.token_urlsafe(24)
    config = uvicorn.Config(new_app(source, host, token), host, port, log_level="error", server_header=False)
    try:
        listening = config.bind_socket()
    except SystemExit as error:  # uvicorn has said what the machine says
        raise StageError(f"cannot listen on {host}, port {port}; give another --port, or 0 for a free one") from error
    with listening, contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is how it ends
        name = platform.node() if host in EVERYWHERE else host
        shown = f"[{name}]" if ":" in name else name
        announce(f"http://{shown}:{listening.getsockname()[1]}/{f'?token={token}' if token else ''}")
        uvicorn.Server(config).run(sockets=[listening])


def _asked(request: Request) -> Query:
    return Query(dict(request.query_params))


def _host_of(header: str) -> str:
    """The host that a Host header names, without its port."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return (
        header.rpartition(":")[0].lower() if header.rpartition(":")[2].isdigit() and ":" in header else header.lower()
    )


def _is_address(host: str) -> bool:
    """Whether a host is an address in digits, which no name server can point elsewhere."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_own(request: Request) -> bool:
    """Whether a request comes from a page of this server."""
    return request.headers.get("origin", "").partition("://")[2] == request.headers.get("host")

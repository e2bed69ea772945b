"""Who may ask, and what: host, origin, method and token of every request, and the headers of every answer.

The dashboard only reads. What is left to guard is who reads: a page of another site must not (DNS rebinding,
cross-site requests), nor must somebody else on the network.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import Flask, Response, request

MIN_TOKEN_CHARACTERS = 16
# Dash's callbacks: the one thing that is posted.
CALLBACK_PATH = "/_dash-update-component"
_MAX_POST_BYTES = 4 * 1024 * 1024
_COOKIE_SECONDS = 30 * 86_400
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who is let in.

    Attributes:
        host: address that the server is bound to.
        port: of the server.
        token: asked of everybody; None asks nobody.
        allowed_hosts: further values of the Host header: `name`, at any port, or `name:port`.
    """

    host: str
    port: int
    token: str | None = None
    allowed_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.token is not None and len(self.token) < MIN_TOKEN_CHARACTERS:
            raise ValueError(
                f"token: has {len(self.token)} characters; it must have at least {MIN_TOKEN_CHARACTERS}. One "
                'that nobody guesses: python -c "import secrets; print(secrets.token_urlsafe())"'
            )

    @property
    def cookie_name(self) -> str:
        """Browsers share cookies between the ports of a host, so the port is in it."""
        return f"rcsweep_dash_{self.port}"

    @property
    def cookie_value(self) -> str:
        """Proof of the token that does not tell it, and stays good when the server is started again."""
        assert self.token is not None
        return hmac.new(self.token.encode(), b"rcsweep dash cookie", hashlib.sha256).hexdigest()

    def allows_host(self, header: str | None) -> bool:
        """Whether a Host header names this server: another site's name that resolves to it does not."""
        name, port = _split_host(header or "")
        if not name:
            return False
        for allowed in self.allowed_hosts:
            allowed_name, allowed_port = _split_host(allowed)
            if name == allowed_name and allowed_port in (None, port):
                return True
        if port != self.port and not (port is None and self.port == 80):
            return False
        if name in _LOOPBACK_NAMES or name == self.host.lower():
            return True
        # Bound to all of the machine's addresses. Others can make a name lead here, but not an address.
        return is_wildcard(self.host) and _is_address(name)

    def allows_origin(self, origin: str | None, host: str | None) -> bool:
        """Whether a request that changes browsers' state comes from a page of this very server."""
        if origin is None:
            return False
        parts = urlsplit(origin)
        return parts.scheme in ("http", "https") and bool(host) and parts.netloc.lower() == str(host).lower()

    def accepts(self, token: str) -> bool:
        """Whether it is the token; takes equally long wherever it differs."""
        return self.token is not None and hmac.compare_digest(token.encode(), self.token.encode())


def is_loopback(host: str) -> bool:
    """Whether an address to bind to is reached from this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_wildcard(host: str) -> bool:
    """Whether an address to bind to means all of the machine's."""
    return host in ("0.0.0.0", "::", "[::]", "*")


def guard(server: Flask, access: Access, script_hashes: Callable[[], Sequence[str]]) -> None:
    """Put every route of a server behind the rules; to be called before any route is added.

    Args:
        server: of the dashboard.
        access: who is let in.
        script_hashes: of Dash's inline scripts, as a Content-Security-Policy has them.
    """
    server.config["MAX_CONTENT_LENGTH"] = _MAX_POST_BYTES

    @server.before_request
    def check() -> Response | None:
        return refusal(access)

    @server.after_request
    def add_headers(response: Response) -> Response:
        response.headers.update(headers(script_hashes()))
        # Dash's own scripts and ours are the same for everybody; what tells of experiments is kept nowhere.
        if (
            not request.path.startswith(("/_dash-component-suites/", "/assets/"))
            or response.status_code >= 400
        ):
            response.headers["Cache-Control"] = "no-store"
        return response


def refusal(access: Access) -> Response | None:
    """What to answer the current request instead of what it asks for; None lets it pass."""
    if not access.allows_host(request.environ.get("HTTP_HOST")):
        return _page(
            400,
            "This address is not served",
            "The dashboard answers to the host and port it was started with. To reach it by another name, "
            "start it with --allow-host NAME.",
        )
    if request.method == "POST" and request.path == CALLBACK_PATH:
        if not access.allows_origin(request.headers.get("Origin"), request.environ.get("HTTP_HOST")):
            return _page(403, "Refused", "This request comes from another site's page.")
    elif request.method not in ("GET", "HEAD"):
        response = _page(405, "Refused", "The dashboard only reads: GET and HEAD.")
        response.headers["Allow"] = "GET, HEAD"
        return response
    return None if access.token is None else _refusal_without_token(access)


def _refusal_without_token(access: Access) -> Response | None:
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and access.accepts(bearer.strip()):
        return None
    given = request.args.get("token")
    if given is not None and access.accepts(given):
        return _welcome(access)
    cookie = request.cookies.get(access.cookie_name, "")
    if hmac.compare_digest(cookie.encode(), access.cookie_value.encode()):
        return None
    reason = "The token in the address is wrong." if given is not None else "This dashboard asks for a token."
    response = _page(
        401,
        "Token needed",
        f"{reason} Open the whole address that rcsweep dash printed when it was started: it ends in ?token= "
        "and the token. Programs send the header Authorization: Bearer TOKEN.",
        # A browser that follows a link from another site brings its cookie only on the next click.
        link=request.path if given is None else None,
    )
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _welcome(access: Access) -> Response:
    """The same address without the token, and a cookie in its place: tokens do not stay in histories."""
    rest = [
        (key, value)
        for key, value in parse_qsl(request.query_string.decode("utf-8", "replace"), keep_blank_values=True)
        if key != "token"
    ]
    # The path alone, with one slash: `//elsewhere` would lead to another host.
    target = "/" + request.path.lstrip("/\\") + ("?" + urlencode(rest) if rest else "")
    response = Response(status=303, headers={"Location": target})
    response.set_cookie(
        access.cookie_name,
        access.cookie_value,
        max_age=_COOKIE_SECONDS,
        httponly=True,
        samesite="Strict",
        secure=request.is_secure,
        path="/",
    )
    return response


def headers(script_hashes: Sequence[str]) -> dict[str, str]:
    """Of every answer. Styles may be inline: plotly.js and Dash write them; scripts may not."""
    policy = {
        "default-src": "'none'",
        "script-src": " ".join(["'self'", *script_hashes]),
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


def _page(status: int, title: str, sentence: str, link: str | None = None) -> Response:
    again = f'<p><a href="{escape(link)}">I have opened it before: go on</a></p>' if link else ""
    return Response(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<main><h1>{escape(title)}</h1><p>{escape(sentence)}</p>{again}</main></html>",
        status=status,
        content_type="text/html; charset=utf-8",
    )


def _split_host(text: str) -> tuple[str, int | None]:
    """Name and port of `name`, `name:port`, `[::1]:port`; an empty name where it is none of these."""
    try:
        parts = urlsplit(f"//{text.strip()}")
        name, port = parts.hostname or "", parts.port
    except ValueError:
        return "", None
    is_plain = not (parts.path or parts.query or parts.fragment or parts.username or parts.password)
    return (name.rstrip(".").lower(), port) if is_plain else ("", None)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

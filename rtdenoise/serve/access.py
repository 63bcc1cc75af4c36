"""Who may use a server: whoever knows a token, and no web page of somebody else."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection


class Access:
    """Who may use a server.

    Args:
        tokens: Secrets of which a client must know one. Empty: it needs none.
        origins: Web pages that may connect beside the server's own, as "https://example.org".
    """

    def __init__(self, tokens: Iterable[str], origins: Iterable[str]) -> None:
        self._digests, self._origins = [_digest(token) for token in tokens], set(origins)

    def known(self, token: str | None) -> bool:
        """Return whether a client may use the server; the time does not depend on the token."""
        given = _digest(token or "")
        same = [hmac.compare_digest(given, digest) for digest in self._digests]
        return any(same) or not self._digests

    def page_may_ask(self, asker: HTTPConnection) -> bool:
        """Return whether the web page that asks may do so; programs that are no browser have none.

        A browser lets every page connect to this machine. The server's own page is at an address
        or at localhost; a name could be one of somebody else that was made to mean this machine.
        """
        origins = asker.headers.getlist("origin")
        if not origins or (len(origins) == 1 and origins[0] in self._origins):
            return True
        page, host = _page_of(origins[0]), asker.headers.get("host", "")
        return len(origins) == 1 and page == host.lower() and _is_address(page)


def is_loopback(host: str) -> bool:
    """Return whether only programs on this machine can reach *host*."""
    with suppress(ValueError):
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    return False


def read_tokens(text: str) -> tuple[str, ...]:
    """Return the tokens in the text of a file: one a line; # begins a comment."""
    lines: Iterable[str] = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


def bearer(asker: HTTPConnection) -> str | None:
    """Return the token of the header Authorization."""
    kind, _, token = asker.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def _page_of(origin: str) -> str | None:
    """Return the host and the port of a page."""
    try:
        return urlsplit(origin).netloc
    except ValueError:  # as "http://["
        return None


def _is_address(place: str | None) -> bool:
    """Return whether a host is localhost or an address, which no name server can give away."""
    name = re.sub(r":\d*$", "", place or "").strip("[]")
    if name == "localhost":
        return True
    with suppress(ValueError):
        return bool(ipaddress.ip_address(name))
    return False

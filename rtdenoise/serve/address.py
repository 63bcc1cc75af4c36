"""The address of a server of streams, and why it could not be reached, in words."""

from __future__ import annotations

import json
import socket
import ssl
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from ..errors import Problem, ServerError, UsageError, last_line, printable, reason_of
from .protocol import PATH

SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
PROBLEMS = {Problem.TOKEN, Problem.FULL, Problem.IDLE}  # those that a server names as we do


def needed(name: str) -> Any:
    """Import the package that streams need.

    Raises:
        UsageError: If it is not installed.
    """
    try:
        return import_module(name)
    except ImportError:
        raise UsageError(
            f"streams need the package {name.partition('.')[0]}: pip install 'rtdenoise[serve]' "
            "(from a checkout: pip install '.[serve]')"
        ) from None


@dataclass(frozen=True)
class Address:
    """The address of a server.

    Attributes:
        url: The whole address, for the library.
        place: Scheme, host and port, for people; a password in the address is not in it.
    """

    url: str
    place: str

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the address that *text* means.

        Raises:
            UsageError: If it is none.

        >>> Address.of("http://127.0.0.1:8765").url
        'ws://127.0.0.1:8765/v1/stream'
        """
        try:
            parts = urlsplit(text)
            scheme, host, port = SCHEMES.get(parts.scheme), parts.hostname, parts.port
        except ValueError:
            scheme, host, port = None, None, None
        if not scheme or not host or parts.query or parts.fragment or parts.username:
            shown = printable(text.rpartition("@")[2].partition("?")[0].partition("#")[0])
            raise UsageError(
                f"{shown} is no address of a server: wanted ws://HOST:PORT, or wss://HOST:PORT "
                "if it has a certificate; a token is given apart from it"
            )
        name = f"[{host}]" if ":" in host else host
        place = f"{scheme}://{name}:{port}" if port else f"{scheme}://{name}"
        return cls(place + (parts.path.rstrip("/") or PATH), place)

    def __str__(self) -> str:
        return printable(self.place)

    def context(self, authority: str | Path | None) -> ssl.SSLContext | None:
        """Return what TLS needs. None: the address is without.

        Raises:
            UsageError: If the file of certificates cannot be read, or makes no sense here.
        """
        if not self.url.startswith("wss:"):
            if authority is not None:
                raise UsageError(f"{self} is without TLS: certificates need wss://")
            return None
        try:
            return ssl.create_default_context(cafile=authority)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"{printable(authority)} has no certificates (PEM): {reason_of(error)}"
            ) from None

    def read(self, message: str | bytes) -> dict[str, Any]:
        """Return a message in words.

        Raises:
            ServerError: If it is none of the protocol.
        """
        try:
            said = json.loads(message) if isinstance(message, str) else None
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise ServerError(
                f"{self} speaks WebSocket, but is no server of streams: it sent "
                f"{printable(repr(message[:60]))}",
                Problem.NO_SERVER,
            )
        return said

    def refusal(self, message: dict[str, Any]) -> ServerError:
        """Return the error that a server's message is."""
        text, name = message.get("error"), message.get("problem")
        if text is None:
            return ServerError(f"{self} is no server of streams: its answer has no `ready`")
        problem = Problem(name) if name in PROBLEMS else Problem.NONE
        retry_s = message.get("retry_s")
        told = f"{self}: {printable(text)}"
        if not isinstance(retry_s, int | float):
            return ServerError(told, problem)
        again = f"; it may be asked again in {retry_s:g} s"
        return ServerError(told + again, problem or Problem.FULL, float(retry_s))

    def failed(self, error: Exception) -> ServerError:
        """Return the error that says why there is no connection.

        Args:
            error: The error of the system, of TLS, or of the library.
        """
        faults = needed("websockets.exceptions")
        broken_off = isinstance(error, ConnectionResetError) and self.url.startswith("wss:")
        if isinstance(error, ssl.SSLError) or broken_off:
            return ServerError(f"{self}: {_tls(error)}", Problem.TLS)
        if isinstance(error, faults.InvalidStatus):
            code = error.response.status_code
            return ServerError(f"{self} is no server of streams, or refuses: HTTP {code}")
        if isinstance(error, faults.ConnectionClosed):
            why = f"it closed the connection at once ({error})"
        elif isinstance(error, faults.WebSocketException):
            why = f"it does not speak WebSocket ({last_line(error)}). Does it want wss://?"
            return ServerError(f"{self} is no server of streams: {why}", Problem.TLS)
        elif isinstance(error, TimeoutError):
            why = "it does not answer"
        elif isinstance(error, socket.gaierror):
            why = f"the name is not known ({reason_of(error)})"
        elif isinstance(error, ConnectionRefusedError):
            why = "nothing listens there"
        else:
            why = reason_of(error) if isinstance(error, OSError) else last_line(error)
        return ServerError(f"there is no server at {self}: {why}", Problem.NO_SERVER)


def _tls(error: Exception) -> str:
    """Return why TLS failed, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    reason = getattr(error, "reason", None)
    if reason in (None, "WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return "it does not speak TLS, as it seems: without TLS, the address begins with ws://"
    return f"TLS failed ({reason.replace('_', ' ').lower()})"

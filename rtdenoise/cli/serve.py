"""Serve models to many live streams, over WebSockets: one connection a stream.

  rtdenoise serve                            serve `speech` to programs on this machine
  rtdenoise serve -m speech -m music         serve two models; the first one is the default
  rtdenoise serve --board call.toml          serve a board of effects, which is called `call`
  rtdenoise serve --page                     also serve a page with a microphone, to try it
  rtdenoise serve --on ray --replicas 4      serve with four processes on a Ray cluster
  rtdenoise serve --host 0.0.0.0 --token-file tokens --tls-cert cert.pem --tls-key key.pem

The address of streams is printed when clients can connect. A client sends 16-bit or float samples
at any rate, and gets them back processed; docs/serve.md has the messages. Clients choose among the
models and boards that are named here, and never name a file. /health and /metrics are at the same
port.

As many streams are taken as one core carries, which is measured at the start; --most sets another
number. The first Ctrl-C or SIGTERM lets the streams end (--drain), the second one ends them.

Exit codes: 0 ended by Ctrl-C or SIGTERM, 2 usage, 4 model.
"""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError, printable, reason_of
from .arguments import DEFAULT_MODEL, HERE, add_on, cluster_of, file_name
from .interrupt import until_interrupted
from .log import log_line

if TYPE_CHECKING:
    from ..serve.server import Settings

WAIT_S = 0.5  # longest single wait: on Windows, Ctrl-C cannot interrupt it
HELP = "serve models to many live streams, over WebSockets"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is served, the address, who may use it, and the limits to *parser*."""
    parser.add_argument(
        "-m",
        "--model",
        action="append",
        metavar="MODEL",
        help=f"model: one to serve, by name or file; may be given again (default: {DEFAULT_MODEL})",
    )
    parser.add_argument(
        "--board",
        action="append",
        type=file_name,
        default=[],
        metavar="TOML",
        help="run this board of effects instead of one model; may be given again",
    )
    parser.add_argument("--page", action="store_true", help="serve a page with a microphone at /")
    where = parser.add_argument_group("address")
    where.add_argument(
        "--host", default="127.0.0.1", help="address to listen at (default: this machine only)"
    )
    where.add_argument(
        "--port",
        type=int,
        default=8765,
        metavar="N",
        help="port of the page, and of all else; 0 takes a free one (default: 8765)",
    )
    where.add_argument("--tls-cert", type=file_name, metavar="PEM", help="certificate, for wss://")
    where.add_argument("--tls-key", type=file_name, metavar="PEM", help="key of the certificate")
    many = parser.add_argument_group("replicas")
    add_on(many, HERE)
    many.add_argument(
        "--replicas", type=int, metavar="N", help="processes on Ray, a core each (default: 1)"
    )
    who = parser.add_argument_group("who may use it")
    who.add_argument(
        "--token-file",
        type=file_name,
        metavar="FILE",
        help="file of secrets, one a line, of which a client must know one",
    )
    who.add_argument(
        "--no-token", action="store_true", help="let everybody use it who reaches the address"
    )
    who.add_argument(
        "--origin",
        action="append",
        default=[],
        metavar="URL",
        help="web page that may connect, as https://example.org; may be given again",
    )
    limits = parser.add_argument_group("limits")
    limits.add_argument("--most", type=int, metavar="N", help="streams at once (default: measured)")
    limits.add_argument(
        "--idle", type=float, default=30.0, metavar="S", help="silence of a client, in s (30)"
    )
    limits.add_argument(
        "--drain", type=float, default=30.0, metavar="S", help="time for streams to end, in s (30)"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until a signal; return the exit code."""
    try:
        from ..serve.menu import Menu
        from ..serve.run import Address, Listener, run
    except ModuleNotFoundError as error:
        raise UsageError(
            f"a server needs the package {error.name}: pip install 'rtdenoise[serve]' (from a "
            "checkout: pip install '.[serve]')"
        ) from None
    from ..live.drive import quiet_interpreter

    settings = _settings(args)
    if args.on != HERE:
        return _run_on_ray(args, settings)
    certificate, key = (Path(name) if name else None for name in (args.tls_cert, args.tls_key))
    address = Address(args.host, args.port, certificate, key)
    menu = Menu(args.model or ([] if args.board else [DEFAULT_MODEL]), args.board)
    listener = Listener(menu, settings, address)

    def begun() -> None:
        print(listener.url, flush=True)
        log_line(
            f"rtdenoise serve: {', '.join(menu.names)}; {listener.server.most} streams at most; "
            "Ctrl-C lets them end, a second one ends them"
        )

    with quiet_interpreter():
        run(listener, begun)
    return 0


def _run_on_ray(args: argparse.Namespace, settings: Settings) -> int:
    """Serve with replicas on a Ray cluster until a signal; return the exit code."""
    from functools import partial

    from ..nets.box import source
    from ..serve.menu import Menu
    from ..serve.onray import application, deployed, on_ray

    address = cluster_of(args.on)
    models, boards = args.model or ([] if args.board else [DEFAULT_MODEL]), args.board
    Menu(models, boards)  # what is wrong with them is told here, and not by a replica
    places = tuple(str(Path(name).absolute()) for name in boards)
    build = partial(application, tuple(map(source, models)), places, on_ray(settings))
    count = args.replicas or 1
    signal.set_wakeup_fd(-1)  # `main` would end this process 5 s after a signal, streams or not
    with deployed(build, count, args.host, args.port, address, args.drain) as url:
        print(url, flush=True)
        log_line(f"rtdenoise serve: {count} replicas on Ray; Ctrl-C lets their streams end")
        with until_interrupted() as stop:
            while not stop.wait(WAIT_S):
                pass
    return 0


def _settings(args: argparse.Namespace) -> Settings:
    """Return the settings that the options name.

    Raises:
        UsageError: If they contradict each other, or are out of range.
    """
    from ..serve.access import is_loopback
    from ..serve.server import Settings

    refusals = {
        f"--most {args.most}: wanted 1 or more": args.most is not None and args.most < 1,
        f"--idle {args.idle:g}: wanted more than 0 s": not args.idle > 0,
        f"--drain {args.drain:g}: wanted 0 s or more": not args.drain >= 0,
        "--replicas is about a Ray cluster: give --on": args.replicas is not None
        and args.on == HERE,
        f"--replicas {args.replicas}: wanted 1 or more": args.replicas is not None
        and args.replicas < 1,
        "--tls-cert is not for Ray, whose proxies have settings of their own: leave it out": (
            args.tls_cert and args.on != HERE
        ),
        "--tls-key is the key of a certificate: give --tls-cert": args.tls_key
        and not args.tls_cert,
        "--token-file and --no-token exclude each other: leave one out": args.token_file
        and args.no_token,
        f"--host {printable(args.host)} can be reached from other machines: give --token-file, or "
        "--no-token to let everybody in": not (
            is_loopback(args.host) or args.token_file or args.no_token
        ),
    }
    for message, refused in refusals.items():
        if refused:
            raise UsageError(message)
    return Settings(
        most=args.most,
        tokens=_tokens(args.token_file) if args.token_file else (),
        origins=tuple(args.origin),
        page=args.page,
        idle_s=args.idle,
        drain_s=args.drain,
    )


def _tokens(path: str) -> tuple[str, ...]:
    """Return the secrets in a file.

    Raises:
        UsageError: If it cannot be read, or has none.
    """
    from ..serve.access import read_tokens

    try:
        tokens = read_tokens(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the tokens in {path}: {reason_of(error)}") from None
    if not tokens:
        raise UsageError(f"{path} has no token: wanted one a line")
    return tokens

"""Clean a sound file at a server, which `rtdenoise serve` runs there.

  rtdenoise stream ws://studio:8765 talk.wav                  write talk.denoised.wav beside it
  rtdenoise stream wss://studio:8765 talk.mp4 -o clean.mp4    the same, over TLS
  rtdenoise stream ws://127.0.0.1:8765 - < in.wav > out.wav   read stdin, write stdout

The output is that of `rtdenoise file` with the model of the server: it keeps rate, channels,
format, length and timing, and appears whole or not at all. If the connection breaks, the sound that
was on its way is sent again.

A secret that the server wants comes from --token-file or the variable RTDENOISE_TOKEN. Without TLS
(ws://), everybody between here and there can read it, and hear the sound.

Exit codes: 0 done, 1 the file, 2 usage, 4 the net failed, 5 the server, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import Problem, UsageError, reason_of
from . import file
from .arguments import add_force, add_json, add_mix, add_quality, add_quiet, file_name
from .log import log_line

if TYPE_CHECKING:
    from ..serve.client import Event
    from ..serve.remote import AtServer

HELP = "clean a sound file at a server"
ADVICE = file.ADVICE | {
    Problem.NO_SERVER: "To start one there: rtdenoise serve",
    Problem.TOKEN: "Give the file that has it: --token-file FILE",
    Problem.TLS: "The file of certificates that vouch for the server: --tls-ca PEM",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the server, the file, and what the server is asked for to *parser*."""
    parser.add_argument("url", metavar="URL", help="address: ws://HOST:PORT, or wss:// with TLS")
    parser.add_argument("input", type=file_name, metavar="IN", help="sound file; - is stdin")
    parser.add_argument("-o", "--out", type=file_name, metavar="FILE", help="output; - is stdout")
    add_force(parser)
    add_quality(parser)
    parser.add_argument(
        "-m",
        "--model",
        metavar="NAME",
        help="model: one of the server's, or a board (default: its first)",
    )
    add_mix(parser)
    parser.add_argument(
        "--token-file",
        type=file_name,
        metavar="FILE",
        help="file of secrets, of which the server is told the first",
    )
    parser.add_argument(
        "--tls-ca", type=file_name, metavar="PEM",
        help="certificates that vouch for the server (default: those of the system)",
    )  # fmt: skip
    add_json(parser, "an object for the file")
    add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    """Send the file and write what comes back; return the exit code."""
    from ..files.batch import Naming, plan
    from ..files.offline import process_file
    from ..sound.pending import STD
    from .reporter import as_dict, sentence

    planned = plan([args.input], Naming(args.out, force=args.force), False, [])
    for _, error in planned.failed:
        raise error
    job = planned.jobs[0]
    if job.target == STD and (args.json or sys.stdout.isatty()):
        raise UsageError("the sound would go to stdout: give -o FILE")
    effect = _effect(args)
    report = process_file(job.source, job.target, effect, kbps=args.quality, overwrite=args.force)
    remote = effect.last
    line = as_dict(report, str(remote.ready["model"] if remote else args.model))
    if remote is not None:
        line["latency"] = remote.ready["latency_samples"]
        line |= {"server": str(remote.address), "repeated": remote.repeated}
    if args.json:
        print(json.dumps(line))
    if not args.quiet:
        print(sentence(line), file=sys.stderr)
        for warning in filter(None, (*report.warnings, report.partial)):
            print(f"  warning: {warning}", file=sys.stderr)
    return 1 if report.partial else 0


def _effect(args: argparse.Namespace) -> AtServer:
    """Return the server as an effect."""
    from ..serve.client import Hello
    from ..serve.remote import AtServer

    hello = Hello(48_000, 1, "f32", args.model, args.mix, args.atten_lim, _token(args.token_file))
    return AtServer(args.url, hello, args.tls_ca, _told)


def _told(event: Event) -> None:
    """Print what went wrong, and that it goes on."""
    if event.kind in ("away", "resumed", "draining"):
        log_line(f"rtdenoise stream: {event.text}")


def _token(path: str | None) -> str | None:
    """Return the secret in the file *path*, or that of the environment."""
    if path is None:
        return os.environ.get("RTDENOISE_TOKEN") or None
    from ..serve.access import read_tokens

    try:
        tokens = read_tokens(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the token in {path}: {reason_of(error)}") from None
    if not tokens:
        raise UsageError(f"{path} has no token: wanted it in the first line")
    return tokens[0]

"""Control a live run from another terminal, a script or a key of the desktop.

  rtdenoise ctl status                   show what runs, its levels, delay and hop times
  rtdenoise ctl bypass                   switch between the input and the cleaned sound
  rtdenoise ctl mix 60                   60 % of cleaned sound, the rest is the input
  rtdenoise ctl atten-lim 12             remove at most 12 dB; none: no limit
  rtdenoise ctl model speech-small       crossfade to another model, by name or path
  rtdenoise ctl board call.toml          crossfade to a board of effects
  rtdenoise ctl parameters               list what `set` can set
  rtdenoise ctl set 1/threshold_db -30   set a parameter of the first effect on the board
  rtdenoise ctl record talk.flac         record the output from now on; --stop ends it
  rtdenoise ctl mark "it crackled"       keep the last seconds for `rtdenoise replay`
  rtdenoise ctl quit                     end the run, as Ctrl-C does

If several runs are there, --host chooses one, by its process number or its preset; `ctl list` shows
them. docs/control.md has every command with an example.

Exit codes: 0 done, 1 a file could not be written, 2 usage, 3 no run is there, or it is gone,
4 model.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import DeviceError, Problem
from ..live import hosts
from .arguments import add_force, add_json, file_name
from .control_lines import (
    changed_text,
    events_text,
    parameters_text,
    plain,
    record_text,
    status_text,
)

HELP = "control a live run: bypass, strength, model, board, recording"
ADVICE = {
    Problem.EXISTS: "Choose another name, or overwrite it: -f",
    Problem.NO_HOST: "To start one: rtdenoise live",
    Problem.HOSTS: "Give its number or its preset: --host NUMBER",
}
SWITCHES = {"on": True, "off": False, "toggle": "toggle"}
WORDS = {"on": True, "true": True, "off": False, "false": False, "none": None}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands to *parser*."""
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, text: str, shown: Callable[[Any], str]) -> argparse.ArgumentParser:
        """Add a command whose answer *shown* turns into lines for people."""
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        command.set_defaults(shown=shown)
        if name != "list":
            command.add_argument(
                "--host", metavar="NUMBER|PRESET", help="which run (default: the only one)"
            )
        add_json(command, "the answer")
        return command

    add("status", "show what runs, its levels, delay and hop times", status_text)
    add("list", "list the runs that can be controlled", _list_text)
    for name, text in (
        ("bypass", "give the aligned input in place of the cleaned sound"),
        ("residual", "give what is removed in place of what is kept"),
    ):
        add(name, text, plain).add_argument(
            "value", nargs="?", type=_switch, default="toggle", metavar="on|off|toggle",
            help="(default: toggle)",
        )  # fmt: skip
    mix = add("mix", "set the share of the cleaned sound", "{:g} %".format)
    mix.add_argument("value", type=float, metavar="PERCENT", help="0 to 100")
    limit = add("atten-lim", "set the most that is removed", _limit_text)
    limit.add_argument("value", type=_limit, metavar="DB|none", help="0 to 100; none: no limit")
    model = add("model", "crossfade to another model", changed_text)
    model.add_argument("value", type=_model, metavar="NAME|PATH", help="the model")
    board = add("board", "crossfade to a board of effects", changed_text)
    board.add_argument("value", type=_file, metavar="TOML", help="the board file")
    add("parameters", "list the parameters of the effects that run", parameters_text)
    one = add("set", "set a parameter of an effect that runs", plain)
    one.add_argument("path", metavar="PATH", help="which, as `rtdenoise ctl parameters` lists it")
    one.add_argument("value", type=_value, metavar="VALUE", help="a number, on, off or a choice")
    record = add("record", "record the output from now on, or end that", record_text)
    which = record.add_mutually_exclusive_group(required=True)
    which.add_argument("value", nargs="?", type=_output, metavar="FILE", help="file to record to")
    which.add_argument("--stop", action="store_true", help="end the recording that runs")
    add_force(record)
    mark = add("mark", "mark this moment, and keep the last seconds", plain)
    mark.add_argument("text", nargs="?", default="", metavar="TEXT", help="a remark")
    events = add("events", "list what happened to the run", events_text)
    events.add_argument("--since", type=int, default=0, metavar="N", help="from this number on")
    add("quit", "end the run, as Ctrl-C does", lambda _: "the run ends")


def run(args: argparse.Namespace) -> int:
    """Send the request, and print the answer; return the exit code."""
    if args.command == "list":
        answer: Any = list(_statuses())
    else:
        keys = ("value", "path", "text", "since")
        with hosts.choose(args.host) as host:
            given: dict[str, Any] = {key: getattr(args, key) for key in keys if hasattr(args, key)}
            if getattr(args, "force", False):
                given["overwrite"] = True
            answer = host.ask(args.command, **given)
    print(json.dumps(answer) if args.json else args.shown(answer))
    return 0


def _statuses() -> Any:
    """Yield the status of each run that answers."""
    for pid in hosts.running():
        with suppress(DeviceError), hosts.Host(pid) as host:  # it may end meanwhile
            yield host.ask("status")


def _switch(text: str) -> Any:
    """Return what on, off and toggle mean in a request."""
    if text not in SWITCHES:
        raise argparse.ArgumentTypeError(f"wanted on, off or toggle; got {text!r}")
    return SWITCHES[text]


def _model(text: str) -> str:
    """Return a model as the host finds it, which may run in another folder."""
    return str(Path(text).absolute()) if os.path.sep in text or Path(text).exists() else text


def _file(text: str) -> dict[str, str]:
    """Return the file of a board as a request has it."""
    return {"path": _output(text)}


def _output(text: str) -> str:
    """Return the file of a recording as the host finds it, which may run in another folder."""
    return str(Path(file_name(text)).absolute())


def _limit(text: str) -> float | None:
    """Return a limit in dB, or None for none."""
    try:
        return None if text == "none" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"wanted dB, or none; got {text!r}") from None


def _value(text: str) -> Any:
    """Return the value of a parameter: a number, a truth value, None or a word.

    >>> _value("-30"), _value("on"), _value("HPF24")
    (-30.0, True, 'HPF24')
    """
    if text in WORDS:
        return WORDS[text]
    try:
        return float(text)
    except ValueError:
        return text


def _limit_text(limit_db: float | None) -> str:
    return "no limit" if limit_db is None else f"{limit_db:g} dB"


def _list_text(statuses: list[dict[str, Any]]) -> str:
    return "\n".join(map(hosts.described, statuses)) or "no run can be controlled"

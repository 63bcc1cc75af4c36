"""Store options of `rtdenoise live` under a name, and use them with `rtdenoise live --preset NAME`.

  rtdenoise preset save call --in usb --atten-lim 20    store these options
  rtdenoise preset show call                            print each setting and where it comes from
  rtdenoise preset list                                 print the names
  rtdenoise preset delete call                          remove it

A preset is a TOML file in the folder that `show` prints, and may be edited: each setting is called
as its option. An option on the command line is stronger than a variable of the environment
(RTDENOISE_ATTEN_LIM), than the preset, than the devices of the last run with the preset, and than
[live] in config.toml, in this order.
"""

from __future__ import annotations

import argparse
import sys

from ..errors import Problem, printable, quoted
from ..live import presets
from . import live
from .layers import PRESET, Layers

HELP = "store options of `live` under a name"
ADVICE = {Problem.EXISTS: "To replace it: --replace"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands save, list, show and delete to *parser*."""
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    save = commands.add_parser("save", help="store the options that follow")
    live.add_settings(save)
    Layers(save)
    save.add_argument("name", metavar="NAME", help="name of the preset")
    save.add_argument("--replace", action="store_true", help="replace a preset of this name")
    save.set_defaults(action=_save)
    commands.add_parser("list", help="print the names").set_defaults(action=_list)
    for name, action, told in (
        ("show", _show, "print each setting and where it comes from"),
        ("delete", _delete, "remove a preset"),
    ):
        command = commands.add_parser(name, help=told)
        command.add_argument("name", metavar="NAME", help="name of the preset")
        command.set_defaults(action=action)


def run(args: argparse.Namespace) -> int:
    """Run the command, and return the exit code."""
    args.action(args)
    return 0


def settled_with(preset: str | None) -> argparse.Namespace:
    """Return the settled options of a run with *preset* and nothing else on its command line.

    Raises:
        UsageError: If there is no such preset, or `live` cannot use its settings.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    live.add_arguments(parser)
    args = parser.parse_args([] if preset is None else [f"--{PRESET}={preset}"])
    settled: argparse.Namespace = args.layers.settled(args)
    live.checked(settled)
    return settled


def _save(args: argparse.Namespace) -> None:
    """Store what the command line gives, if `live` can use it."""
    presets.checked_name(args.name)
    live.checked(args.layers.settled(args, layered=False))
    file = presets.save(args.name, args.layers.given(args), args.replace)
    print(
        f"stored {printable(file)}. To use it: rtdenoise live --preset {quoted(args.name)}",
        file=sys.stderr,
    )


def _list(args: argparse.Namespace) -> None:
    """Print the names of all presets."""
    names = presets.names()
    for name in names:
        print(printable(name))
    if not names:
        print(
            "there are none. To make one: rtdenoise preset save NAME, with options of `rtdenoise "
            "live`",
            file=sys.stderr,
        )


def _show(args: argparse.Namespace) -> None:
    """Print the value of each setting of a run with the preset, and where it comes from."""
    settled = settled_with(args.name)
    print(f"# {printable(presets.preset_file(args.name))}")
    for key, action in settled.layers.options.items():
        if key != PRESET:
            print(f"{key:<12} {_shown(getattr(settled, action.dest)):<20} {settled.origins[key]}")


def _shown(value: object) -> str:
    """Return a value of a setting as a file has it, but without quotes."""
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else printable(value)


def _delete(args: argparse.Namespace) -> None:
    """Remove a preset."""
    presets.delete(args.name)

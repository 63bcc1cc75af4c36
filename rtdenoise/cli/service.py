"""Run `rtdenoise live` as a service of your session: it starts when you log in.

  rtdenoise service install --preset call    write the service, and start it where that works
  rtdenoise service print --preset call      print what would be written
  rtdenoise service remove                   stop it and remove the file

Linux gets a unit of systemd, macOS a property list of launchd, Windows a scheduled task. Save the
options first: rtdenoise preset save call --in usb
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence

from ..errors import AudioError, Problem, UsageError, printable
from ..live.service import LABEL, NAME, Manager, manager_here, managers
from ..sound.pending import Pending, exists_error, make_folder
from .arguments import add_force, add_preset
from .preset import settled_with

HELP = "run `live` whenever you are logged in"
ADVICE = {Problem.EXISTS: "To replace it: -f"}
USER = ("systemctl", "--user")
ANSWER_S = 30.0  # time that a service manager may take


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands install, print and remove to *parser*."""
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, action, told in (
        ("install", _install, "write the service, and start it where that works"),
        ("print", _print, "print what install would write"),
        ("remove", _remove, "stop the service and remove its file"),
    ):
        command = commands.add_parser(name, help=told)
        if name != "remove":
            add_preset(command)
        if name == "install":
            add_force(command)
        command.add_argument(
            "--manager",
            choices=("systemd", "launchd", "windows"),
            default=manager_here(),
            help="service manager that it is for (default: %(default)s)",
        )
        command.set_defaults(action=action)


def run(args: argparse.Namespace) -> int:
    """Run the command, and return the exit code."""
    args.action(args, managers()[args.manager])
    return 0


def command_line(preset: str | None) -> list[str]:
    """Return the words that run live sound with *preset*; the first is an absolute path.

    -P keeps a file of the same name in the folder that the service starts in from being imported.
    """
    words = [sys.executable, "-P", "-m", NAME, "live"]
    return [*words, f"--preset={preset}"] if preset else words


def _text(args: argparse.Namespace, manager: Manager) -> bytes:
    """Return what the file of the service holds; refuse a preset that `live` would refuse."""
    settled_with(args.preset)
    return manager.text(command_line(args.preset), args.preset)


def _print(args: argparse.Namespace, manager: Manager) -> None:
    """Print the file of the service on stdout, and where it belongs on stderr."""
    text = _text(args, manager)
    print(f"{printable(manager.file)}:", file=sys.stderr)
    print(text.decode("utf-16" if args.manager == "windows" else "utf-8"), end="")


def _install(args: argparse.Namespace, manager: Manager) -> None:
    """Write the file of the service; start the service, or say how."""
    text = _text(args, manager)
    there = manager.file.read_bytes() if manager.file.is_file() else None
    if there != text:
        if there is not None and not args.force:
            raise exists_error(str(manager.file))
        make_folder(manager.file.parent)
        with Pending(manager.file, args.force) as pending:
            pending.path.write_bytes(text)
    print(f"{printable(manager.file)} is written", file=sys.stderr)
    _manage(_starting(manager), "To start it")


def _remove(args: argparse.Namespace, manager: Manager) -> None:
    """Stop the service, and remove its file."""
    there = manager.file.exists()
    if not there:
        raise UsageError(f"there is no service: {printable(manager.file)} does not exist")
    before, after = _stopping(manager)
    _manage(before, "To stop it")
    try:
        manager.file.unlink()
    except OSError as error:
        raise AudioError(f"cannot remove {printable(manager.file)}: {error.strerror}") from None
    print(f"removed {printable(manager.file)}", file=sys.stderr)
    _manage(after, "Then")


def _starting(manager: Manager) -> list[Sequence[str]]:
    """Return the commands that start the service, now and at each login."""
    file = str(manager.file)
    if manager.name == "systemd":
        return [
            (*USER, "daemon-reload"),
            (*USER, "enable", f"{NAME}.service"),
            (*USER, "restart", "--no-block", f"{NAME}.service"),
        ]
    if manager.name == "launchd":
        return [("launchctl", "bootstrap", _domain(), file)]
    return [
        ("schtasks", "/Create", "/TN", NAME, "/XML", file, "/F"),
        ("schtasks", "/Run", "/TN", NAME),
    ]


def _stopping(manager: Manager) -> tuple[list[Sequence[str]], list[Sequence[str]]]:
    """Return the commands that stop the service, before and after its file is removed."""
    if manager.name == "systemd":
        return [(*USER, "disable", "--now", f"{NAME}.service")], [(*USER, "daemon-reload")]
    if manager.name == "launchd":
        return [("launchctl", "bootout", f"{_domain()}/{LABEL}")], []
    return [("schtasks", "/End", "/TN", NAME), ("schtasks", "/Delete", "/TN", NAME, "/F")], []


def _domain() -> str:
    """Return what launchctl calls the session of this user."""
    return f"gui/{os.getuid() if hasattr(os, 'getuid') else 0}"


def _manage(commands: list[Sequence[str]], purpose: str) -> None:
    """Run *commands* if systemd manages this user's session, and otherwise say them."""
    if not commands:
        return
    runs = commands[0][0] == USER[0] and _call((*USER, "show-environment"))
    for words in commands:
        line = subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
        if not runs:
            print(f"{purpose}: {printable(line)}", file=sys.stderr)
        elif _call(words):
            print(f"ran: {line}", file=sys.stderr)
        else:
            print(f"{purpose}: {printable(line)} (it failed here)", file=sys.stderr)


def _call(words: Sequence[str]) -> bool:
    """Return whether a command of a service manager works here."""
    try:
        done = subprocess.run(words, capture_output=True, timeout=ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0

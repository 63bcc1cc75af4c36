"""Live sound as a service of the user's own session: what each system's service manager reads.

Linux has units of systemd, macOS has property lists of launchd, Windows has scheduled tasks. Here
are their texts and places; `cli/service.py` writes them and tells the manager.
"""

from __future__ import annotations

import plistlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import printable
from .folders import config_folder

NAME = "rtdenoise"
LABEL = "rtdenoise.live"  # of launchd
UNSAFE = frozenset("\"'\\")  # systemd runs no program with these in its path, but passes them on
ENV = "/usr/bin/env"
TASKS = "http://schemas.microsoft.com/windows/2004/02/mit/task"
UNIT = """\
[Unit]
Description=rtdenoise, live sound{of}
After=pipewire.service pipewire-pulse.service pulseaudio.service

[Service]
Type=notify
ExecStart={command}
# A device that is away comes back; a wrong setting or model does not.
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=2 4
# It is ready with the first sound, and then tells that it lives while sound comes.
TimeoutStartSec=120
WatchdogSec=30
TimeoutStopSec=20

[Install]
WantedBy=default.target
"""


@dataclass(frozen=True)
class Manager:
    """A service manager.

    Attributes:
        name: Its name.
        file: The file that it reads.
        text: Function that returns the bytes of that file, for a command and a preset's name.
    """

    name: str
    file: Path
    text: Callable[[Sequence[str], str | None], bytes]


def managers() -> dict[str, Manager]:
    """Return the service managers by their names."""
    agents = Path.home() / "Library" / "LaunchAgents"
    known = (
        Manager("systemd", config_folder(None) / "systemd" / "user" / f"{NAME}.service", unit),
        Manager("launchd", agents / f"{LABEL}.plist", property_list),
        Manager("windows", config_folder() / "service.xml", task),
    )
    return {manager.name: manager for manager in known}


def manager_here(platform: str = sys.platform) -> str:
    """Return the name of this system's service manager.

    >>> manager_here("darwin")
    'launchd'
    """
    return {"win32": "windows", "darwin": "launchd"}.get(platform, "systemd")


def unit(command: Sequence[str], preset: str | None) -> bytes:
    """Return the unit of systemd that runs *command*, an absolute path and its arguments."""
    program, *words = command if UNSAFE.isdisjoint(command[0]) else (ENV, *command)
    line = " ".join([unit_word(program, False), *map(unit_word, words)])
    of = f", preset {printable(preset).replace('%', '%%')}" if preset else ""
    return UNIT.format(of=of, command=line).encode()


def unit_word(word: str, variables: bool = True) -> str:
    r"""Return *word* as a unit of systemd quotes it (man systemd.service, "command lines").

    Args:
        word: The word.
        variables: Whether systemd replaces $NAME in it; it does not in the path of a program.

    >>> print(unit_word('50% "of" $5'))
    "50%% \"of\" $$5"
    """
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text.replace("$", "$$") if variables else text}"'


def property_list(command: Sequence[str], preset: str | None) -> bytes:
    """Return the property list of launchd that runs *command*; the log is in ~/Library/Logs."""
    keys = {
        "Label": LABEL,
        "ProgramArguments": list(command),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ProcessType": "Interactive",  # others get less of the processor
        "StandardErrorPath": str(Path.home() / "Library" / "Logs" / f"{NAME}.log"),
    }
    return plistlib.dumps(keys)


def task(command: Sequence[str], preset: str | None) -> bytes:
    """Return the scheduled task of Windows that runs *command* when this user logs on."""
    import xml.etree.ElementTree as ET

    root = ET.Element("Task", version="1.2", xmlns=TASKS)

    def put(parent: ET.Element, tag: str, text: str = "") -> ET.Element:
        child = ET.SubElement(parent, tag)
        child.text = text or None
        return child

    told = f"rtdenoise, live sound{f', preset {printable(preset)}' if preset else ''}"
    put(put(root, "RegistrationInfo"), "Description", told)
    put(put(put(root, "Triggers"), "LogonTrigger"), "Enabled", "true")
    principal = put(put(root, "Principals"), "Principal")
    put(principal, "LogonType", "InteractiveToken")
    put(principal, "RunLevel", "LeastPrivilege")
    settings = put(root, "Settings")
    put(settings, "MultipleInstancesPolicy", "IgnoreNew")
    put(settings, "DisallowStartIfOnBatteries", "false")
    put(settings, "StopIfGoingOnBatteries", "false")
    restart = put(settings, "RestartOnFailure")
    put(restart, "Interval", "PT1M")
    put(restart, "Count", "255")
    put(settings, "ExecutionTimeLimit", "PT0S")  # none
    run = put(put(root, "Actions"), "Exec")
    put(run, "Command", command[0])
    put(run, "Arguments", subprocess.list2cmdline(command[1:]))
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-16", xml_declaration=True))

"""`Desk`, what all pages share: which run they show, the run that the panel started, and requests.

It keeps no values of a run: whoever shows one asks the run for it.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DeviceError, Problem, RtdenoiseError, UsageError, last_line, printable
from ..live import hosts, presets
from ..live.hosts import Host
from ..nets import box
from . import boards
from .child import Child

Body = dict[str, Any]
# What goes to the run as it is; the keys of a request beside `do`.
FORWARDED = ("bypass", "mix", "atten-lim", "residual", "set", "mark", "quit", "effects")
KEYS = ("value", "path", "text")
DEVICES_S = 30.0  # a sound server that does not answer


@dataclass(frozen=True)
class Commands:
    """What the panel runs as processes of their own; the command line knows their words.

    Attributes:
        live: Function that returns the words of a run with settings by the names of its options.
        devices: The words that list the devices as JSON.
        store: Function that checks settings and writes a preset: name, settings, overwrite.
    """

    live: Callable[[Body], Sequence[str]]
    devices: Sequence[str]
    store: Callable[[str, Body, bool], Path]


class Desk:
    """The run that the pages show.

    Args:
        commands: What it starts.
        pid: Process number of the run to show. None: the only one that there is.

    Attributes:
        changes: Number of requests that may have changed something.
        child: The run that the panel started last. None: it has started none.
        closed: Whether the panel has ended, and no page is sent anything more.
    """

    def __init__(self, commands: Commands, pid: int | None = None) -> None:
        self._commands, self._pid = commands, pid
        self._starting = threading.Lock()
        self._file: str | None = None  # of the board that runs, if it is as the file says
        self.child: Child | None = None
        self.changes, self.closed = 0, False
        self._own: dict[str, Callable[[Body], Any]] = {
            "start": self._start,
            "stop": self._stop,
            "attach": self._attach,
            "model": self._model,
            "record": self._record,
            "board": lambda _: self.board(),
            "arrange": self._arrange,
            "load": self._load,
            "save": self._save,
            "store": self._store,
            "preset": lambda body: presets.load(_text(body, "name")),
            "presets": lambda _: presets.names(),
            "models": lambda _: [_about(name) for name in box.models()],
            "devices": lambda _: self._devices(),
        }

    def chosen(self, running: Sequence[int]) -> int | None:
        """Return the number of the run to show, of those that are *running*. None: there is none.

        A run that is gone is replaced by the only one that there is, so that a page comes back by
        itself. The pages show the run that the panel started as soon as it answers.
        """
        if self._pid in running:
            return self._pid
        if self.child is not None and self.child.running:
            return self.child.pid if self.child.pid in running else None
        if len(running) == 1:
            self._pid, self._file = running[0], None
            return self._pid
        return None

    def do(self, body: Body) -> Any:
        """Do what a page asks for, and return the answer.

        Raises:
            RtdenoiseError: If it is refused.
        """
        name = body.get("do")
        if not isinstance(name, str) or name not in {*self._own, *FORWARDED}:
            got = printable(repr(name)[:80])
            raise UsageError(f"do = {got}: wanted one of {', '.join((*self._own, *FORWARDED))}")
        try:
            if name in self._own:
                return self._own[name](body)
            return self._ask(name, **{key: body[key] for key in KEYS if key in body})
        finally:
            self.changes += 1

    def close(self) -> None:
        """End the run that the panel started; another one goes on."""
        self.closed = True
        if self.child is not None:
            self.child.end()

    def _ask(self, name: str, **given: Any) -> Any:
        """Return what the run that is shown answers."""
        pid = self.chosen(hosts.running())
        if pid is None:
            raise DeviceError("no run is shown: start one, or choose one", Problem.NO_HOST)
        with Host(pid) as host:
            return host.ask(name, **given)

    def _start(self, body: Body) -> Body:
        """Start a run with settings by the names of its options, or as the last one."""
        settings = body.get("settings")
        if settings is None and self.child is not None:
            settings = self.child.settings
        if not isinstance(settings, dict):
            raise UsageError("wanted the settings of the run")
        with self._starting:
            if self.child is not None and self.child.running:
                raise UsageError("the panel has started a run already: stop it first")
            self.child = Child(self._commands.live(settings), settings)
            self._pid = self.child.pid
            self._file = settings.get("board")
        return self.child.summary()

    def _stop(self, _: Body) -> None:
        """End the run that is shown; one that the panel started and that does not answer, too."""
        with self._starting:
            child, pid = self.child, self.chosen(hosts.running())
            if child is not None and child.running and pid in (None, child.pid):
                child.end()
                return
        self._ask("quit")

    def _attach(self, body: Body) -> int:
        """Show another run."""
        pid = body.get("value")
        if not isinstance(pid, int) or pid not in hosts.running():
            raise DeviceError(f"there is no run {printable(repr(pid)[:20])}", Problem.NO_HOST)
        self._pid, self._file = pid, None
        return pid

    def _model(self, body: Body) -> Any:
        answer = self._ask("model", value=_text(body, "value"))
        self._file = None
        return answer

    def _record(self, body: Body) -> Any:
        """Begin a recording in the panel's folder, or end the one that runs."""
        ends = body.get("value") is None
        file = None if ends else str(Path(_text(body, "value")).expanduser().absolute())
        return self._ask("record", value=file, overwrite=body.get("overwrite") is True)

    def _arrange(self, body: Body) -> Any:
        """Change to a board of other effects."""
        answer = self._ask("board", value=boards.toml(body.get("effects")))
        self._file = None
        return answer

    def _load(self, body: Body) -> Any:
        """Change to the board of a file."""
        path = str(Path(_text(body, "path")).expanduser().absolute())
        answer = self._ask("board", value={"path": path})
        self._file = path
        return answer

    def board(self) -> list[boards.Table]:
        """Return the effects that run, with their values, as the run describes them."""
        effects = boards.tables(self._ask("describe"))
        return boards.with_values(effects, self._ask("parameters"))

    def _save(self, body: Body) -> str:
        """Write the board that runs into a file."""
        overwrite = body.get("overwrite") is True
        self._file = str(boards.save(self.board(), _text(body, "path"), overwrite))
        return self._file

    def _store(self, body: Body) -> str:
        """Write a preset: the devices that the page gives, and what runs between them."""
        settings = body.get("settings")
        if not isinstance(settings, dict):
            raise UsageError("wanted the devices of the preset")
        status = self._ask("status")
        if status["model"] is not None:
            settings |= {"model": self.board()[0]["model"]}
        elif self._file is not None:
            settings |= {"board": self._file}
        else:
            raise UsageError("a preset names the file of a board: save the board first")
        settings |= {"mix": status["mix"], "residual": status["residual"]}
        if status["atten_lim_db"] is not None:
            settings["atten-lim"] = status["atten_lim_db"]
        overwrite = body.get("overwrite") is True
        return str(self._commands.store(_text(body, "name"), settings, overwrite))

    def _devices(self) -> Any:
        """Return the devices, as a process of its own finds them: a driver may hang or crash."""
        try:
            found = subprocess.run(
                self._commands.devices, capture_output=True, timeout=DEVICES_S, check=True
            )
            return json.loads(found.stdout)
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip() or "the driver crashed"
            raise DeviceError("\n".join(map(printable, said.splitlines()))) from None
        except (subprocess.TimeoutExpired, OSError, ValueError) as error:
            raise DeviceError(f"the devices cannot be listed: {last_line(error)}") from None


def _text(body: Body, name: str) -> str:
    """Return a text of a request."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise UsageError(f"{name} = {printable(repr(value)[:80])}: wanted a text")
    return value


def _about(name: str) -> Body:
    """Return what a page shows of a model in the box."""
    about: Body = {"name": name}
    with suppress(RtdenoiseError):
        card = box.card(name)
        about |= {"task": card.task, "kind": card.kind, "description": card.description}
    return about

"""The scores of earlier runs: JSON lines, one for each system and pair, found by a digest.

The digest is of all that decides the scores: the bytes of the pair and of the output or the model,
the delay, and the settings. So a changed file is scored again, and a renamed one is not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from rtdenoise.errors import AudioError, ModelError, UsageError
from rtdenoise.files.digest import of_text
from rtdenoise.nets.box import find, place

from ..data.identity import content
from ..lines import Appended, Line, read_lines
from .page import Shown
from .tables import INPUT
from .tasks import Looked, Row, Score, Settings

VERSION = 1  # of the scores: another number makes all of them again


class Log:
    """A file of scores that is open for more of them.

    Args:
        path: The file, which is made if necessary; None: there is none, and nothing is known.

    Raises:
        UsageError: another process writes to it, or it is another kind of file.
        AudioError: it cannot be read or written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path, self._known = path, dict[str, Line]()
        self._file: Appended | None = None
        if path is None:
            return
        for line in read_lines(path):
            if not isinstance(line.get("key"), str):
                raise UsageError(f"{path} is no file of scores; take another name")
            self._known[line["key"]] = line
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = Appended(path, alone=True)
        except BlockingIOError:
            raise UsageError(
                f"another process writes to {path}: wait until it ends, or take another file"
            ) from None
        except OSError as error:
            raise AudioError(f"cannot write {path}: {error.strerror}") from None

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def find(self, task: Score, keys: dict[str, str]) -> Row | None:
        """Return what is known of a task, by the keys of its systems; None if that is nothing."""
        lines = {name: self._known[key] for name, key in keys.items() if key in self._known}
        shown = None
        if task.show and task.settings.media:
            line = self._known.get(_of_all(task, keys.values()), {})
            if "shown" not in line or len(lines) < len(keys):
                return None
            shown = Shown(line["shown"], line["picture"], tuple(map(tuple, line["sounds"])))
            files = (shown.picture, *(file for _, file in shown.sounds))
            if not all((task.settings.media / file).is_file() for file in files):
                return None
        values = {
            name: {what: math.nan if x is None else x for what, x in line["values"].items()}
            for name, line in lines.items()
        }
        failed = {name: line["failed"] for name, line in lines.items() if "failed" in line}
        return Row(values, failed, shown)

    def add(self, task: Score, row: Row, keys: dict[str, str]) -> None:
        """Write the scores of a task. What might go better another time has no key."""
        if not self._file:
            return
        lines: list[Line] = []
        for name, values in row.values.items():
            line: Line = {"key": "" if name in row.late else keys[name], "pair": task.pair.name}
            line |= {"system": name}
            line["values"] = {w: x if math.isfinite(x) else None for w, x in values.items()}
            if name in row.failed:
                line["failed"] = row.failed[name]
            lines.append(line)
        if row.shown and not row.late:
            lines.append(
                {
                    "key": _of_all(task, keys.values()),
                    "shown": row.shown.name,
                    "picture": row.shown.picture,
                    "sounds": row.shown.sounds,
                }
            )
        try:
            self._file.add(*lines)
        except OSError as error:
            raise AudioError(
                f"cannot write {self._path}: {error.strerror}. The scores so far are kept; make "
                "room and run the same command again"
            ) from None


def systems_as(settings: Settings) -> dict[str, str]:
    """Return what tells each system from others, but for outputs, which differ from pair to pair.

    Raises:
        ModelError: there is no such model.
    """
    found = {name: f"baseline {name}" for name in (INPUT, *settings.baselines)}
    return found | {name: _model(model) for name, model in settings.models.items()}


def _model(name: str) -> str:
    try:
        return content(place(name))
    except (ModelError, OSError):  # it is in a package, or a folder
        return repr(find(name).card)


def keys_of(task: Score, systems: dict[str, str], looked: Looked) -> dict[str, str]:
    """Return a digest of everything that decides the scores of each system on a pair."""
    s = task.settings
    same = (VERSION, looked.digest, s.kind, s.cutoff_hz, s.metrics)
    return {
        name: _digest(same, systems.get(name) or looked.outputs.get(name), task.late.get(name, 0))
        for name in s.systems
    }


def _of_all(task: Score, keys: Iterable[str]) -> str:
    """Return the digest of an entry of the report."""
    return _digest("shown", task.pair.name, list(keys))


def _digest(*parts: object) -> str:
    return of_text(repr(parts))

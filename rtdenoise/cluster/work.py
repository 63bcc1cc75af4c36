"""The work on an item of an archive: fetch, process, place, and the line that tells of it.

A `Worker` is made once in a process (or an actor) and loads the net once. It is given items, and
returns a line of the results log for each; an item's fault never ends a run.
"""

from __future__ import annotations

import os
import platform
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread, local
from typing import Any, TypeVar

from ..chain.boardfile import board_from
from ..chain.effect import Denoise, Effect, with_strength
from ..core.blend import Strength
from ..errors import AudioError, ModelError, Problem, RtdenoiseError, UsageError, printable
from ..files.digest import digest, of_file, of_tree, of_values
from ..files.ends import Input
from ..files.offline import Listener, Report, process_file
from ..files.reference import Against
from ..files.results import DONE, FAILED, SKIPPED, Line
from ..nets import box
from ..sound.pending import make_folder
from . import cuts, store
from .items import Item
from .section import Cut, Section

Result = TypeVar("Result")
CUT = "cut"  # the status of a line that says into which pieces its item is to be cut


class Stopped(Exception):  # noqa: N818 - not an error
    """The end of the work on an item because the run must stop."""


@dataclass(frozen=True)
class Settings:
    """What is done to every item: plain values, which can be pickled.

    Attributes:
        model: Name of the model, or path of its file. None: there is a board.
        board: What a board file holds. None: there is a model.
        parameters: Values of the model's own parameters.
        mix: Percentage of wet (processed) sound, 0 to 100.
        atten_lim_db: Most that is removed, in dB. None: no limit.
        residual: Whether the output is what was removed.
        quality_kbps: Bit rate of lossy outputs in kb/s. None: that of the input.
        reference: Clean recording, or folder of them, to score against. None: no scores.
        timeout_s: Seconds that an item may take. None: any time.
        force: Whether files may be replaced that are not of this log.
        skip_existing: Whether inputs are skipped whose output is there and not of this log.
        longest_s: Most seconds of a piece; a longer recording is cut. None: none is cut.
        jobs: Items at once. None: one a core.
        contents: The digest of the model or board; see `known`. Empty: not known.
    """

    model: str | None = None
    board: dict[str, Any] | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    mix: float = 100.0
    atten_lim_db: float | None = None
    residual: bool = False
    quality_kbps: float | None = None
    reference: str | None = None
    timeout_s: float | None = None
    force: bool = False
    skip_existing: bool = False
    longest_s: float | None = None
    jobs: int | None = None
    contents: str = ""

    def known(self) -> Settings:
        """Return these settings with the digest of what the model or the board holds.

        Raises:
            ModelError: If there is no such model.
        """
        what = self.board or {"effect": [{"type": "Denoise", "model": self.model}]}
        return replace(self, contents=of_values([_contents(what), *map(_version, ENGINES)]))

    def effect(self) -> Effect:
        """Return a new effect with these settings.

        Raises:
            ModelError: If a model cannot be loaded.
            UsageError: If a setting is out of range.
        """
        strength = Strength(self.mix, self.atten_lim_db, self.residual)
        if self.board is not None:
            return with_strength(board_from(self.board, "the board"), strength)
        model = "speech" if self.model is None else self.model
        return Denoise(model, self.mix, self.atten_lim_db, self.residual, **self.parameters)

    def of_output(self, target: str) -> dict[str, Any]:
        """Return the settings that change the samples or the container of *target*."""
        names = ("parameters", "mix", "atten_lim_db", "residual", "quality_kbps", "longest_s")
        values = asdict(self)
        suffix = Path(store.base_name(target)).suffix.lower()
        return {name: values[name] for name in names} | {"format": suffix}


ENGINES = ("pedalboard", "samplerate")  # packages whose versions change samples


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package


def _contents(value: Any) -> Any:
    """Return *value* with the digests of models and files in place of their names."""
    if isinstance(value, Mapping):
        return {
            key: _of_model(inner) if key == "model" else _contents(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_contents(inner) for inner in value]
    if isinstance(value, str) and re.fullmatch(r"[\w.]+:\w+", value):  # the effect of a user
        program = find_spec(value.partition(":")[0])
        return [value, of_file(program.origin) if program and program.origin else ""]
    if isinstance(value, str) and os.path.exists(value) and (os.sep in value or "." in value):
        return of_tree(value)  # a VST3, an impulse response
    return value


def _of_model(name: Any) -> str:
    """Return the digest of a model by its name or path."""
    try:
        return of_file(box.place(name))
    except (ModelError, OSError):  # of another maker: its card has its versions; or it is missing
        return of_values(asdict(box.card(name)))


class Worker:
    """What processes items, one after the other or in several threads.

    Args:
        settings: What is done to every item.
        stop: Event that ends the work when it is set.

    Raises:
        ModelError: If a model cannot be loaded, or is another than on the machine of the run.
        UsageError: If a setting is out of range.
    """

    def __init__(self, settings: Settings, stop: Event | None = None) -> None:
        self.settings = settings if settings.contents else settings.known()
        if settings.contents and settings.known().contents != settings.contents:
            raise ModelError(
                f"the model or the board on {platform.node()} is not that of the run: copy its "
                "files to the same place on every machine"
            )
        self._stop = stop or Event()
        self._effect = self.settings.effect()
        self.name = f"{platform.node()}:{os.getpid()}"
        self._kept = local()  # the input whose pieces a thread works on

    def begin(self) -> Effect:
        """Return the effect for the next item, made in the main thread, as some plugins want."""
        if self.settings.board is None:
            return self._effect
        return self.settings.effect()

    def __call__(self, item: Item, effect: Effect | None = None) -> Line:
        """Process an item; return its line of the results log, see `files.results`.

        Args:
            item: The item.
            effect: What `begin` returned. None: it is made here.
        """
        start = time.perf_counter()
        effect = self.begin() if effect is None else effect
        shown = printable(store.redacted(item.source))
        line: Line = {"input": store.redacted(item.source), "output": store.redacted(item.target)}
        line["below"] = store.redacted(item.below)
        try:
            if item.fault is not None:
                raise item.fault
            deadline = _Deadline(self.settings.timeout_s, shown, self._stop)
            line |= deadline.within(lambda: self._do(item, effect, deadline))
        except Stopped:
            raise
        except RtdenoiseError as error:
            line |= {"status": FAILED, "error": str(error), "problem": str(error.problem)}
        except Exception as error:  # whatever it is, the other items go on
            text = f"{shown}: {type(error).__name__}: {error}"
            line |= {"status": FAILED, "error": printable(store.redacted(text)), "problem": ""}
        took = time.perf_counter() - start
        return line | {"took_s": round(took, 3), "worker": self.name}

    def _do(self, item: Item, effect: Effect, deadline: _Deadline) -> Line:
        """Do what is to be done of an item."""
        if self.settings.timeout_s is not None:
            effect.prepare_thread()  # this is a thread of its own
        if item.section is not None and item.section.number is not None:
            return self._piece(item, item.section, item.section.number, effect, deadline)
        return self._work(item, effect, deadline)

    def _work(self, item: Item, effect: Effect, deadline: _Deadline) -> Line:
        """Process an item, unless its output is what it would be."""
        before, there = store.facts(item.source), store.facts(item.target)
        if store.same_place(item.source, item.target):
            raise UsageError(f"{printable(item.target)} is the input itself", Problem.ITSELF)
        stamp = before.stamp if before else ""
        settings = self.settings.of_output(item.target)
        old = item.known
        ours = old.made or bool(there and store.key_of(item.target))
        if there is not None and not ours and self.settings.skip_existing:
            return {"status": SKIPPED}
        same = there is not None and old.status == DONE and there.size == old.bytes
        read = same and stamp and stamp == old.stamp  # what was read then is there still
        if read and digest(old.content, self.settings.contents, settings) == old.key:
            return {"status": SKIPPED, "key": old.key}
        with store.fetched(item.source) as path:
            content = of_file(path)
            key = digest(content, self.settings.contents, settings)
            if (same and key == old.key) or (there and key == store.key_of(item.target)):
                return {"status": SKIPPED, "key": key}
            told: dict[str, Any] = {"key": key, "content": content, "stamp": stamp}
            force = self.settings.force or ours
            if there is None or force:
                planned = self._planned(item, path, effect, key)
                if len(planned) > 1:
                    return told | {"status": CUT, "cuts": planned}
            with store.placed(item.target, key, force) as out:
                told |= self._process(item, path, out, effect, force, deadline)
        if store.facts(item.source) != before:
            raise AudioError(f"{printable(store.redacted(item.source))} changed while it was read")
        if item.section is not None:
            store.remove(item.section.folder(item.target))
        made = store.facts(item.target)
        return told | {"status": DONE, "bytes": made.size if made else -1}

    def _planned(self, item: Item, path: str, effect: Effect, key: str) -> list[Cut]:
        """Return the pieces into which an item is to be cut, if it is whole."""
        if item.section is not None and item.section.key != key:
            raise AudioError(f"{printable(store.redacted(item.source))} has changed meanwhile")
        if item.section is not None or self.settings.longest_s is None:
            return []
        planned = cuts.plan(path, effect, self.settings.longest_s)
        if len(planned) > 1:  # hours of work need not begin for a format that cannot hold it
            beside = Path(store.local(item.target)).parent
            folder = Path(tempfile.gettempdir()) if store.is_url(item.target) else beside
            make_folder(folder)
            out = folder / store.base_name(item.target)
            cuts.check_output(path, out, effect, self.settings.quality_kbps, True)
        return planned

    def _piece(
        self, item: Item, section: Section, number: int, effect: Effect, deadline: _Deadline
    ) -> Line:
        """Process a piece of an item into a file of its own, unless it is there."""
        name = section.names(item.target)[number]
        if store.facts(name) is None:
            path = self._fetched(item, section.key)
            with store.placed(name, section.key, True) as out:
                cuts.piece(path, effect, section.cuts[number], out, deadline.watch)
        return {"status": DONE}

    def _fetched(self, item: Item, key: str) -> str:
        """Return a local file with the content of *item*, which this thread keeps a while."""
        if getattr(self._kept, "key", None) != key:
            self._kept.__dict__.pop("files", ExitStack()).close()
            self._kept.files = ExitStack()
            self._kept.path = self._kept.files.enter_context(store.fetched(item.source))
            self._kept.key = key
        return str(self._kept.path)

    def _process(
        self, item: Item, path: str, out: str, effect: Effect, force: bool, deadline: _Deadline
    ) -> Line:
        """Process the file *path* into *out*; return what the line tells of it."""
        scores: list[Against] = []

        def listen(reader: Input) -> list[Listener]:
            if self.settings.reference is not None:
                scores.append(Against(self._reference(item), reader))
            return list(scores)

        held = ExitStack()
        try:
            report = self._maker(item, held)(
                path,
                out,
                effect,
                kbps=self.settings.quality_kbps,
                overwrite=force,
                listen=listen,
                watch=deadline.watch,
            )
        except RtdenoiseError as error:
            raise type(error)(_named(str(error), item, path, out), error.problem) from None
        finally:
            held.close()
            for score in scores:
                score.close()
        told = {
            "seconds": report.seconds,
            "rate": report.rate,
            "channels": report.channels,
            "format": f"{report.format} {report.subtype}",
            "warnings": [_named(text, item, path, out) for text in report.warnings],
        }
        if report.partial:
            told["partial"] = _named(report.partial, item, path, out)
        if scores:
            told["scores"] = scores[0].result()
        return told

    def _maker(self, item: Item, held: ExitStack) -> Callable[..., Report]:
        """Return what makes the output of *item*, whose pieces stay until *held* is closed."""
        if item.section is None:
            return process_file
        names = item.section.names(item.target)
        files = [held.enter_context(store.fetched(name)) for name in names]
        return partial(cuts.join, planned=item.section.cuts, files=files)

    def _reference(self, item: Item) -> str:
        """Return the name of the clean recording for an item."""
        reference = Path(str(self.settings.reference))
        if not reference.is_dir():
            return str(reference)
        below = reference / item.below
        return str(below if below.exists() else reference / store.base_name(item.source))


def _named(text: str, item: Item, path: str, out: str) -> str:
    """Return *text* with the names of an item in place of those of temporary files."""
    for temporary, name in ((path, item.source), (out, item.target)):
        if temporary not in (name, store.local(name)):
            text = text.replace(temporary, printable(store.redacted(name)))
    return text


class _Deadline:
    """The time that an item may take.

    Args:
        seconds: The seconds. None: any time.
        name: Name of the item, for the message.
        stop: Event that ends the work when it is set.
    """

    def __init__(self, seconds: float | None, name: str, stop: Event) -> None:
        self.seconds, self.name, self.stop = seconds, name, stop
        self.end = None if seconds is None else time.monotonic() + seconds

    def watch(self, _: float) -> None:
        """Raise if the work must end."""
        if self.stop.is_set():
            raise Stopped
        if self.end is not None and time.monotonic() > self.end:
            raise self._error()

    def _error(self) -> AudioError:
        return AudioError(f"{self.name} took more than {self.seconds:g} s", Problem.TIME_OUT)

    def within(self, work: Callable[[], Result]) -> Result:
        """Return what *work* returns, or raise what it raises, in time.

        With a limit, the work is in a thread of its own, which is left behind if it hangs: a read
        of a network drive or a plugin cannot be stopped. What it may write later is whole, and the
        same that a later run writes.
        """
        if self.seconds is None:
            return work()
        results: SimpleQueue[tuple[Result | None, BaseException | None]] = SimpleQueue()

        def run() -> None:
            try:
                results.put((work(), None))
            except BaseException as error:
                results.put((None, error))

        Thread(target=run, name="rtdenoise-item", daemon=True).start()
        while True:
            try:
                result, error = results.get(timeout=0.2)
            except Empty:
                self.watch(0.0)
                continue
            if error is not None:
                raise error
            return result  # type: ignore[return-value]

"""Batches of sound files: it plans which inputs make which outputs, and runs the threads."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Event
from typing import TypeVar

from ..errors import AudioError, Problem, UsageError, printable
from ..sound.inputs import expand
from ..sound.pending import STD, exists_error, same_file

Task = TypeVar("Task")
Needed = TypeVar("Needed")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Job:
    """An input and the output that it makes.

    Attributes:
        source: Name of the input, `-` for stdin.
        target: Name of the output, `-` for stdout.
        second: Name of a second output, as a picture. None: there is none.
    """

    source: str
    target: str
    second: str | None = None

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of all outputs but stdout."""
        return tuple(name for name in (self.target, self.second) if name and name != STD)


@dataclass
class Plan:
    """The jobs of a batch, and the inputs that are not processed.

    Attributes:
        jobs: Jobs to process.
        skipped: Jobs whose output exists and must stay (`Naming.skip_existing`).
        failed: Jobs that cannot be processed, each with its error.
        left_out: Inputs that are the output of another input.
        unread: Sound files and videos in folders whose format is not read, and links to folders.
    """

    jobs: list[Job] = field(default_factory=list)
    skipped: list[Job] = field(default_factory=list)
    failed: list[tuple[Job, Exception]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Naming:
    """The rules that name the outputs.

    Attributes:
        output: Name of the output of a single input. None: the input's name decides.
        folder: Folder of the outputs, which keep the inputs' names. None: the inputs' own folders.
        suffix: Text before the last suffix of the output's name. None: *usual*, or nothing if there
            is a *folder*.
        usual: The text without a *suffix*. A hyphen takes the place of its dot after a name that
            has no suffix, so that it is not taken for one.
        force: Whether existing outputs may be replaced, even an input by its own output.
        skip_existing: Whether inputs are skipped whose output exists.
        second: Function that returns the name of a job's second output for that of its output.
    """

    output: str | None = None
    folder: str | None = None
    suffix: str | None = None
    force: bool = False
    skip_existing: bool = False
    usual: str = ".denoised"
    second: Callable[[str], str] | None = None

    def job(self, source: str, below: str) -> Job:
        """Return the job for *source*, whose place in a mirrored tree is *below*."""
        target = self.target(source, below)
        second = None if self.second is None or target == STD else self.second(target)
        return Job(source, target, second)

    def target(self, source: str, below: str) -> str:
        """Return the name of the output for *source*, whose place in a mirrored tree is *below*.

        >>> Naming().target("a/in.wav", "in.wav")
        'a/in.denoised.wav'
        >>> Naming(folder="out").target("a/b/in.wav", "b/in.wav")
        'out/b/in.wav'
        """
        if self.output is not None:
            return self.output
        if source == STD and self.folder is None:
            return STD
        path = Path("stdin.wav" if source == STD else source)
        suffix = self.suffix
        if suffix is None and self.folder is None:
            suffix = self.usual if path.suffix else self.usual.replace(".", "-", 1)
        parent = path.parent if self.folder is None else Path(self.folder, below).parent
        target = str(parent / f"{path.stem}{suffix or ''}{path.suffix}")
        return f"./{STD}" if target == STD else target


def plan(
    inputs: Sequence[str],
    naming: Naming,
    recursive: bool = False,
    also_read: Sequence[str] = (),
) -> Plan:
    """Turn the inputs that a user named into jobs.

    Files that are the output of another input are left out, so that a second run over the same
    folder does not process the results of the first. But what the user named as an input is never
    replaced by the output of another.

    Args:
        inputs: Names of files, folders or globs, or `-` for stdin.
        naming: The rules that name the outputs.
        recursive: Whether folders are searched for sound files; otherwise they are errors.
        also_read: Files, and folders of files, that the jobs read as well, and must not replace.

    Raises:
        UsageError: If several outputs have one name, or settings contradict each other.
    """
    _check_naming(naming)
    made = Plan()
    by_path: dict[str, Job] = {}  # by the real path, so that a file named twice is one job
    named: set[str] = set()
    folders = sum(map(os.path.isdir, inputs))
    for name in inputs:
        try:
            found = expand(name, recursive, naming.folder, folders > 1)
        except AudioError as error:
            made.failed.append((Job(name, ""), error))
            continue
        made.unread += found.skipped
        made.failed += [(Job(folder, ""), error) for folder, error in found.errors]
        for source, below in found.files:
            key = source if source == STD else _key(source)
            by_path.setdefault(key, naming.job(source, below))
            named |= {key} if found.named else set()
    jobs = list(by_path.values())
    if naming.output is not None and len(jobs) > 1:
        raise UsageError(
            f"the output {printable(naming.output)} is one file, but there are {len(jobs)} inputs "
            f"({printable(jobs[0].source)}, {printable(jobs[1].source)}, ...)",
            Problem.ONE_OUTPUT,
        )
    kept = _leave_out_results(by_path, named, naming, made)
    _refuse_conflicts(kept)
    sources = {_key(job.source) for job in kept if job.source != STD}
    also = set(map(_key, also_read))
    read = sources | also
    for job in kept:
        own = {_key(job.target)} - also if naming.force and _same(job) else set()
        read -= own  # only this job may replace what it reads
        _sort_in(job, naming, made, read)
        read |= own & sources
    return made


def _leave_out_results(
    by_path: dict[str, Job], named: set[str], naming: Naming, made: Plan
) -> list[Job]:
    """Return the jobs without those whose input is a result of an earlier run."""
    jobs = list(by_path.values())
    results = {_key(name) for job in jobs if not _same(job) for name in job.outputs} - named
    usual = [Naming(usual=naming.usual)]  # these are results even if a shell named them
    usual += [] if naming.suffix is None else [Naming(suffix=naming.suffix)]
    for number, beside in enumerate(usual):
        made_beside = {_key(beside.target(job.source, "")) for job in jobs if job.source != STD}
        results |= made_beside if number == 0 else made_beside - named
    made.left_out = [job.source for path, job in by_path.items() if path in results]
    return [job for path, job in by_path.items() if path not in results]


def _check_naming(naming: Naming) -> None:
    """Refuse rules that contradict each other, or what exists on the disk."""
    output, folder = naming.output, naming.folder
    if "" in (output, folder):
        raise UsageError("got an empty name for the output, wanted a file or a folder")
    if output is not None and folder is not None:
        raise UsageError("got the name of one output and a folder of outputs, wanted one of them")
    if output is not None and (output.endswith(("/", os.sep)) or os.path.isdir(output)):
        raise UsageError(
            f"the output {printable(output)} is a folder, wanted a file", Problem.ONE_OUTPUT
        )
    if folder is not None and os.path.isfile(folder):
        raise UsageError(
            f"the folder of outputs {printable(folder)} is a file, wanted a folder",
            Problem.ONE_OUTPUT,
        )


def _key(name: str) -> str:
    """Return what is equal for all names of a file: its real path, as the system compares names."""
    path = os.path.normcase(os.path.realpath(name))
    # The usual disks of macOS ignore case, and how accents are composed.
    return unicodedata.normalize("NFC", path).casefold() if sys.platform == "darwin" else path


def _same(job: Job) -> bool:
    """Return whether the output is the input itself, under whatever name."""
    return same_file(job.source, job.target)


def _refuse_conflicts(jobs: list[Job]) -> None:
    """Refuse two outputs with one name."""
    owner: dict[str, str] = {}
    for job in jobs:
        for name in job.outputs:
            if _key(name) in owner:
                raise UsageError(
                    f"{printable(owner[_key(name)])} and {printable(job.source)} would both be "
                    f"written to {printable(name)}",
                    Problem.SAME_OUTPUT,
                )
            owner[_key(name)] = job.source


def _sort_in(job: Job, naming: Naming, made: Plan, read: set[str]) -> None:
    """Append *job* to the jobs, the skipped ones or the failed ones of the plan.

    Args:
        job: The job.
        naming: The rules that named its outputs.
        made: The plan.
        read: The keys of all files, and folders of files, that are read and must stay.
    """
    inputs = [name for name in job.outputs if _read(name, read)]
    exists = [name for name in job.outputs if os.path.isfile(name)]
    if job.target in exists and naming.skip_existing:
        made.skipped.append(job)
    elif _same(job) and not naming.force:
        error = UsageError(f"{printable(job.target)} is the input itself", Problem.ITSELF)
        made.failed.append((job, error))
    elif inputs:
        text = f"{printable(job.source)} would be written to {printable(inputs[0])}, an input"
        made.failed.append((job, UsageError(text, Problem.INPUT)))
    elif naming.output is None and any(map(_no_file, job.outputs)):
        text = f"{printable(job.target)} is there, and is no file"
        made.failed.append((job, AudioError(text, Problem.EXISTS)))
    elif exists and not naming.force:
        made.failed.append((job, exists_error(exists[0])))
    else:
        made.jobs.append(job)


def _no_file(name: str) -> bool:
    """Return whether *name* is a pipe or a device, which only its own name as an output means."""
    return os.path.exists(name) and not os.path.isfile(name)


def _read(name: str, read: set[str]) -> bool:
    """Return whether the output *name* is one of the files, or in one of the folders, *read*."""
    inside = os.path.lexists(name) and _key(os.path.dirname(name)) in read  # noqa: PTH120
    return inside or _key(name) in read


def run(
    jobs: Iterable[Task],
    work: Callable[[Task, Needed], Result],
    begin: Callable[[], Needed],
    workers: int,
    stop: Event,
    prepare: Callable[[], None] = lambda: None,
) -> Generator[tuple[Task, Result | Exception], None, None]:
    """Run *jobs* in threads; yield each with its result, or with the error that it raised.

    If the caller leaves early (by Ctrl-C, or an error), *stop* is set, and all threads end before
    the generator does.

    Args:
        jobs: The jobs to run; one is drawn when a thread is free.
        work: Function that processes one job with what *begin* made; it must look at *stop* often.
        begin: Function that makes what a job needs, in the thread of the caller, just before the
            job starts: some plugins can be loaded only in the main thread.
        workers: Number of threads.
        stop: Event that asks the threads to end.
        prepare: Function that each thread calls before its first job.
    """
    pool = ThreadPoolExecutor(workers, "rtdenoise-file", initializer=prepare)
    todo: dict[Future[Result], Task] = {}
    waiting = iter(jobs)
    try:
        while True:
            for job in islice(waiting, workers - len(todo)):
                todo[pool.submit(work, job, begin())] = job
            if not todo:
                break
            # The wait has a timeout, because on Windows Ctrl-C cannot interrupt it otherwise.
            done, _ = wait(todo, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in done:
                error = future.exception()
                job = todo.pop(future)
                if error is None:
                    yield job, future.result()
                elif isinstance(error, Exception):
                    yield job, error
                else:
                    raise error
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)

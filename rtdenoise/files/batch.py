"""Many sound files: which inputs make which outputs, and the threads that do the work."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import TypeVar

from ..errors import AudioError, Problem, UsageError
from .pending import STD, exists_error
from .sound import SUFFIXES

DEFAULT_SUFFIX = ".denoised"
Result = TypeVar("Result")


@dataclass(frozen=True)
class Job:
    """One input and the output it makes."""

    source: str
    target: str


@dataclass
class Plan:
    """What is to be done.

    Attributes:
        jobs: To be processed.
        skipped: Left out because the output is there (`skip_existing`).
        failed: Inputs that cannot be processed, and why.
        left_out: Inputs that are the output of another input.
    """

    jobs: list[Job] = field(default_factory=list)
    skipped: list[Job] = field(default_factory=list)
    failed: list[tuple[Job, Exception]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Naming:
    """How outputs are called.

    Attributes:
        output: The one output; None: named after the input.
        folder: Where outputs go, under the inputs' names; None: beside the inputs.
        suffix: Put before the last suffix; None: ".denoised", or nothing if there is a *folder*.
        force: Existing outputs may be replaced, even an input by its own output.
        skip_existing: Leave out inputs whose output is there.
    """

    output: str | None = None
    folder: str | None = None
    suffix: str | None = None
    force: bool = False
    skip_existing: bool = False

    def target(self, source: str, below: str) -> str:
        """The output for *source*, whose place in a mirrored tree is *below*.

        >>> Naming().target("a/in.wav", "in.wav")
        'a/in.denoised.wav'
        >>> Naming(folder="out").target("a/b/in.wav", "b/in.wav")
        'out/b/in.wav'
        """
        if self.output is not None:
            return self.output
        if source == STD and self.folder is None:
            return STD
        suffix = self.suffix
        if suffix is None:
            suffix = DEFAULT_SUFFIX if self.folder is None else ""
        path = Path("stdin.wav" if source == STD else source)
        parent = path.parent if self.folder is None else Path(self.folder, below).parent
        return str(parent / f"{path.stem}{suffix}{path.suffix}")


def plan(inputs: Sequence[str], naming: Naming, recursive: bool = False) -> Plan:
    """Turn what the user named (files, folders, globs, `-`) into jobs.

    Files that are themselves the output of another input are left out, so that a second run over
    the same folder does not process the results of the first.

    Raises:
        UsageError: one name for several outputs, or settings that contradict each other.
    """
    if naming.output is not None and naming.folder is not None:
        raise UsageError("one output and a folder of outputs were given, wanted one of them")
    if naming.output is not None and (
        naming.output.endswith(("/", os.sep)) or Path(naming.output).is_dir()
    ):
        raise UsageError(
            f"the output {naming.output} is a folder, wanted a file", Problem.ONE_OUTPUT
        )
    if naming.folder is not None and Path(naming.folder).is_file():
        raise UsageError(f"the folder of outputs {naming.folder} is a file", Problem.ONE_OUTPUT)
    made = Plan()
    found: dict[str, Job] = {}  # by the real path, so that a file named twice is one job
    folders = sum(Path(name).is_dir() for name in inputs)
    for name in inputs:
        try:
            for source, below in _expand(name, recursive, naming.folder, folders > 1):
                key = source if source == STD else os.path.realpath(source)
                found.setdefault(key, Job(source, naming.target(source, below)))
        except AudioError as error:
            made.failed.append((Job(name, ""), error))
    jobs = list(found.values())
    if naming.output is not None and len(jobs) > 1:
        raise UsageError(
            f"the output {naming.output} is one file, but there are {len(jobs)} inputs "
            f"({jobs[0].source}, {jobs[1].source}, ...)",
            Problem.ONE_OUTPUT,
        )
    named = [(path, job.source) for path, job in found.items()]
    outputs = {os.path.realpath(j.target) for j in jobs if not _same(j)}
    beside = Naming(suffix=naming.suffix or DEFAULT_SUFFIX)  # left there by another run
    outputs |= {os.path.realpath(beside.target(j.source, "")) for j in jobs if j.source != STD}
    made.left_out = [source for path, source in named if path in outputs]
    jobs = [found[path] for path, _ in named if path not in outputs]
    _refuse_conflicts(jobs)
    for job in jobs:
        _sort_in(job, naming, made)
    return made


def _expand(
    name: str, recursive: bool, folder: str | None, several: bool
) -> Iterator[tuple[str, str]]:
    """Yield (file, its place in a mirrored tree) for one thing the user named."""
    path = Path(name)
    if path.is_dir():
        if not recursive:
            raise AudioError(f"{name} is a folder, wanted a sound file", Problem.FOLDER_IN)
        files = list(_walk(path, folder))
        if not files:
            raise AudioError(
                f"no sound files in {name} (looked for {', '.join(s[1:] for s in SUFFIXES)})"
            )
        base = path.resolve().parent if several else path.resolve()
        yield from ((str(f), str(f.parent.resolve().relative_to(base) / f.name)) for f in files)
    elif name != STD and not path.exists() and glob.has_magic(name):
        files = [Path(f) for f in sorted(glob.glob(name, recursive=True)) if not Path(f).is_dir()]  # noqa: PTH207 - a pattern may be absolute
        if not files:
            raise AudioError(f"no file matches {name!r}. Is the folder right?")
        yield from ((str(f), f.name) for f in files)
    else:
        yield name, path.name


def _walk(folder: Path, outputs: str | None) -> Iterator[Path]:
    """The sound files below *folder*, in order, without hidden ones and those in *outputs*."""
    avoid = Path(outputs).resolve() if outputs is not None else None
    if avoid == folder.resolve():
        avoid = None  # a tree onto itself: each file is then refused, or not, by itself
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(
            f for f in folders if not f.startswith(".") and Path(parent, f).resolve() != avoid
        )
        for name in sorted(names):
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                yield Path(parent, name)


def _same(job: Job) -> bool:
    """Is the output the input itself, under whatever name?"""
    source, target = Path(job.source), Path(job.target)
    if STD in (job.source, job.target) or not (source.exists() and target.exists()):
        return False
    return source.samefile(target)


def _refuse_conflicts(jobs: list[Job]) -> None:
    owner: dict[str, str] = {}
    for job in jobs:
        key = os.path.realpath(job.target)
        if key in owner:
            raise UsageError(
                f"{owner[key]} and {job.source} would both be written to {job.target}",
                Problem.SAME_OUTPUT,
            )
        owner[key] = job.source


def _sort_in(job: Job, naming: Naming, made: Plan) -> None:
    """Put *job* where it belongs: to be done, skipped, or failed already."""
    exists = job.target != STD and Path(job.target).is_file()
    if exists and naming.skip_existing:
        made.skipped.append(job)
    elif _same(job) and not naming.force:
        made.failed.append(
            (
                job,
                UsageError(f"{job.target} is the input itself", Problem.ITSELF),
            )
        )
    elif exists and not naming.force:
        made.failed.append((job, exists_error(job.target)))
    else:
        made.jobs.append(job)


def run(
    jobs: Sequence[Job],
    work: Callable[[Job], Result],
    workers: int,
    stop: Event,
    prepare: Callable[[], None] = lambda: None,
) -> Generator[tuple[Job, Result | Exception], None, None]:
    """Do all *jobs* in threads; yield each with its result, or with the error that it raised.

    Each thread calls *prepare* before its first job.

    On leaving early (Ctrl-C, or an error in the caller) *stop* is set, which *work* must look at
    often, and all threads have ended.
    """
    pool = ThreadPoolExecutor(workers, "rtdenoise-file", initializer=prepare)
    todo: dict[Future[Result], Job] = {}
    try:
        todo = {pool.submit(work, job): job for job in jobs}
        while todo:
            # A timeout, because on Windows an endless wait cannot be interrupted.
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

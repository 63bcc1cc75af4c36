"""Batches of sound files: it plans which inputs make which outputs, and runs the threads."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Event
from typing import TypeVar

from ..errors import AudioError, Problem, UsageError
from .formats import SUFFIXES
from .pending import STD, exists_error

DEFAULT_SUFFIX = ".denoised"
Needed = TypeVar("Needed")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Job:
    """An input and the output that it makes.

    Attributes:
        source: Name of the input, `-` for stdin.
        target: Name of the output, `-` for stdout.
    """

    source: str
    target: str


@dataclass
class Plan:
    """The jobs of a batch, and the inputs that are not processed.

    Attributes:
        jobs: Jobs to process.
        skipped: Jobs whose output exists and must stay (`Naming.skip_existing`).
        failed: Jobs that cannot be processed, each with its error.
        left_out: Inputs that are the output of another input.
    """

    jobs: list[Job] = field(default_factory=list)
    skipped: list[Job] = field(default_factory=list)
    failed: list[tuple[Job, Exception]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Naming:
    """The rules that name the outputs.

    Attributes:
        output: Name of the output of a single input. None: the input's name decides.
        folder: Folder of the outputs, which keep the inputs' names. None: the inputs' own folders.
        suffix: Text before the last suffix of the output's name. None: ".denoised", or nothing if
            there is a *folder*.
        force: Whether existing outputs may be replaced, even an input by its own output.
        skip_existing: Whether inputs are skipped whose output exists.
    """

    output: str | None = None
    folder: str | None = None
    suffix: str | None = None
    force: bool = False
    skip_existing: bool = False

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
        suffix = self.suffix
        if suffix is None:
            suffix = DEFAULT_SUFFIX if self.folder is None else ""
        path = Path("stdin.wav" if source == STD else source)
        parent = path.parent if self.folder is None else Path(self.folder, below).parent
        return str(parent / f"{path.stem}{suffix}{path.suffix}")


def plan(inputs: Sequence[str], naming: Naming, recursive: bool = False) -> Plan:
    """Turn the inputs that a user named into jobs.

    Files that are the output of another input are left out, so that a second run over the same
    folder does not process the results of the first.

    Args:
        inputs: Names of files, folders or globs, or `-` for stdin.
        naming: The rules that name the outputs.
        recursive: Whether folders are searched for sound files; otherwise they are errors.

    Raises:
        UsageError: If several outputs have one name, or settings contradict each other.
    """
    _check_naming(naming)
    made = Plan()
    by_path: dict[str, Job] = {}  # by the real path, so that a file named twice is one job
    folders = sum(Path(name).is_dir() for name in inputs)
    for name in inputs:
        try:
            for source, below in _expand(name, recursive, naming.folder, folders > 1):
                key = source if source == STD else os.path.realpath(source)
                by_path.setdefault(key, Job(source, naming.target(source, below)))
        except AudioError as error:
            made.failed.append((Job(name, ""), error))
    jobs = list(by_path.values())
    if naming.output is not None and len(jobs) > 1:
        raise UsageError(
            f"the output {naming.output} is one file, but there are {len(jobs)} inputs "
            f"({jobs[0].source}, {jobs[1].source}, ...)",
            Problem.ONE_OUTPUT,
        )
    named = [(path, job.source) for path, job in by_path.items()]
    outputs = {os.path.realpath(j.target) for j in jobs if not _same(j)}
    beside = Naming(suffix=naming.suffix or DEFAULT_SUFFIX)  # outputs of an earlier run
    outputs |= {os.path.realpath(beside.target(j.source, "")) for j in jobs if j.source != STD}
    made.left_out = [source for path, source in named if path in outputs]
    jobs = [by_path[path] for path, _ in named if path not in outputs]
    _refuse_conflicts(jobs)
    for job in jobs:
        _sort_in(job, naming, made)
    return made


def _check_naming(naming: Naming) -> None:
    """Refuse rules that contradict each other, or what exists on the disk."""
    output, folder = naming.output, naming.folder
    if output is not None and folder is not None:
        raise UsageError("got the name of one output and a folder of outputs, wanted one of them")
    if output is not None and (output.endswith(("/", os.sep)) or Path(output).is_dir()):
        raise UsageError(f"the output {output} is a folder, wanted a file", Problem.ONE_OUTPUT)
    if folder is not None and Path(folder).is_file():
        raise UsageError(
            f"the folder of outputs {folder} is a file, wanted a folder", Problem.ONE_OUTPUT
        )


def _expand(
    name: str, recursive: bool, folder: str | None, several: bool
) -> Iterator[tuple[str, str]]:
    """Yield (file, its place in a mirrored tree) for every file that *name* means."""
    path = Path(name)
    if path.is_dir():
        if not recursive:
            raise AudioError(f"{name} is a folder, wanted a sound file", Problem.FOLDER_IN)
        files = list(_walk(path, folder))
        if not files:
            raise AudioError(
                f"no sound files in {name}, wanted {', '.join(s[1:] for s in SUFFIXES)}"
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
    """Yield the sound files below *folder* in order, without hidden ones and *outputs*."""
    avoid = Path(outputs).resolve() if outputs is not None else None
    if avoid == folder.resolve():
        avoid = None  # outputs replace their inputs, which each job checks for itself
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(
            f for f in folders if not f.startswith(".") and Path(parent, f).resolve() != avoid
        )
        for name in sorted(names):
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                yield Path(parent, name)


def _same(job: Job) -> bool:
    """Return whether the output is the input itself, under whatever name."""
    source, target = Path(job.source), Path(job.target)
    if STD in (job.source, job.target) or not (source.exists() and target.exists()):
        return False
    return source.samefile(target)


def _refuse_conflicts(jobs: list[Job]) -> None:
    """Refuse two jobs with one output."""
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
    """Append *job* to the jobs, the skipped ones or the failed ones of the plan."""
    exists = job.target != STD and Path(job.target).is_file()
    if exists and naming.skip_existing:
        made.skipped.append(job)
    elif _same(job) and not naming.force:
        error = UsageError(f"{job.target} is the input itself", Problem.ITSELF)
        made.failed.append((job, error))
    elif exists and not naming.force:
        made.failed.append((job, exists_error(job.target)))
    else:
        made.jobs.append(job)


def run(
    jobs: Sequence[Job],
    work: Callable[[Job, Needed], Result],
    begin: Callable[[], Needed],
    workers: int,
    stop: Event,
    prepare: Callable[[], None] = lambda: None,
) -> Generator[tuple[Job, Result | Exception], None, None]:
    """Run *jobs* in threads; yield each with its result, or with the error that it raised.

    If the caller leaves early (by Ctrl-C, or an error), *stop* is set, and all threads end before
    the generator does.

    Args:
        jobs: The jobs to run.
        work: Function that processes one job with what *begin* made; it must look at *stop* often.
        begin: Function that makes what a job needs, in the thread of the caller, just before the
            job starts: some plugins can be loaded only in the main thread.
        workers: Number of threads.
        stop: Event that asks the threads to end.
        prepare: Function that each thread calls before its first job.
    """
    pool = ThreadPoolExecutor(workers, "rtdenoise-file", initializer=prepare)
    todo: dict[Future[Result], Job] = {}
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

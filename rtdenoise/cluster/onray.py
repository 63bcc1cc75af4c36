"""Items on a Ray cluster: an actor a CPU, which loads the net once.

The driver is this process. It reads the names of the items, gives them out and writes the results
log; actors write outputs, and nothing else. A lost actor, with its node or alone, costs what it was
working on, which `crew` gives to another. Ray's own `max_restarts` and `max_task_retries` stay 0,
because only the crew knows how often an item has ended its worker. If the driver is lost, its
actors end too, and a second run does what has no line yet. Outputs appear whole, and have the same
bytes each time, so that it does no harm if an item is done twice.
"""

from __future__ import annotations

import os
import pickle
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain, islice
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import UsageError, printable, reason_of
from ..files.results import Line, ResultsLog
from ..sound.pending import make_folder
from .crew import Crew, Lost
from .flow import Flow
from .items import Item
from .progress import Progress
from .rays import connected
from .store import is_url, local
from .work import Settings, Worker

# Packages of extras that items may need: a worker must have those that the driver has.
EXTRAS = ("fsspec", "s3fs", "gcsfs", "adlfs", "av")
Work = Callable[[Item], Line]


@dataclass(frozen=True)
class Start:
    """What a worker begins with.

    Attributes:
        settings: What is done to every item.
        make: Function that loads what works on items.
        packages: Packages of extras that it must have.
        folder: The folder in which the driver is, from where relative names begin.
        paths: Files of the driver's machine that it must see.
    """

    settings: Settings
    make: Callable[[Settings], Work]
    packages: tuple[str, ...]
    folder: str
    paths: tuple[str, ...]

    def __call__(self) -> Work:
        """Return what works on items in this process.

        Raises:
            RtdenoiseError: If this process lacks something, or the model cannot be loaded.
        """
        for package in self.packages:
            if find_spec(package) is None:
                raise UsageError(
                    f"it lacks the package {package}, which this machine has: pip install "
                    "'rtdenoise[cluster]' there, or what else brings it"
                )
        with suppress(OSError):  # where all names are URLs, it need not be there
            os.chdir(self.folder)
        for path in self.paths:
            if not os.path.exists(path):
                raise UsageError(
                    f"it does not see {printable(path)}, which this machine does: wanted a disk "
                    "that all nodes share, or a store (s3://...)"
                )
        return self.make(self.settings)


def actor() -> type:
    """Return the class of the actors.

    It is pickled by value, as all classes in functions are, and imports nothing before it is there:
    so a worker with another rtdenoise, or with none, can say so.
    """

    class Actor:
        """A process that works on items."""

        def begin(self, version: str, start: bytes) -> tuple[str, Any]:
            """Load the net; see `crew.Hand.begin`."""
            import os
            import pickle
            import socket

            name = f"{socket.gethostname()}:{os.getpid()}"
            wanted = f"rtdenoise {version} of this machine: install it on every node"
            try:
                import rtdenoise
                from rtdenoise.errors import RtdenoiseError

                if rtdenoise.__version__ != version:
                    return name, f"it has rtdenoise {rtdenoise.__version__}, wanted {wanted}"
                load = pickle.loads(start)
            except (ImportError, AttributeError) as error:
                return name, f"it cannot import rtdenoise ({error}), wanted {wanted}"
            try:
                self.work_on = load()
            except RtdenoiseError as error:
                return name, error
            return name, None

        def work(self, items: list[Item]) -> list[Line]:
            """Return the lines of *items*."""
            return [self.work_on(item) for item in items]

    return Actor


class _Process:
    """A worker in an actor of Ray; see `crew.Hand`.

    Args:
        ray: The package.
        actor: The actor.
        start: What it begins with, pickled.
    """

    def __init__(self, ray: Any, actor: Any, start: bytes) -> None:
        self._ray, self._actor, self._start = ray, actor, start

    def begin(self) -> Future[tuple[str, Any]]:
        """See `crew.Hand.begin`."""
        return self._answer(self._actor.begin.remote(__version__, self._start))

    def work(self, items: list[Item]) -> Future[list[Line]]:
        """See `crew.Hand.work`."""
        return self._answer(self._actor.work.remote(items))

    def end(self) -> None:
        """See `crew.Hand.end`."""
        with suppress(Exception):  # it is dead already, or the cluster is
            self._ray.kill(self._actor)

    def _answer(self, reference: Any) -> Future[Any]:
        """Return the future of a call, with the errors of the crew in place of Ray's."""
        answer: Future[Any] = Future()

        def pass_on(done: Future[Any]) -> None:
            error = done.exception()
            if error is None:
                answer.set_result(done.result())
            elif isinstance(error, self._ray.exceptions.RayTaskError):
                answer.set_exception(getattr(error, "cause", None) or error)
            else:
                answer.set_exception(Lost(_why(self._ray, error)))

        reference.future().add_done_callback(pass_on)
        return answer


def _why(ray: Any, error: BaseException) -> str:
    """Return in words why a worker was lost."""
    text = str(error)
    if isinstance(error, ray.exceptions.OutOfMemoryError) or "running low on memory" in text:
        return "its node ran low on memory"
    if "node has died" in text or "node was terminated" in text:
        return "its node died"
    if isinstance(error, ray.exceptions.ActorUnavailableError):
        return "it did not answer any more"
    return "its process died"


@dataclass(frozen=True)
class OnRay:
    """The engine of a Ray cluster; see `here.Engine`.

    Attributes:
        address: The cluster; see `rays.connected`.
        make: Function that loads what works on items, once in each actor.
    """

    address: str | None = None
    make: Callable[[Settings], Work] = Worker

    def __call__(
        self, items: Iterator[Item], settings: Settings, log: ResultsLog, progress: Progress
    ) -> None:
        """Process items on the cluster.

        Raises:
            UsageError: If the cluster cannot be used, or the log cannot be written.
        """
        first = list(islice(items, 64))
        seen = next((item for item in first if item.fault is None), None)
        if not first:
            return
        with connected(self.address) as ray, log.part() as part, witnesses(seen) as paths:
            packages = tuple(name for name in EXTRAS if find_spec(name) is not None)
            start = pickle.dumps(Start(settings, self.make, packages, str(Path.cwd()), paths))
            options = {"num_cpus": 1, "max_restarts": 0, "max_task_retries": 0}
            kind = ray.remote(**options, scheduling_strategy="SPREAD")(actor())
            if not wanted(ray, settings.jobs):
                raise UsageError(
                    f"the Ray cluster at {printable(self.address or 'this machine')} has no CPUs: "
                    "start nodes that have some, or give the number of workers to ask an "
                    "autoscaler for"
                )
            crew = Crew(
                lambda: _Process(ray, kind.remote(), start),
                lambda: wanted(ray, settings.jobs),
                progress,
                settings.timeout_s,
            )
            flow = Flow(chain(first, items))
            for item, answer in crew.run(flow):
                if line := flow.take(item, answer):
                    part.write(line)
                    progress.note(line, item.size)


def wanted(ray: Any, jobs: int | None) -> int:
    """Return how many workers there should be: *jobs*, or as many as the cluster has CPUs."""
    return jobs or int(ray.cluster_resources().get("CPU", 0))


@contextmanager
def witnesses(item: Item | None) -> Iterator[tuple[str, ...]]:
    """Give names of files of this machine that each worker must see while a block runs.

    They are the input of an item, and a hidden file in the folder of its output: a folder of the
    same name on another machine would not have it.
    """
    names = []
    if item is not None and not is_url(item.source) and os.path.exists(item.source):
        names.append(item.source)
    if item is None or is_url(item.target):
        yield tuple(names)
        return
    folder = Path(local(item.target)).parent
    make_folder(folder)
    mark = folder / f".rtdenoise-{secrets.token_hex(6)}"
    try:
        mark.touch()
    except OSError as error:
        raise UsageError(f"cannot write to {printable(folder)}: {reason_of(error)}") from None
    try:
        yield (*names, str(mark))
    finally:
        mark.unlink(missing_ok=True)

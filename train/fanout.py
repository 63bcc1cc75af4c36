"""Tasks that many workers share: this process, processes here, or a Ray cluster.

The only file of the training system that uses Ray. A task and its result are small; what is
large lies in files that all workers see. A worker that dies takes nothing with it: its task is
given to another one, up to TRIES times.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from rtdenoise.cluster.rays import PLACE, RAY, connected
from rtdenoise.errors import UsageError, last_line, printable

TRIES = 3  # workers that a task may lose before it counts as lost
AHEAD = 2  # tasks in flight for each worker of a cluster, so that none of them waits
HERE = "here"

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Lost:
    """What stands for the result of a task that every worker died of.

    Attributes:
        why: What is known of the end of the last of them, in a line.
    """

    why: str


class Workers:
    """The process that calls, as the only worker.

    Attributes:
        count: Number of tasks that are done at the same time.
    """

    count = 1

    def each(
        self,
        work: Callable[[Task], Result],
        tasks: Iterable[Task],
        limit_s: float | None = None,
    ) -> Iterator[tuple[Task, Result | Lost]]:
        """Yield every task with its result, in the order in which they end.

        Args:
            work: Function at the top of a module. What it raises ends everything.
            tasks: The tasks, which are taken when a worker has room for them.
            limit_s: Time after which a worker is ended, as one that hangs. The process that calls
                never is.
        """
        for task in tasks:
            yield task, work(task)


class _Many(Workers):
    """Workers that are other processes."""

    ahead = 1

    def each(
        self,
        work: Callable[[Task], Result],
        tasks: Iterable[Task],
        limit_s: float | None = None,
    ) -> Iterator[tuple[Task, Result | Lost]]:
        """Yield every task with its result, in the order in which they end."""
        limited = partial(_limited, work, limit_s)
        left, flying = iter(tasks), dict[Future[Result], tuple[Task, int]]()
        while True:
            for task in islice(left, max(0, self.ahead * self.count - len(flying))):
                flying[self._begin(limited, task)] = (task, 1)
            if not flying:
                return
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                task, tries = flying.pop(future)
                result = self._end(future)
                if isinstance(result, Lost) and tries < self.tries:
                    flying[self._begin(limited, task)] = (task, tries + 1)
                else:
                    yield task, result

    tries = 1

    def _begin(self, work: Callable[[Task], Result], task: Task) -> Future[Result]:
        """Give a task to a worker."""
        raise NotImplementedError

    def _end(self, future: Future[Result]) -> Result | Lost:
        """Return the result of a task that has ended, and raise what it raised."""
        raise NotImplementedError


class _Processes(_Many):
    """Processes of this machine, each in a pool of its own: one that dies breaks only that."""

    tries = TRIES

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = [self._pool() for _ in range(count)]
        self._busy: dict[Future[Any], ProcessPoolExecutor] = {}

    @staticmethod
    def _pool() -> ProcessPoolExecutor:
        # A fork of a process with torch's threads may hang, so processes are spawned.
        return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))

    def _begin(self, work: Callable[[Task], Result], task: Task) -> Future[Result]:
        pool = self._free.pop()
        future = pool.submit(work, task)
        self._busy[future] = pool
        return future

    def _end(self, future: Future[Result]) -> Result | Lost:
        pool = self._busy.pop(future)
        try:
            result: Result | Lost = future.result()
        except BrokenProcessPool:
            result = Lost(f"lost with its worker {TRIES} times")
            pool.shutdown()
            pool = self._pool()
        self._free.append(pool)
        return result

    def close(self) -> None:
        for pool in (*self._free, *self._busy.values()):
            pool.shutdown(cancel_futures=True)


class _OnRay(_Many):
    """The cores of a Ray cluster; nodes may come and go. Ray gives lost tasks to others."""

    ahead = AHEAD

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._remote = ray.remote(num_cpus=1, max_retries=TRIES - 1)(_call)

    @property
    def count(self) -> int:  # type: ignore[override]
        """Number of cores that the cluster has at the moment."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def _begin(self, work: Callable[[Task], Result], task: Task) -> Future[Result]:
        future: Future[Result] = self._remote.remote(work, task).future()
        return future

    def _end(self, future: Future[Result]) -> Result | Lost:
        errors = self._ray.exceptions
        try:
            return future.result()
        except errors.RuntimeEnvSetupError as error:
            raise UsageError(f"the cluster cannot start a worker: {last_line(error)}") from None
        except errors.RayTaskError as error:
            cause = error.cause or error
            if isinstance(cause, ImportError) or "No module named" in str(error):
                raise UsageError(
                    f"a worker of the cluster cannot import what it needs: {last_line(cause)}; "
                    f"every node needs this checkout ({_checkout()}), with the same packages"
                ) from None
            raise cause from None
        except errors.RayError as error:
            return Lost(f"lost with its worker {TRIES} times ({last_line(error)})")


def _call(work: Callable[[Task], Result], task: Task) -> Result:
    """Do a task on a worker of Ray; the function comes by its name, so its module is imported."""
    return work(task)


def _limited(work: Callable[[Task], Result], limit_s: float | None, task: Task) -> Result:
    """Do a task in a worker that ends itself if it takes too long, even in a call that hangs."""
    if limit_s is None:
        return work(task)
    with Path(os.devnull).open("w") as nowhere:
        faulthandler.dump_traceback_later(limit_s, exit=True, file=nowhere)
        try:
            return work(task)
        finally:
            faulthandler.cancel_dump_traceback_later()


@contextmanager
def workers(on: str | None = None, jobs: int = 1) -> Iterator[Workers]:
    """Open workers for the time of a block.

    Args:
        on: None or `here`: this machine. `ray`: the cluster that RAY_ADDRESS names or this machine
            is part of, or else a cluster of this machine alone. `ray://HOST:PORT`, or `HOST:PORT`
            on one of its nodes: that cluster.
        jobs: Number of processes on this machine; 1 means the process that calls.

    Raises:
        UsageError: the words mean no place, Ray is not installed, or no cluster answers.
    """
    if on is not None and on != HERE:
        if not PLACE.fullmatch(on):
            raise UsageError(
                f"no place {printable(on)!r}; known: {HERE}, {RAY}, ray://HOST:PORT, HOST:PORT"
            )
        with connected(None if on == RAY else on, {"PYTHONPATH": _path()}) as ray:
            yield _OnRay(ray)
    elif jobs <= 1:
        yield Workers()
    else:
        pool = _Processes(jobs)
        try:
            yield pool
        finally:
            pool.close()


def _checkout() -> Path:
    return Path(__file__).parents[1]


def _path() -> str:
    """Return the folders in which workers look for modules: this checkout first."""
    return os.pathsep.join(filter(None, [str(_checkout()), os.environ.get("PYTHONPATH", "")]))

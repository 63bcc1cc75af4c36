"""PortAudio's library: called from one thread with a time limit, and left behind if it hangs.

PortAudio lists the devices once, is not made for several threads, and trusts the sound server. If
a JACK server dies, closing a stream waits for ten minutes, and the end of PortAudio aborts the
process with a failed assertion; so does sounddevice's own exit handler. A copy of the library that
hangs, or that holds a client of JACK, is therefore never ended but left behind, and a fresh copy of
the file is loaded: it has a state of its own, and lists the devices anew.
"""

from __future__ import annotations

import atexit
import ctypes
import ctypes.util
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from importlib.util import module_from_spec
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from ..errors import DeviceError, Problem, last_line

T = TypeVar("T")
ANSWER_S = 10.0  # time for a call; a JACK server that does not answer takes five seconds
CLOSE_S = 2.0  # time for closing a stream, or for the end of the library
FRESH_S, FRESH_AT_EXIT_S = 0.5, 5.0  # JACK's server lives if it answered so short a time ago
JACK = "JACK"  # the names of its host API begin so


class StartError(DeviceError):
    """The error of a PortAudio that does not start; the message is its reason alone."""


class Copy:
    """A copy of PortAudio, as a module like sounddevice, with a thread that makes all its calls.

    Args:
        load: Function that returns the module, or raises OSError if PortAudio is not installed.
        is_shared: Whether others may have streams in it.

    Attributes:
        streams: Number of our streams that are open in it.
        answered_s: Time when the sound server last did what it was told.
        stuck: Whether it hangs, or would hang or abort: it is never called again.
    """

    def __init__(self, load: Callable[[], Any], is_shared: bool) -> None:
        self._load, self._is_shared, self._lock = load, is_shared, threading.Lock()
        self._sd: Any = None
        self._begun, self.answered_s = False, 0.0
        self._kept: list[Any] = []  # what it may still use must stay in memory
        self.streams, self.stuck = 0, False
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        threading.Thread(target=self._work, daemon=True, name="rtdenoise-portaudio").start()

    def call(self, work: Callable[[Any], T], limit_s: float | None = None) -> T:
        """Return work(module), which runs in the copy's thread.

        Args:
            work: Function of the module.
            limit_s: Longest time to wait in seconds. None: `ANSWER_S`.

        Raises:
            DeviceError: If PortAudio is not installed, does not start, or does not answer in time.
        """
        limit_s = ANSWER_S if limit_s is None else limit_s
        with self._lock:
            if not self.stuck:
                future: Future[T] = Future()
                with _stderr_is_back() as bring_back:
                    self._jobs.put((future, lambda: work(self._module())))
                    try:
                        future.exception(limit_s)
                    except TimeoutError:
                        self.stuck = True
                        bring_back()
                    else:
                        return future.result()
        raise DeviceError(
            f"PortAudio did not answer within {limit_s:g} s: its sound server hangs", Problem.DEVICE
        )

    def opened(self, stream: Any) -> None:
        """Count *stream*, and keep it until it is closed: what the library calls belongs to it."""
        self.streams += 1
        self._kept.append(stream)

    def closed(self, stream: Any) -> None:
        """Count *stream* as closed, and let it go."""
        self.answered_s = time.monotonic()
        if stream in self._kept:
            self._kept.remove(stream)
            self.streams -= 1

    def leave(self, used: Any) -> None:
        """Leave it behind, with *used*, which it may still use."""
        self._kept.append(used)
        self.stuck = True

    def end(self, at_exit: bool = False) -> bool:
        """End PortAudio, and return True, if no stream is open and it can neither hang nor abort.

        The next call begins it again.

        Args:
            at_exit: Whether the process ends, and all streams may end with it.
        """
        if not self._begun or self.stuck:
            return not self.stuck
        fresh_s = FRESH_AT_EXIT_S if at_exit else FRESH_S
        if _in_jack(self._sd) and time.monotonic() - self.answered_s > fresh_s:
            return False  # its server may be dead
        if not at_exit and (self.streams or self._is_shared):
            return False
        with suppress(Exception):
            self.call(_exit if at_exit else _terminate, CLOSE_S)
            self._begun = False
        return not self._begun

    def stay(self) -> None:
        """Keep the library in memory for good: at the exit, threads of JACK still run in it.

        So does what it may still call.
        """
        if self._sd is not None:
            for used in (self._sd._lib, self._kept):
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(used))

    def _work(self) -> None:
        """Do one job after the other, in the copy's thread."""
        while True:
            future, work = self._jobs.get()
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)

    def _module(self) -> Any:
        """Return the module, loaded and begun."""
        if self._begun:
            return self._sd
        try:
            if self._sd is None:
                self._sd = self._load()
                # It would wait for ever, or abort the process, if a sound server had died.
                atexit.unregister(self._sd._exit_handler)
            else:
                self._sd._initialize()
        except OSError as error:
            raise DeviceError(
                f"there is no PortAudio on this machine ({error}). Install it: sudo apt install "
                "libportaudio2 (Debian, Ubuntu), brew install portaudio (macOS). Files and null "
                "need none.",
                Problem.DEVICE,
            ) from None
        except Exception as error:  # its own class is in the module that did not load
            raise StartError(last_line(error), Problem.DEVICE) from None
        self._begun, self.answered_s = True, time.monotonic()
        return self._sd


class Library:
    """PortAudio: the copy of it that is in use.

    Args:
        load: Function that returns the module sounddevice, or raises OSError if PortAudio is not
            installed.
    """

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load
        self._first: Any = None  # the module that was loaded; the others are copies of it
        self._copies: list[Copy] = []  # the last one is in use; streams may be open in the others
        self._fresh = True

    @property
    def copy(self) -> Copy:
        """The copy in use: another one, if the last was left."""
        if self._fresh or self._copies[-1].stuck:
            if not self._copies:
                atexit.register(self.close)
            is_shared = self._first is None and "sounddevice" in sys.modules
            self._copies.append(Copy(self._loaded, is_shared))
            self._fresh = False
        return self._copies[-1]

    def _loaded(self) -> Any:
        """Return sounddevice, or a copy of it if it was loaded before."""
        if self._first is not None:
            return _copy(self._first)
        self._first = self._load()
        return self._first

    def relist(self) -> None:
        """End the copy in use, or leave it: the next call lists the devices anew."""
        if not self._fresh and not self._copies[-1].end():
            self._fresh = True

    def close(self) -> None:
        """End all copies at the exit of the process, as far as that is safe and quick."""
        for copy in self._copies:
            if not copy.end(at_exit=True):
                copy.stay()


@contextmanager
def _stderr_is_back() -> Iterator[Callable[[], None]]:
    """Return a context with a function that restores stderr.

    sounddevice turns stderr off while PortAudio begins; if that hangs, no error would be read.
    """
    try:
        kept = os.dup(2)
    except OSError:  # it is closed
        yield lambda: None
        return

    def bring_back() -> None:
        os.dup2(kept, 2)

    try:
        yield bring_back
    finally:
        os.close(kept)


def _in_jack(sd: Any) -> bool:
    """Return whether PortAudio is a client of JACK; if the server died, its end would abort."""
    return any(host["name"].startswith(JACK) and host["devices"] for host in sd.query_hostapis())


def _terminate(sd: Any) -> None:
    """End PortAudio, however often it was begun."""
    while sd._initialized:
        sd._terminate()


def _exit(sd: Any) -> None:
    """Do what sounddevice does at the exit."""
    sd._exit_handler()


def _copy(first: Any) -> Any:
    """Return sounddevice anew, on a copy of the library's file: the system shares a file's state.

    Args:
        first: The module whose library was left.

    Raises:
        OSError: If the file cannot be found or copied.
    """
    file = _file(first._libname)
    with tempfile.NamedTemporaryFile(
        prefix="rtdenoise-", suffix=file.suffix, delete=False
    ) as target:
        copy = Path(target.name)
    shutil.copyfile(file, copy)
    module = module_from_spec(first.__spec__)

    def found(name: str) -> str:
        return str(copy)

    find, ctypes.util.find_library = ctypes.util.find_library, found
    try:
        first.__spec__.loader.exec_module(module)
    finally:
        ctypes.util.find_library = find
        with suppress(OSError):  # Windows holds it as long as it is loaded
            copy.unlink()
    return module


def _file(name: str) -> Path:
    """Return the file of the loaded library that its loader knows as *name*."""
    if Path(name).is_absolute():
        return Path(name)
    mapped = Path("/proc/self/maps").read_text().splitlines()
    for line in mapped:
        path = Path(line.split(maxsplit=5)[-1])
        if path.name.startswith(name):
            return path
    raise OSError(f"{name} is loaded from nowhere")

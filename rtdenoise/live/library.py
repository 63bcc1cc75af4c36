"""PortAudio's library: called from one thread with a time limit, and left behind if it hangs.

PortAudio lists the devices once, is not made for several threads, and trusts the sound server. If
a JACK server dies, closing a stream waits for ten minutes, and the end of PortAudio aborts the
process with a failed assertion; so does sounddevice's own exit handler. A copy of the library that
hangs, or that holds a client of JACK, is therefore never ended but left behind, and a fresh copy of
the file is loaded: it has a state of its own, and lists the devices anew.
"""

from __future__ import annotations

import atexit
import ctypes.util
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from importlib.util import module_from_spec
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from ..errors import DeviceError, Problem

T = TypeVar("T")
ANSWER_S = 10.0  # time for a call; a JACK server that does not answer takes five seconds
CLOSE_S = 2.0  # time for closing a stream, or for the end of the library
YOUNG_S = 0.5  # a client of JACK that is younger can be ended: its server has just answered
JACK = "JACK"  # the names of its host API begin so


class Library:
    """PortAudio as the module sounddevice, for calls that cannot hang.

    Args:
        load: Function that returns the module, or raises OSError if PortAudio is not installed.
    """

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load, self._lock = load, threading.Lock()
        self._module: Any = None
        self._ended: Any = None  # a module whose library was ended, and can begin again
        self._first: Any = None  # the module that was loaded; the others are copies of it
        self._left: list[Any] = []  # what a library may still use must stay in memory
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] | None = None
        self._loaded_s = 0.0

    def call(self, work: Callable[[Any], T], limit_s: float | None = None) -> T:
        """Return work(sounddevice), which runs in the library's thread.

        Args:
            work: Function of the module.
            limit_s: Longest time to wait in seconds. None: `ANSWER_S`.

        Raises:
            DeviceError: If PortAudio is not installed, does not start, or does not answer in time;
                then this copy of it is left.
        """
        limit_s = ANSWER_S if limit_s is None else limit_s
        with self._lock:
            if self._jobs is None:
                self._jobs = SimpleQueue()
                threading.Thread(
                    target=_work, args=(self._jobs,), daemon=True, name="rtdenoise-portaudio"
                ).start()
            future: Future[T] = Future()
            self._jobs.put((future, lambda: work(self._current())))
            try:
                return future.result(limit_s)
            except TimeoutError:
                if future.done():  # an error of the work itself
                    raise
                self._leave()
                raise DeviceError(
                    f"PortAudio did not answer within {limit_s:g} s: its sound server hangs",
                    Problem.DEVICE,
                ) from None

    def holds(self, module: Any) -> bool:
        """Return whether *module* is the copy in use, so that its streams can be closed."""
        return module is not None and module is self._module

    def leave(self, *used: Any) -> None:
        """Leave this copy behind, with all that it may still use; the next call loads another."""
        with self._lock:
            self._left.extend(used)
            self._leave()

    def relist(self) -> None:
        """End this copy, if that is safe, or leave it: the next call lists the devices anew.

        Every stream of this copy ends.
        """
        module = self._module
        if module is None:
            return
        if _in_jack(module) and time.monotonic() - self._loaded_s > YOUNG_S:
            self.leave()
            return
        try:
            self.call(_end, CLOSE_S)
        except DeviceError:
            return  # it was left
        self._ended, self._module = module, None

    def close(self) -> None:
        """End the library at the exit of the process, unless that could abort it."""
        module = self._module
        if module is not None and not _in_jack(module):
            try:
                self.call(lambda sd: sd._exit_handler(), CLOSE_S)
            except Exception:  # nothing is open any more, and the system takes the rest back
                self.leave()

    def _leave(self) -> None:
        """Leave the copy and the thread, which may be stuck in it."""
        self._left.append(self._module)
        self._module, self._ended, self._jobs = None, None, None

    def _current(self) -> Any:
        """Return the module; load it, begin again, or load a fresh copy, if it must be so."""
        if self._module is not None:
            return self._module
        try:
            if self._ended is not None:
                module = self._ended
                module._initialize()
            elif self._first is not None:
                module = _copy(self._first)
            else:
                module = self._first = self._load()
        except OSError as error:
            raise DeviceError(
                f"there is no PortAudio on this machine ({error}). Install it: sudo apt install "
                "libportaudio2 (Debian, Ubuntu), brew install portaudio (macOS). Files and null "
                "need none.",
                Problem.DEVICE,
            ) from None
        except Exception as error:  # its class is in the module, which may not have been loaded
            if type(error).__name__ != "PortAudioError":
                raise
            raise DeviceError(
                f"PortAudio does not start: {error}. The sound settings of this user may be "
                "broken (~/.asoundrc or /etc/asound.conf on Linux)",
                Problem.DEVICE,
            ) from None
        handler = getattr(module, "_exit_handler", None)
        if handler is not None:  # it would wait for ever, or abort, if a server had died
            atexit.unregister(handler)
            atexit.unregister(self.close)
            atexit.register(self.close)
        self._module, self._ended, self._loaded_s = module, None, time.monotonic()
        return module


def _work(jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]]]) -> None:
    """Do one job after the other, in the library's thread."""
    while True:
        future, work = jobs.get()
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)


def _in_jack(sd: Any) -> bool:
    """Return whether PortAudio is a client of JACK; if the server died, its end would abort."""
    return any(host["name"].startswith(JACK) and host["devices"] for host in sd.query_hostapis())


def _end(sd: Any) -> None:
    """End PortAudio, however often it was begun."""
    while sd._initialized:
        sd._terminate()


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

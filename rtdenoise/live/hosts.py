"""The runs of this user that can be controlled: where their sockets are, and a client of one.

A run has a Unix socket live-PID.sock in the user's runtime folder, which only this user may enter.
Where a system has no such sockets, live-PID.json names a port on this machine and a token that only
this user can read. A request is a line of JSON, and so is its reply:

    {"do": "mix", "value": 60}        {"ok": true, "result": 60.0}
    {"do": "mix", "value": 600}       {"ok": false, "error": "mix = 600: wanted 0 ...", "code": 2}

This file imports nothing large, so that a client starts at once.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from ..errors import AudioError, DeviceError, ModelError, Problem, RtdenoiseError, UsageError
from .folders import runtime_folder

LONGEST = 65_536  # bytes of a line
LOCAL = "127.0.0.1"
UNIX = hasattr(socket, "AF_UNIX") and sys.platform != "win32"
CONNECT_S, ANSWER_S = 5.0, 60.0  # a change of the model takes a few seconds
ERRORS = {kind.exit_code: kind for kind in (AudioError, UsageError, DeviceError, ModelError)}


def control_folder() -> Path:
    """Return the folder of the sockets, which is made if necessary.

    Raises:
        DeviceError: If it cannot be made, or another user could change what is in it.
    """
    folder = runtime_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if hasattr(os, "geteuid"):
            about = folder.lstat()
            if about.st_uid != os.geteuid() or not stat.S_ISDIR(about.st_mode):
                raise DeviceError(f"{folder} belongs to another user, so that nothing is put there")
            folder.chmod(0o700)
    except DeviceError:  # it is an OSError, too
        raise
    except OSError as error:
        raise DeviceError(f"{folder} cannot be used: {error.strerror}") from None
    return folder


def address(pid: int) -> Path:
    """Return the file by which the run of the process *pid* is reached; it need not exist."""
    return control_folder() / f"live-{pid}.{'sock' if UNIX else 'json'}"


def peer_is_me(sock: socket.socket) -> bool:
    """Return whether the other end of a Unix socket belongs to this user, as far as known."""
    if not hasattr(socket, "SO_PEERCRED") or sock.family != socket.AF_UNIX:
        return True  # the folder, or the token, keeps others out
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return bool(uid == os.geteuid())


class Host:
    """A connection to a run, which answers one request after the other.

    Args:
        pid: Number of its process.

    Raises:
        DeviceError: If no such process runs, or it does not answer.
    """

    def __init__(self, pid: int) -> None:
        self.pid, self._read = pid, b""
        file = address(pid)
        try:
            self._socket = _connected(file)
        except (ConnectionRefusedError, FileNotFoundError):
            file.unlink(missing_ok=True)  # it was killed, and left the file
            raise DeviceError(f"no run has the process number {pid}", Problem.NO_HOST) from None
        except (OSError, ValueError, KeyError) as error:
            raise DeviceError(f"the run of process {pid} does not answer: {error}") from None
        if not peer_is_me(self._socket):
            self.close()
            raise DeviceError(f"{file} belongs to another user's process")

    def ask(self, do: str, **given: Any) -> Any:
        """Return the result of a request.

        Args:
            do: Name of the request.
            given: Its other keys, as `value`.

        Raises:
            RtdenoiseError: What the run answers, if it refuses.
            DeviceError: If the run is over.
        """
        line = json.dumps({"do": do, **given}).encode() + b"\n"
        if len(line) > LONGEST:
            raise UsageError(f"{do}: wanted at most {LONGEST} bytes, got {len(line)}")
        reply = self._asked(line)
        if reply.get("ok"):
            return reply.get("result")
        kind = ERRORS.get(reply.get("code", 0), RtdenoiseError)
        problem = str(reply.get("problem", ""))
        known = Problem(problem) if problem in set(Problem) else Problem.NONE
        raise kind(str(reply.get("error", "it refused")), known)

    def _asked(self, line: bytes) -> dict[str, Any]:
        """Send a line and return the reply."""
        try:
            self._socket.settimeout(ANSWER_S)
            with suppress(BrokenPipeError):  # a refusal may wait to be read
                self._socket.sendall(line)
            while b"\n" not in self._read:
                part = self._socket.recv(LONGEST)
                if not part:
                    raise ConnectionResetError
                self._read += part
            got, _, self._read = self._read.partition(b"\n")
            reply = json.loads(got)
            if isinstance(reply, dict):
                return reply
            raise ValueError
        except TimeoutError:
            text = f"the run of process {self.pid} did not answer within {ANSWER_S:.0f} s"
        except (OSError, ValueError):
            text = f"the run of process {self.pid} is gone"
        raise DeviceError(text, Problem.NO_HOST)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _connected(file: Path) -> socket.socket:
    """Return a socket to the run that *file* belongs to."""
    if UNIX:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(CONNECT_S)
            sock.connect(str(file))
        except BaseException:
            sock.close()
            raise
        return sock
    place = json.loads(file.read_text())
    sock = socket.create_connection((LOCAL, place["port"]), CONNECT_S)
    sock.sendall(json.dumps({"token": place["token"]}).encode() + b"\n")
    return sock


def running() -> list[int]:
    """Return the process numbers of the runs that answer, sorted; what dead ones left is removed.

    Raises:
        DeviceError: If the user's runtime folder cannot be used.
    """
    pids = []
    for file in control_folder().glob("live-*.sock" if UNIX else "live-*.json"):
        number = file.stem.removeprefix("live-")
        with suppress(DeviceError):
            if number.isdecimal():
                Host(int(number)).close()
                pids.append(int(number))
    return sorted(pids)


def choose(wanted: str | None = None) -> Host:
    """Return a connection to the run that is meant.

    Args:
        wanted: Process number, or the name of a preset. None: the only run that there is.

    Raises:
        DeviceError: If there is none.
        UsageError: If there are several; the message lists them.
    """
    if wanted is not None and wanted.isdecimal():
        return Host(int(wanted))
    found = []
    for pid in running():
        with suppress(DeviceError), Host(pid) as host:
            status = host.ask("status")
            if wanted is None or status["preset"] == wanted:
                found.append((pid, described(status)))
    if not found:
        which = "no run" if wanted is None else f"no run with the preset {wanted!r}"
        raise DeviceError(f"there is {which} to control", Problem.NO_HOST)
    if len(found) > 1:
        listed = "\n".join(f"  {text}" for _, text in found)
        raise UsageError(f"{len(found)} runs: choose one\n{listed}", Problem.HOSTS)
    return Host(found[0][0])


def described(status: dict[str, Any]) -> str:
    """Return a run in a line, for people."""
    runs = status["model"] or ", ".join(status["board"] or []) or "an empty board"
    preset = f", preset {status['preset']}" if status["preset"] else ""
    return f"{status['pid']}: {' -> '.join(status['ends'])}, {runs}{preset}"

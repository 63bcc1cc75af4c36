"""Sound servers that can die: a private jackd and a private PulseAudio, each with a client.

JACK keeps semaphores and up to 100 MB in /dev/shm, and jackd leaves them if it is killed. So it and
its clients get a /dev/shm of their own here, in a mount namespace that ends with the test.
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.live.virtual_card import ALSA_PLUGINS, needs_portaudio

PATIENCE_S = 60.0  # a guard against hanging, not an expectation


def until(what: str, true) -> None:
    """Wait until true() is; fail with *what* if that takes too long."""
    end_s = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end_s, what
        time.sleep(0.05)


class Server:
    """A sound server that can be killed and started again.

    Args:
        folder: Where its files go.
    """

    prefix: tuple[str, ...] = ()

    def __init__(self, folder: Path) -> None:
        needs_portaudio()
        self.folder = folder
        self.environment = {
            **os.environ,
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "XDG_CONFIG_HOME": str(folder),
            "ALSA_CONFIG_PATH": str(folder / "alsa.conf"),
            "JACK_NO_START_SERVER": "1",
            "JACK_NO_AUDIO_RESERVATION": "1",
            "DBUS_SESSION_BUS_ADDRESS": "disabled:",
        }
        (folder / "alsa.conf").write_text(f"<{ALSA_PLUGINS}>\n")
        self.children: list[subprocess.Popen] = []
        self.server: subprocess.Popen

    def command(self) -> list[str]:
        """The server as a command."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether it is up."""
        raise NotImplementedError

    def spawn(self, command: list[str], **settings) -> subprocess.Popen:
        """A process that sees this server and no other."""
        child = subprocess.Popen([*self.prefix, *command], env=self.environment, **settings)
        self.children.append(child)
        return child

    def ask(self, *command: str) -> str:
        """What a command says."""
        return subprocess.run(
            [*self.prefix, *command],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        ).stdout

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.server = self.spawn(
                self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        end_s = time.monotonic() + 20
        while not self.answers():
            if self.server.poll() is not None or time.monotonic() > end_s:
                pytest.skip(f"{self.command()[0]} cannot run here: see {self.folder / 'log'}")
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a crash does."""
        self.server.kill()
        self.server.wait()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        for child in reversed(self.children):
            if child.poll() is None:
                child.kill()
            child.wait()
            for pipe in (child.stdout, child.stderr):
                if pipe is not None:
                    pipe.close()


class Jack(Server):
    """jackd with the dummy driver: PortAudio's device `system`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        if any(shutil.which(tool) is None for tool in ("jackd", "jack_lsp", "nsenter", "unshare")):
            pytest.skip("needs jackd: apt install jackd2")
        user = os.getuid() != 0
        mount = "mount -t tmpfs tmpfs /dev/shm && echo ready && exec sleep 600"
        room = ["unshare", *(["-r"] if user else []), "-m", "sh", "-c", mount]
        holder = subprocess.Popen(room, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.children.append(holder)
        assert holder.stdout is not None
        if b"ready" not in holder.stdout.readline():
            holder.wait()
            pytest.skip("needs a mount namespace, for a /dev/shm of its own")
        into = ["-U", "--preserve-credentials"] if user else []
        self.prefix = ("nsenter", "-t", str(holder.pid), "-m", f"--wd={Path.cwd()}", *into)
        self.environment["JACK_DEFAULT_SERVER"] = f"rtdenoise{os.getpid()}"

    def command(self) -> list[str]:
        name = self.environment["JACK_DEFAULT_SERVER"]
        daemon = ["jackd", "--no-realtime", "--no-mlock", "--port-max", "32", "--name", name]
        return [*daemon, "-d", "dummy", "-r", "48000", "-p", "1024"]

    def answers(self) -> bool:
        return "system" in self.ask("jack_lsp", "-s", self.environment["JACK_DEFAULT_SERVER"])


class Pulse(Server):
    """PulseAudio with the null sinks `first` and `second`: PortAudio's devices `pulse` and `named`.

    `pulse` is wherever the server sends it; `named` is the sink `second` and its monitor.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        if any(shutil.which(tool) is None for tool in ("pulseaudio", "pactl")):
            pytest.skip("needs PulseAudio: apt install pulseaudio pulseaudio-utils")
        socket = f"unix:{folder}/native"
        self.environment |= {
            "PULSE_RUNTIME_PATH": str(folder),
            "PULSE_STATE_PATH": str(folder),
            "PULSE_CONFIG_PATH": str(folder),
            "PULSE_SERVER": socket,
        }
        (folder / "client.conf").write_text("autospawn = no\nenable-shm = no\n")
        (folder / "daemon.conf").write_text("enable-shm = no\nexit-idle-time = -1\n")
        (folder / "start.pa").write_text(
            f"load-module module-native-protocol-unix socket={folder}/native auth-anonymous=1\n"
            "load-module module-null-sink sink_name=first\n"
            "load-module module-null-sink sink_name=second\n"
            "set-default-sink first\nset-default-source first.monitor\n"
        )
        (folder / "alsa.conf").write_text(
            f'<{ALSA_PLUGINS}>\npcm.named {{ type pulse server "{socket}" device "second"\n'
            'hint { show on description "named" } }\n'
        )

    def command(self) -> list[str]:
        options = ["--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1"]
        return ["pulseaudio", "-n", "-F", str(self.folder / "start.pa"), *options]

    def answers(self) -> bool:
        return "second.monitor" in self.ask("pactl", "list", "short", "sources")

    def unload(self, sink: str) -> None:
        """Take a sink away, and its source with it."""
        modules = self.ask("pactl", "list", "short", "modules").splitlines()
        (number,) = (line.split()[0] for line in modules if f"sink_name={sink}" in line)
        self.ask("pactl", "unload-module", number)

    def load(self, sink: str) -> None:
        """Plug a sink in."""
        self.ask("pactl", "load-module", "module-null-sink", f"sink_name={sink}")


class Command:
    """`rtdenoise live` on a server, whose lines can be waited for."""

    def __init__(self, server: Server, *flags: str) -> None:
        command = [sys.executable, "-m", "rtdenoise", "live", *flags]
        self.process = server.spawn(command, stderr=subprocess.PIPE, text=True)
        self.said: list[str] = []
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line)
        self._lines.put(None)

    def expect(self, text: str) -> None:
        """Wait for a line with *text*."""
        while True:
            line = self._lines.get(timeout=PATIENCE_S)
            assert line is not None, f"no {text!r} in {self.said}"
            self.said.append(line)
            if text in line:
                return

    def _written(self) -> int:
        """Size in bytes of all files that it has open: also of a recording that has no name yet."""
        sizes = []
        for link in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with suppress(OSError):
                told = link.stat()
                sizes.append(told.st_size if stat.S_ISREG(told.st_mode) else 0)
        return sum(sizes)

    def sounds(self) -> None:
        """Wait until it records on, so that the stream makes calls."""
        before = self._written()
        until("nothing is recorded", lambda: self._written() > before)

    def end(self, number: int | None = signal.SIGINT) -> tuple[int, str]:
        """Send a signal, unless it ends by itself; its exit code and all that it said."""
        if number is not None:
            self.process.send_signal(number)
        while (line := self._lines.get(timeout=PATIENCE_S)) is not None:
            self.said.append(line)
        self._reader.join()
        return self.process.wait(PATIENCE_S), "".join(self.said)

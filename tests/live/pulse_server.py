"""A PulseAudio server of a test's own, in one folder, with devices `mic` and `speakers`.

It runs as any user, without dbus, systemd or a sound card, and no other server is touched. What is
played into `micfeed` comes out of `mic`; what the speakers play comes out of `speakers.monitor`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.live.virtual_card import ALSA_PLUGINS, needs_portaudio

RATE = 48_000
MODULES = f"""
load-module module-native-protocol-unix socket={{socket}} auth-anonymous=1
load-module module-null-sink sink_name=speakers rate={RATE} channels=2 norewinds=1
load-module module-null-sink sink_name=micfeed rate={RATE} channels=1 norewinds=1
load-module module-remap-source master=micfeed.monitor source_name=mic channels=1
set-default-sink speakers
set-default-source mic
"""
QUIET = "enable-shm = no\nenable-memfd = no\n"  # /dev/shm is shared with other tests
DAEMON = f"default-sample-format = float32le\ndefault-sample-rate = {RATE}\n{QUIET}"


def needs_pulseaudio() -> None:
    """Skip, visibly, where PulseAudio or its ALSA plugin is not installed."""
    needs_portaudio()
    plugin = any(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so"))
    if not plugin or not all(map(shutil.which, ("pulseaudio", "pactl", "pacat"))):
        pytest.skip("needs apt install pulseaudio pulseaudio-utils libasound2-plugins")


class PulseServer:
    """A server in *folder*, started.

    Args:
        folder: Where its sockets and settings go. The path must be short: it names a socket.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.children = folder, list[subprocess.Popen[bytes]]()
        socket = folder / "native"
        (folder / "state").mkdir(mode=0o700)
        (folder / "default.pa").write_text(MODULES.format(socket=socket))
        (folder / "daemon.conf").write_text(DAEMON)
        (folder / "client.conf").write_text(f"autospawn = no\n{QUIET}")
        (folder / "asound.conf").write_text(f"<{ALSA_PLUGINS}>\n")
        self.variables = {
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "XDG_CONFIG_HOME": str(folder),
            "PULSE_RUNTIME_PATH": str(folder),
            "PULSE_STATE_PATH": str(folder / "state"),
            "PULSE_CONFIG_PATH": str(folder),
            "PULSE_SERVER": f"unix:{socket}",
            "ALSA_CONFIG_PATH": str(folder / "asound.conf"),
            "DBUS_SESSION_BUS_ADDRESS": "disabled:",
            "JACK_NO_START_SERVER": "1",
        }
        self.environment = {**os.environ, **self.variables}
        self.start()

    def start(self) -> None:
        """Start the server, and wait until it has its devices."""
        options = ("--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "-n")
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                ["pulseaudio", *options, "-F", str(self.folder / "default.pa")],
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        for _ in range(200):
            if "mic" in self.names("sources"):
                return
            time.sleep(0.05)
        self.close()
        pytest.skip("pulseaudio does not run here: " + (self.folder / "log").read_text()[-300:])

    def pactl(self, *words: str) -> str:
        """What pactl prints."""
        done = subprocess.run(
            ["pactl", *words], env=self.environment, capture_output=True, text=True, check=False
        )
        return done.stdout

    def names(self, what: str) -> list[str]:
        """The names of the sinks or sources, or of the modules."""
        return [line.split("\t")[1] for line in self.pactl("list", "short", what).splitlines()]

    def play(self, sink: str, frames: np.ndarray) -> None:
        """Play *frames* (samples, channels) into *sink*, in the background."""
        played = self.folder / f"played{len(self.children)}.raw"
        np.ascontiguousarray(frames, np.float32).tofile(played)
        words = ["pacat", "-p", "--raw", f"--channels={frames.shape[1]}", "-d", sink]
        with played.open("rb") as opened:
            self._child([*words, "--latency-msec=50"], stdin=opened)

    def record(self, source: str, seconds: float) -> np.ndarray:
        """Record *source* for a time: (samples,), one channel."""
        child = self._child(
            ["pacat", "-r", "--raw", "--channels=1", "--latency-msec=20", "-d", source],
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        heard = child.stdout.read(4 * round(RATE * seconds))
        child.kill()
        return np.frombuffer(heard, np.float32)

    def _child(self, words: list[str], **pipes: Any) -> subprocess.Popen[bytes]:
        form = ["--format=float32le", f"--rate={RATE}"]
        child = subprocess.Popen([*words, *form], env=self.environment, **pipes)
        self.children.append(child)
        return child

    def close(self) -> None:
        """End the server and everything that was started with it."""
        self.process.send_signal(signal.SIGCONT)
        for child in (*self.children, self.process):
            child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()

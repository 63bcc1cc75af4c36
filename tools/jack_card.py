"""Simulate a sound card: a private JACK server, and a peer that plays a file and records.

    python tools/jack_card.py PLAY.wav HEARD.wav -- rtdenoise live --in mic --out speakers ...

The command runs while JACK's dummy driver calls it every 512 samples at 48 kHz; PortAudio lists the
peer's two clients as devices `mic` and `speakers`. PLAY.wav is played once, half a second after
the command has connected, and HEARD.wav receives its output. The tool needs jackd2 and JACK-Client.

JACK keeps semaphores in /dev/shm; for root the tool mounts an empty one, so that none is left
behind. `--sync` makes the server wait for its clients, so that no sample is lost under load.
PortAudio has to end before the peer, and the peer before the server; otherwise libjack aborts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

RATE_HZ, PERIOD = 48_000, 512
ALONE = "RTDENOISE_JACK_ALONE"


def alone() -> None:
    """Restart the tool in a mount namespace of its own, if it may."""
    if os.environ.get(ALONE) or os.getuid() != 0:
        return
    os.environ[ALONE] = "1"
    mount = 'mount -t tmpfs tmpfs /dev/shm && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", mount, "sh", sys.executable, *sys.argv]
    os.execvp(command[0], command)


class Peer:
    """The JACK clients `mic`, which plays *audio* once, and `speakers`, which records.

    Args:
        audio: Sound to play, (samples,) float32.
        seconds: Length of the longest recording.
    """

    def __init__(self, audio: np.ndarray, seconds: float) -> None:
        import jack

        self.audio, self.at = audio, -1
        self.recorded, self.count, self.xruns = np.zeros(int(seconds * RATE_HZ), np.float32), 0, 0
        self.mic: Any = jack.Client("mic", no_start_server=True)
        self.speakers: Any = jack.Client("speakers", no_start_server=True)
        self.out = self.mic.outports.register("out_1")
        self.into = self.speakers.inports.register("in_1")
        self.mic.set_process_callback(self.play)
        self.mic.set_xrun_callback(self.count_xrun)
        self.speakers.set_process_callback(self.record)
        self.mic.activate()
        self.speakers.activate()

    def play(self, frames: int) -> None:
        """Fill the buffer of the microphone."""
        buffer = self.out.get_array()
        buffer[:] = 0
        if self.at >= 0:
            piece = self.audio[self.at : self.at + frames]
            buffer[: len(piece)] = piece
            self.at += frames

    def record(self, frames: int) -> None:
        """Record the buffer of the speakers."""
        piece = self.recorded[self.count : self.count + frames]
        piece[:] = self.into.get_array()[: len(piece)]
        self.count += len(piece)

    def count_xrun(self, _delay_us: float) -> None:
        """Count an xrun of any client of the server."""
        self.xruns += 1

    def close(self) -> None:
        """Disconnect both clients."""
        for client in (self.speakers, self.mic):
            client.deactivate()
            client.close()


def wait_for_server(daemon: subprocess.Popen[bytes], name: str) -> None:
    """Wait until jackd answers, for ten seconds at most."""
    for _ in range(200):
        if daemon.poll() is not None:
            break
        if (
            subprocess.run(["jack_lsp", "-s", name], capture_output=True, check=False).returncode
            == 0
        ):
            return
        time.sleep(0.05)
    sys.exit("jackd did not start")


@contextmanager
def server(
    how: Sequence[str] = ("--no-realtime", "--sync"), ports: Sequence[str] = ("-C0", "-P0")
) -> Iterator[None]:
    """Return a context with a private jackd, which this process and its children use.

    Args:
        how: Options of the server.
        ports: Options of the dummy driver: none leaves it the ports of a device called `system`.
    """
    name = f"rtdenoise{os.getpid()}"
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(HOME=home, XDG_RUNTIME_DIR=home, JACK_DEFAULT_SERVER=name)
        os.environ.update(JACK_NO_START_SERVER="1", JACK_NO_AUDIO_RESERVATION="1")
        command = ["jackd", *how, "--no-mlock", "--port-max", "32", "--name", name]
        command += ["-d", "dummy", "-r", str(RATE_HZ), "-p", str(PERIOD), *ports]
        with (Path(home) / "jackd.log").open("wb") as log:
            daemon = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            try:
                wait_for_server(daemon, name)
                yield
            finally:
                daemon.terminate()
                daemon.wait(5)


def main() -> int:
    """Run the command on the simulated card and return its exit code."""
    alone()
    play, recorded, _, *command = sys.argv[1:]
    audio = sf.read(play, dtype="float32", always_2d=True)[0][:, 0]
    with server():
        peer = Peer(audio, len(audio) / RATE_HZ + 30)
        running = subprocess.Popen(command)
        while running.poll() is None and not peer.out.number_of_connections:
            time.sleep(0.05)
        time.sleep(0.5)
        peer.at = 0
        code = running.wait()
        peer.close()
        sf.write(recorded, peer.recorded[: peer.count], RATE_HZ, "FLOAT")
        print(f"jack xruns {peer.xruns}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())

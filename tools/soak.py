"""Soak a live run: an hour at the pace of a card, in which nothing may grow, drift or get lost.

    python tools/soak.py jack --minutes 60      # a device: a private JACK server and its clients
    python tools/soak.py file --minutes 60      # no device: a file at the clock of the machine

It plays the demo's noisy voice again and again through `rtdenoise live --record`, and looks every
few seconds at the memory of the process, and every minute at the delay, which is the lag of the
best correlation of output and input. It prints a row, and what is wrong: memory that grew by more
than 1 MB after the first minute, a delay that moved by a sample, counters that do not agree with
the recording. (While a busy machine lets the run stand still, JACK waits: the recording is longer
by a silence, which the run tells.) The exit code is 1 then. (Linux only, because it reads /proc.)
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

ROOT = Path(__file__).parents[1]
RATE, BLOCK = 48_000, 512
WINDOW = 2 * RATE  # samples in which a delay is measured
MOST_DELAY = RATE // 2
GROWTH_MB = 1.0
LOOK_S = 5.0
START_S = 60.0  # a run that does not start within this has failed


@dataclass
class Soak:
    """What was measured.

    Attributes:
        summary: The summary of the run.
        recorded: Samples in the recording.
        memory: Seconds since the sound began, resident and anonymous memory in MB.
        delays: Seconds since the sound began, and the delay in samples.
    """

    summary: dict[str, Any] = field(default_factory=dict)
    recorded: int = 0
    memory: list[tuple[float, float, float]] = field(default_factory=list)
    delays: list[tuple[float, int]] = field(default_factory=list)

    def growth_mb(self, settle_s: float) -> tuple[float, float]:
        """Return by how much resident and anonymous memory grew at most after *settle_s*."""
        settled = np.array([look[1:] for look in self.memory if look[0] >= settle_s])
        resident, anonymous = (settled - settled[0]).max(axis=0)
        return float(resident), float(anonymous)

    def faults(self, settle_s: float) -> list[str]:
        """Return the rules that the run broke, in words."""
        s, faults = self.summary, []
        for what, grown_mb in zip(("resident", "anonymous"), self.growth_mb(settle_s), strict=True):
            if grown_mb >= GROWTH_MB:
                faults.append(f"the {what} memory grew by {grown_mb:.2f} MB")
        if len(found := {delay for _, delay in self.delays}) != 1:
            faults.append(f"the delay is not constant: {sorted(found)} samples")
        called = s["callbacks"] * BLOCK
        if round(s["seconds"] * RATE - called) > 0.001 * RATE:
            faults.append(f"{s['seconds']} s of sound, but {called} samples in callbacks")
        silent = RATE * s["recording"]["silent_s"]
        if abs(self.recorded - called - silent) > 0.001 * RATE * bool(silent):
            text = f"{self.recorded} samples in the recording, {called} in callbacks"
            faults.append(f"{text}, and {silent:.0f} of silence where the machine stood still")
        if s["hops"] + s["dry"] < s["callbacks"]:
            faults.append(f"{s['hops']} hops and {s['dry']} dry ones in {s['callbacks']} callbacks")
        if s["ended"] != "complete" or s["gaps"] or s["faults"] or s["failed"]:
            faults.append(f"the run failed or had gaps: {json.dumps(s)[:2000]}")
        if s["lost_recording"] or s["recording"]["missing_s"]:
            faults.append(f"the recording lost samples: {json.dumps(s['recording'])}")
        return faults


def memory_mb(process: int) -> tuple[float, float]:
    """Return the resident and the anonymous memory of a process in MB."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    kb = {name: float(value.split()[0]) for name, _, value in (x.partition(":") for x in lines)}
    return kb["Rss"] * 1.024e-3, kb["Anonymous"] * 1.024e-3


def delay_of(heard: np.ndarray, played: np.ndarray) -> int:
    """Return by how many samples *heard* is behind *played* (samples,), which begin together."""
    size = 2 * len(heard)
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(played, size))
    return int(np.argmax(np.fft.irfft(spectrum)[:MOST_DELAY]))


class LoopCard:
    """JACK clients `mic`, which plays *loop* again and again, and `speakers`, which remembers.

    Args:
        loop: Sound to play, (samples,) float32.
    """

    def __init__(self, loop: np.ndarray) -> None:
        import jack

        self.loop, self.heard = loop, np.zeros(2 * WINDOW, np.float32)
        self.until = 0  # frame of the server up to which `heard` has the sound
        self.mic: Any = jack.Client("mic", no_start_server=True)
        self.speakers: Any = jack.Client("speakers", no_start_server=True)
        self.out = self.mic.outports.register("out_1")
        self.into = self.speakers.inports.register("in_1")
        self.mic.set_process_callback(self._play)
        self.speakers.set_process_callback(self._hear)
        self.mic.activate()
        self.speakers.activate()

    def _at(self, frame: int, frames: int) -> np.ndarray:
        return np.take(self.loop, np.arange(frame, frame + frames), mode="wrap")

    def _play(self, frames: int) -> None:
        self.out.get_array()[:] = self._at(self.mic.last_frame_time, frames)

    def _hear(self, frames: int) -> None:
        frame = self.speakers.last_frame_time
        where = np.arange(frame, frame + frames)
        np.put(self.heard, where, self.into.get_array(), mode="wrap")
        self.until = frame + frames

    def delay(self) -> int:
        """Return the delay from `mic` to `speakers` in samples."""
        begin = self.until - WINDOW
        heard = np.take(self.heard, np.arange(begin, begin + WINDOW), mode="wrap")
        return delay_of(heard, self._at(begin, WINDOW))

    def close(self) -> None:
        """Disconnect both clients, after the process that is tested."""
        for client in (self.speakers, self.mic):
            client.deactivate()
            client.close()


def watch(
    live: subprocess.Popen[str], part: Path, seconds: float, delay: Callable[[float], int | None]
) -> Soak:
    """Watch a run until *seconds* of sound are over.

    Args:
        live: The process.
        part: The recording while it grows; the sound runs when it is there.
        seconds: Length of the run.
        delay: Function that gets the seconds since the sound began and returns the delay.
    """
    soak, end_s = Soak(), time.monotonic() + START_S
    while live.poll() is None and not part.exists() and time.monotonic() < end_s:
        time.sleep(0.05)
    begin_s = time.monotonic()
    look_s, delay_s = min(LOOK_S, seconds / 20), min(60.0, seconds / 5)
    while live.poll() is None and (now_s := time.monotonic() - begin_s) < seconds - look_s:
        soak.memory.append((now_s, *memory_mb(live.pid)))
        if now_s >= (len(soak.delays) + 1) * delay_s and (found := delay(now_s)) is not None:
            soak.delays.append((now_s, found))
        time.sleep(look_s)
    text, _ = live.communicate()
    if live.returncode or len(soak.delays) < 2:
        sys.exit(f"the run ended too early, with exit code {live.returncode}")
    soak.summary = json.loads(text.splitlines()[-1])
    return soak


def start(
    source: str, sink: str, model: str, seconds: float, record: Path
) -> subprocess.Popen[str]:
    """Start `rtdenoise live` between two ends."""
    command = [sys.executable, "-m", "rtdenoise", "live", "--in", source, "--out", sink]
    command += ["-m", model, "--rate", str(RATE), "--channels", "1", "--block", str(BLOCK)]
    command += ["--duration", str(seconds), "--record", str(record), "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def soak_jack(loop: np.ndarray, model: str, seconds: float, record: Path) -> Soak:
    """Soak a stream of PortAudio on a private JACK server."""
    from jack_card import server

    part = record.with_name(record.name + ".part.wav")
    with server():
        card = LoopCard(loop)
        soak = watch(
            start("mic", "speakers", model, seconds, record),
            part,
            seconds,
            lambda now_s: card.delay() if now_s > 2 * WINDOW / RATE else None,
        )
        card.close()
    soak.recorded = sf.info(record).frames
    return soak


def soak_file(loop: np.ndarray, model: str, seconds: float, record: Path) -> Soak:
    """Soak a file that is played at the clock of the machine, to no device."""
    source = record.with_name("played.wav")
    with sf.SoundFile(source, "w", RATE, 1, "PCM_16") as file:
        while file.tell() < (seconds + 5) * RATE:
            file.write(loop)
    part = record.with_name(record.name + ".part.wav")

    def delay(now_s: float) -> int | None:
        at = int((now_s - 1) * RATE) - WINDOW
        if at < 0:
            return None
        heard, played = (sf.read(each, WINDOW, at, dtype="float32")[0] for each in (part, source))
        return delay_of(heard, played)

    soak = watch(start(f"file:{source}", "null", model, seconds, record), part, seconds, delay)
    soak.recorded = sf.info(record).frames
    return soak


def row(card: str, soak: Soak, settle_s: float) -> str:
    """Return the cells of a run."""
    s, (resident, anonymous) = soak.summary, soak.growth_mb(settle_s)
    delays = [delay for _, delay in soak.delays]
    cells = [card, f"{s['seconds'] / 60:.1f}", f"{soak.memory[-1][1]:.1f}", f"{resident:+.2f}"]
    cells += [f"{soak.memory[-1][2]:.1f}", f"{anonymous:+.2f}"]
    cells += [f"{min(delays)} to {max(delays)} ({len(delays)} times)"]
    silent = round(RATE * s["recording"]["silent_s"])
    cells += [str(s["callbacks"] * BLOCK), str(silent), str(soak.recorded)]
    cells += [str(s["xruns_in"] + s["xruns_out"])]
    cells += [str(s[name]) for name in ("late", "dry", "failed")]
    return f"| {' | '.join([*cells, f'{os.getloadavg()[2]:.1f}'])} |"


HEAD = """\
| card | minutes | resident MB | growth | anonymous MB | growth | delay, samples \
| in callbacks | silence | recorded | xruns | late | dry | failed | load |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"""


def main() -> int:
    """Run the soak, print its table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("card", choices=("jack", "file"))
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--settle", type=float, default=60.0, help="seconds in which memory grows")
    parser.add_argument("-m", "--model", default="speech")
    parser.add_argument("--keep", metavar="FILE", help="write all measurements as JSON")
    args = parser.parse_args()
    if args.card == "jack":
        from jack_card import alone

        alone()
    loop, _ = sf.read(ROOT / "examples" / "audio" / "noisy.flac", dtype="float32")
    soaked = soak_jack if args.card == "jack" else soak_file
    with tempfile.TemporaryDirectory() as folder:
        soak = soaked(loop, args.model, 60 * args.minutes, Path(folder, "heard.wav"))
    if args.keep:
        Path(args.keep).write_text(json.dumps(vars(soak)))
    print(HEAD)
    print(row(args.card, soak, args.settle))
    faults = soak.faults(args.settle)
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

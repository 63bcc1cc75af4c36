"""Measure how long a net remembers, and what a recording that was cut and joined differs by.

    python tools/cuts_bench.py forget -m speech --minutes 30 recordings/*.flac
    python tools/cuts_bench.py cut -m speech --longest 600 long.wav

`forget` joins the recordings to one of some minutes, at random levels, with pauses of digital
silence between them. It runs the net over all of it, and anew from many places, and prints the
largest difference by the time since the run began, and where the seams hand over. `cut` processes a
file uncut and in pieces, and prints times, memory and the largest difference, which is one of
steps if the file has integers: take one of floats.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtdenoise import Denoise
from rtdenoise.audio import Samples
from rtdenoise.cluster import cuts, here, memory
from rtdenoise.cluster.items import Item
from rtdenoise.cluster.progress import Progress
from rtdenoise.cluster.seams import Joiner, Piece
from rtdenoise.cluster.work import Settings
from rtdenoise.core.stage import pump
from rtdenoise.core.stream import Stream
from rtdenoise.files.results import ResultsLog
from rtdenoise.sound.reader import SoundReader

BLOCK = 65_536
SIDE_BY_SIDE = 16  # runs that are channels of one: several in one call cost a third
WARM_UPS_S = (0, 10, 20, 30, 60, 90, 120, 150, 180, 240, 300)


def material(files: list[str], rate: int, samples: int, seed: int) -> Samples:
    """Return (1, *samples*) of the recordings at *rate* Hz, in any order, with pauses between."""
    rng, out, at = np.random.default_rng(seed), np.zeros((1, samples), np.float32), 0
    known = []
    for file in files:
        with SoundReader(file) as reader:
            if reader.rate == rate:
                known.append(np.concatenate([block[:1] for block in reader], axis=1))
    if not known:
        raise SystemExit(f"wanted recordings at {rate} Hz")
    while at < samples:
        one = known[rng.integers(len(known))][:, : 60 * rate]
        level = np.sqrt(np.mean(one**2)) + 1e-6
        one = one[:, : samples - at] * (10 ** (rng.uniform(-40, -12) / 20) / level)
        out[:, at : at + one.shape[1]] = np.clip(one, -1, 1)
        at += one.shape[1] + round(rng.choice([0, 0.5, 3, 20], p=[0.5, 0.3, 0.15, 0.05]) * rate)
    return out


def blocks(sound: Samples) -> Iterator[Samples]:
    """Yield *sound* in blocks."""
    for at in range(0, sound.shape[1], BLOCK):
        yield sound[:, at : at + BLOCK]


def forget(args: argparse.Namespace) -> None:
    """Print how the difference falls with the time since a run began."""
    effect = Denoise(args.model)
    effect.prepare_thread()
    rate = effect.own_rate or 48_000
    sound = material(args.files, rate, round(args.minutes * 60 * rate), 1)
    stream, span = Stream(rate, 1), round(args.seconds * rate)
    uncut = np.concatenate(list(pump(blocks(sound), effect.stage(stream))), axis=1)
    step = memory.grid(effect, rate)
    places = np.random.default_rng(2).integers(0, (sound.shape[1] - span) // step, args.places)
    errors, found = [], []
    for first in range(0, args.places, SIDE_BY_SIDE):
        begins = [int(place) * step for place in places[first : first + SIDE_BY_SIDE]]
        for error, seam in side_by_side(effect, sound, uncut, begins, span):
            errors.append(error)
            found.append(seam)
    told(args.model, np.array(errors), np.array(found), rate)


def side_by_side(
    effect: Denoise, sound: Samples, uncut: Samples, begins: list[int], span: int
) -> list[tuple[NDArray[np.float64], tuple[float, float]]]:
    """Run *effect* anew from each of *begins*.

    Returns:
        For each run its largest difference in every second, and (seconds until the hand-over, the
        largest difference of the joined sound).
    """
    rate, count = effect.own_rate or 48_000, len(begins)
    queues: list[deque[Samples]] = [deque() for _ in begins]

    joiners = []
    for queue, begin in zip(queues, begins, strict=True):
        pieces = [Piece(0, [], blocks(uncut[:, begin:])), Piece(None, Forever(queue), [])]
        joiners.append(Joiner(iter(pieces), Stream(rate, 1)))
    worst, joined, at = np.zeros((count, span // rate)), np.zeros(count), 0
    given = (
        np.concatenate([sound[:, begin + at : begin + min(at + BLOCK, span)] for begin in begins])
        for at in range(0, span, BLOCK)
    )
    for out in pump(given, effect.stage(Stream(rate, count))):
        for i, begin in enumerate(begins):
            here = slice(begin + at, begin + at + out.shape[1])
            error = np.abs(out[i] - uncut[0, here])
            seconds = np.minimum((at + np.arange(len(error))) // rate, span // rate - 1)
            np.maximum.at(worst[i], seconds, error)
            queues[i].append(out[i : i + 1])
            whole = joiners[i].after(sound[:, here])
            joined[i] = max(joined[i], np.abs(whole - uncut[:, here]).max(initial=0.0))
        at += out.shape[1]
    seams = [joiner.seams[0] for joiner in joiners]
    after = [seam.frames / rate if seam.agreed else np.inf for seam in seams]
    return list(zip(worst, zip(after, joined, strict=True), strict=True))


class Forever:
    """What is put into a queue, as an iterable that does not end when the queue is empty."""

    def __init__(self, queue: deque[Samples]) -> None:
        self._queue = queue

    def __iter__(self) -> Forever:
        return self

    def __next__(self) -> Samples:
        return self._queue.popleft()


def told(model: str, errors: NDArray[np.float64], found: NDArray[np.float64], rate: int) -> None:
    """Print the tables."""
    rest = np.maximum.accumulate(errors[:, ::-1], axis=1)[:, ::-1]
    print(f"{model}: {len(errors)} places, largest difference from the uncut run")
    print("| after s | largest | 9 of 10 | median |")
    print("|---|---|---|---|")
    for after_s in WARM_UPS_S:
        if after_s < rest.shape[1]:
            row = rest[:, after_s]
            print(
                f"| {after_s} | {row.max():.1e} | {np.quantile(row, 0.9):.1e} "
                f"| {np.median(row):.1e} |"
            )
    after, joined = found.T
    print(
        f"hand-over after {np.median(after):.0f} s (median), {after.max():.0f} s (latest); largest "
        f"difference of the joined sound {joined.max():.1e}"
    )


def cut(args: argparse.Namespace) -> None:
    """Print what a file costs uncut and in pieces, and what the outputs differ by."""
    effect = Denoise(args.model)
    print("| file | pieces | s | x real time | peak MB of the process | largest difference |")
    print("|---|---|---|---|---|---|")
    for file in args.files:
        planned = cuts.plan(file, effect, args.longest)
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            outputs = [Path(folder, name) for name in ("pieces.w64", "uncut.w64")]
            for output, longest_s in zip(outputs, (args.longest, None), strict=True):
                begin = time.perf_counter()
                settings = Settings(model=args.model, longest_s=longest_s, jobs=args.jobs)
                item = Item(file, None, str(output), file)
                here.run(iter([item]), settings, ResultsLog(None), Progress())
                took = time.perf_counter() - begin
                with SoundReader(output) as reader:
                    seconds = reader.frames / reader.rate
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                same = "" if longest_s else f"{difference(*outputs):.1e}"
                print(
                    f"| {file} | {len(planned) if longest_s else 1} | {took:.1f} "
                    f"| {seconds / took:.1f} | {peak:.0f} | {same} |",
                    flush=True,
                )


def difference(one: Path, other: Path) -> float:
    """Return the largest difference of two files of the same length."""
    with SoundReader(one) as a, SoundReader(other) as b:
        return max(float(np.abs(x - y).max()) for x, y in zip(a, b, strict=True))


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(required=True)
    for work in (forget, cut):
        verb = verbs.add_parser(work.__name__)
        verb.set_defaults(work=work)
        verb.add_argument("-m", "--model", default="speech")
        verb.add_argument("files", nargs="+")
    verbs.choices["forget"].add_argument("--minutes", type=float, default=30.0)
    verbs.choices["forget"].add_argument("--places", type=int, default=32)
    verbs.choices["forget"].add_argument("--seconds", type=float, default=300.0)
    verbs.choices["cut"].add_argument("--longest", type=float, default=600.0)
    verbs.choices["cut"].add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    verbs.choices["cut"].add_argument("--folder", help="of the outputs, which are removed")
    args = parser.parse_args()
    args.work(args)


if __name__ == "__main__":
    main()

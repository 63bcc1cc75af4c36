"""Score a model for super-resolution on recordings of full bandwidth that it has not heard.

    python tools/superres.py CACHE MODEL --kind speech --side dev --least-hz 17500
    python tools/superres.py CACHE MODEL --kind music --rates 5000 --top-hz 5000

CACHE is what `python -m train prepare` wrote. MODEL may also be sinc, spline or noise-fill, the
baselines of `evaluate`. The first 6 s of up to two recordings a source are brought to 8, 12, 16 and
24 kHz and back by soxr, and given to the model. A row a rate: the LSD (2048/512 Hann, log10 power)
of input and output over all frequencies, of the output below the band of the reference's own end,
and of the output below the cut-off; and the SNR of input and output. With --top-hz, reference and
output are brought to twice that rate, and only what is below it counts: 5 to 10 kHz is the task of
the student project that docs/seed-results.md tells of.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from rtdenoise import Denoise
from train.data.cache import Recording, read
from train.data.split import side_of
from train.evaluate.baselines import BASELINES
from train.sections import Data

RATE, WINDOW, HOP, FLOOR = 48_000, 2048, 512, 1e-8
LONGEST_S, SHORTEST_S = 6, 2
RATES_HZ = (8000, 12_000, 16_000, 24_000)


def levels(sound: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return log10 power (frames, bins)."""
    windows = np.lib.stride_tricks.sliding_window_view(sound, WINDOW)[::HOP]
    power: NDArray[np.float64] = np.abs(np.fft.rfft(windows * np.hanning(WINDOW + 1)[:-1])) ** 2
    return np.log10(power + FLOOR)


def lsd(estimate: NDArray[np.float32], reference: NDArray[np.float32], hz: float) -> float:
    """Return the log-spectral distance below *hz*."""
    apart = (levels(estimate) - levels(reference))[:, : round(hz * WINDOW / RATE)]
    return float(np.sqrt((apart**2).mean(1)).mean())


def snr_db(estimate: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """Return the SNR in dB."""
    return float(10 * np.log10((reference**2).sum() / ((reference - estimate) ** 2).sum()))


def narrowed(sound: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
    """Return *sound* after a way through *rate_hz*."""
    back = soxr.resample(soxr.resample(sound, RATE, rate_hz, "VHQ"), rate_hz, RATE, "VHQ")
    return np.pad(back, (0, max(0, len(sound) - len(back))))[: len(sound)].astype(np.float32)


def system(model: str) -> Callable[[NDArray[np.float32], float], NDArray[np.float32]]:
    """Return the function that widens a sound (1, n) whose band ends at a frequency in Hz."""
    if model in BASELINES:
        return lambda narrow, end_hz: BASELINES[model](narrow, RATE, end_hz)
    effect = Denoise(model)
    return lambda narrow, _: effect(narrow, RATE)


def chosen(recordings: list[Recording]) -> list[Recording]:
    """Return up to two recordings of each source, or five if there are ten sources at most."""
    by: dict[str, list[Recording]] = {}
    for each in recordings:
        by.setdefault(each.source, []).append(each)
    return [r for source in sorted(by) for r in by[source][: 2 if len(by) > 10 else 5]]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cache", type=Path)
    parser.add_argument("model", help="name or path")
    parser.add_argument("--kind", default="speech", help="speech or music")
    parser.add_argument("--side", default="dev", help="dev or test")
    parser.add_argument("--least-hz", type=float, default=17_500, help="least bandwidth")
    parser.add_argument("--rates", type=int, nargs="+", default=RATES_HZ, help="Hz")
    parser.add_argument("--top-hz", type=int, default=RATE // 2, help="score what is below it")
    args = parser.parse_args()
    contents = read(args.cache)
    wanted = chosen(
        [
            r
            for r in contents.recordings
            if (r.kind, side_of(r, Data())) == (args.kind, args.side)
            and r.bandwidth_hz >= args.least_hz
            and r.stop - r.start > SHORTEST_S * RATE
        ]
    )
    clips = [contents.samples_of(r)[: LONGEST_S * RATE].astype(np.float32) / 32768 for r in wanted]
    clips = [narrowed(clip, 2 * args.top_hz) for clip in clips]
    print(f"{len(clips)} recordings of {len({r.source for r in wanted})} sources")
    print("| rate | LSD in | LSD out | below its end | below the cut-off | SNR in | SNR out |")
    widen = system(args.model)
    for rate_hz in args.rates:
        rows = []
        for recording, clip in zip(wanted, clips, strict=True):
            narrow = narrowed(clip, rate_hz)
            out = narrowed(widen(narrow[None], rate_hz / 2)[0], 2 * args.top_hz)
            rows.append(
                (
                    lsd(narrow, clip, args.top_hz),
                    lsd(out, clip, args.top_hz),
                    lsd(out, clip, min(args.top_hz, recording.bandwidth_hz)),
                    lsd(out, clip, 0.94 * rate_hz / 2),
                    snr_db(narrow, clip),
                    snr_db(out, clip),
                )
            )
        means = np.mean(rows, axis=0)
        print(f"| {rate_hz} | {' | '.join(f'{value:.2f}' for value in means)} |", flush=True)


if __name__ == "__main__":
    main()

"""Take the steady noise out of the voices that a net trains on.

    python tools/clean_targets.py CACHE OUT            and train with --cache OUT
    python tools/clean_targets.py CACHE --scores 150   DNSMOS of so many voices, before and after

A net gives back what its targets hold. Where two of three recordings have a noise of their own, it
learns to keep such noise, and its outputs are no cleaner than they are. OUT is a cache like CACHE:
in voices of the training side the noise that is as loud in the pauses as anywhere else is lowered
by up to FLOOR_DB, with the log-spectral amplitude estimator of Ephraim and Malah (1985), whose
noise of each bin is a low percentile over the recording; voices whose pauses are less than
--least-range dB below their loudest frames are left out, and those of --most-range dB and more stay
as they are, because the estimator takes the weak ends of words for noise where there is none. All
else is links to the files of CACHE, so that losses on the other sides can be compared.
"""

from __future__ import annotations

import argparse
import os
import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import istft, stft
from scipy.special import exp1

from rtdenoise.proof.quality import dnsmos
from train.data.cache import read
from train.data.index import Recording, link_files
from train.data.indexer import write_index
from train.data.pauses import range_db
from train.data.split import side_of
from train.sections import Data

PART = "clean"  # folder below OUT with the voices
BATCH = 256  # recordings in memory at a time
RATE_HZ, WINDOW, HOP = 48_000, 2048, 512
FLOOR_DB = -25.0
PERCENTILE = 10.0  # of the power of a bin over time: what it has in the pauses
ABOVE = 6.0  # noise power over that percentile: it is the mean of a noise that varies, and more
DECAY = 0.96  # of the decision-directed estimate: the residual noise does not sound
SHORTEST = 2 * WINDOW
LONGEST_S = 9  # of a voice that is scored
Floats = NDArray[np.float64]


def cleaned(voice: Floats) -> Floats:
    """Return *voice* (n,), of 48 kHz or so, with less of its steady noise."""
    _, _, spectrum = stft(voice, RATE_HZ, nperseg=WINDOW, noverlap=WINDOW - HOP)
    power = np.abs(spectrum) ** 2 + 1e-14
    smooth = uniform_filter1d(uniform_filter1d(power, 9, axis=1), 3, axis=0)
    noise = uniform_filter1d(ABOVE * np.percentile(smooth, PERCENTILE, axis=1), 5)
    gains, before, least = np.empty_like(power), np.ones(len(power)), 10 ** (FLOOR_DB / 20)
    for frame, now in enumerate((power / noise[:, None]).T):
        prior = np.maximum(DECAY * before + (1 - DECAY) * np.maximum(now - 1, 0), 1e-3)
        wiener = prior / (1 + prior)
        gain = np.minimum(1, wiener * np.exp(exp1(np.maximum(wiener * now, 1e-6)) / 2))
        before = gain**2 * now
        gains[:, frame] = np.maximum(gain, least)
    _, out = istft(spectrum * gains, RATE_HZ, nperseg=WINDOW, noverlap=WINDOW - HOP)
    return np.asarray(out[: len(voice)], np.float64)


def mended(
    samples: NDArray[np.int16], least_range_db: float, most_range_db: float
) -> NDArray[np.int16] | None:
    """Return a target in place of *samples* (n,); None: it is too noisy for one."""
    voice = samples / 32768.0
    if len(voice) < SHORTEST or (range_of := range_db(voice, RATE_HZ)) < least_range_db:
        return None
    if range_of >= most_range_db:
        return samples
    return np.clip(np.round(cleaned(voice) * 32768), -32768, 32767).astype(np.int16)


def is_target(recording: Recording) -> bool:
    """Return whether a recording is a voice of the training side."""
    return recording.kind == "speech" and side_of(recording, Data()) == "train"


def make(cache: Path, out: Path, least_range_db: float, most_range_db: float, jobs: int) -> None:
    """Write the cache *out*."""
    contents = read(cache)
    everything = [*contents.recordings, *contents.rooms]
    trained = [r for r in everything if is_target(r)]
    others = [r for r in everything if not is_target(r)]
    link_files(cache, out, others)
    (out / PART).mkdir(parents=True)
    kept, at = list[Recording](), 0
    work = partial(mended, least_range_db=least_range_db, most_range_db=most_range_db)
    with (out / PART / "speech.i16").open("wb") as file, ProcessPoolExecutor(jobs) as pool:
        for start in range(0, len(trained), BATCH):
            block = trained[start : start + BATCH]
            made = pool.map(work, map(contents.samples_of, block), chunksize=8)
            for voice, target in zip(block, made, strict=True):
                if target is None:
                    continue
                file.write(target.tobytes())
                place = {"start": at, "stop": at + len(target), "part": PART, "paired": False}
                kept.append(replace(voice, **place, digest=zlib.crc32(target.tobytes())))
                at += len(target)
    write_index(out, contents.rate_hz, [*others, *kept])
    hours = at / contents.rate_hz / 3600
    print(f"{len(kept)} of {len(trained)} voices of the training side, {hours:.1f} h")


def scores(cache: Path, count: int) -> None:
    """Print DNSMOS of *count* voices of the training side by their range, as they are and cleaned.

    DNSMOS chooses nothing here: it only shows what the targets are like.
    """
    contents = read(cache)
    trained = [r for r in contents.recordings if is_target(r)]
    rows = list[list[float]]()
    for at in np.random.default_rng(0).permutation(len(trained))[:count]:
        voice = contents.samples_of(trained[at])[: LONGEST_S * RATE_HZ] / 32768.0
        if len(voice) < SHORTEST:
            continue
        row = [range_db(voice, RATE_HZ)]
        for sound in (voice, cleaned(voice)):
            row += dnsmos(soxr.resample(sound, RATE_HZ, 16_000)).values()
        rows.append(row)
    values = np.array(rows)
    print("| range dB | voices | SIG, BAK, OVRL | cleaned: SIG, BAK, OVRL |\n|---|---|---|---|")
    for low, high in pairwise((0, 33, 38, 44, 55, 200)):
        of = values[(values[:, 0] >= low) & (values[:, 0] < high)]
        if len(of):
            before, after = (
                ", ".join(f"{v:.2f}" for v in of.mean(0)[columns])
                for columns in (slice(1, 4), slice(4, 7))
            )
            print(f"| {low} to {high} | {len(of)} | {before} | {after} |", flush=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("cache", type=Path)
    parser.add_argument("out", type=Path, nargs="?", help="a folder that is not there yet")
    parser.add_argument("--scores", type=int, metavar="N", help="print DNSMOS of N voices")
    parser.add_argument("--least-range", type=float, default=33.0, help="dB; default 33")
    parser.add_argument("--most-range", type=float, default=50.0, help="dB; default 50")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    if (args.out is None) == (args.scores is None):
        parser.error("wanted a folder OUT or --scores N, and not both")
    if args.out is None:
        scores(args.cache, args.scores)
    else:
        make(args.cache, args.out, args.least_range, args.most_range, args.jobs)


if __name__ == "__main__":
    main()

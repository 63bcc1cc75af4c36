"""Damaged sound files of every format through a pass-through effect, to any other format."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

from rtdenoise.audio import Samples
from rtdenoise.core.counters import Counters
from rtdenoise.core.stream import Stream
from rtdenoise.files.ends import open_input
from rtdenoise.files.offline import process_file
from rtdenoise.sound.formats import SUFFIXES

from . import mutate


class Through:
    """An effect that changes nothing."""

    def latency(self, sample_rate: float) -> int:
        """Return no latency."""
        return 0

    def rate_of_result(self, sample_rate: int) -> int:
        """Return the rate as it is."""
        return sample_rate

    def render(
        self, blocks: Iterable[Samples], stream: Stream, counters: Counters
    ) -> Iterator[Samples]:
        """Yield the blocks."""
        yield from blocks


@cache
def originals() -> list[tuple[str, bytes]]:
    """Return whole files as (suffix, bytes): each format and subtype, of 0.4 s."""
    rng, found = np.random.default_rng(0), []
    path = Path("original")
    for suffix, (form, usual) in SUFFIXES.items():
        for subtype in [usual] if usual else soundfile.available_subtypes(form):
            for channels, rate in ((1, 16_000), (2, 48_000)):
                sound = 0.1 * rng.standard_normal((rate * 2 // 5, channels))
                try:
                    soundfile.write(path, sound, rate, subtype, format=form)
                except (soundfile.LibsndfileError, ValueError):
                    continue  # libsndfile reads such files, but cannot write them
                found.append((suffix, path.read_bytes()))
    path.unlink()
    return found


def case(rng: np.random.Generator, folder: Path) -> str:
    """Damage a file and process it; what comes out must be whole and say how long it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        suffix, original = originals()[int(rng.integers(len(originals())))]
    source = folder / f"in{suffix}"
    before = original if rng.random() < 0.05 else mutate.data(original, rng)
    source.write_bytes(before)
    target = folder / f"out{rng.choice([suffix, '.wav', '.flac', '.ogg', '.caf'])}"
    block = int(rng.choice([100, 4096, 65_536]))
    try:
        report = process_file(source, target, Through(), block=block)
    finally:
        assert source.read_bytes() == before, "the input was changed"
        others = {p.name for p in folder.iterdir()} - {source.name, target.name}
        assert not others, f"left behind: {others}"
    with open_input(target) as written:
        blocks = list(written)
    assert sum(block.shape[1] for block in blocks) >= report.frames, report
    assert all(np.isfinite(block).all() for block in blocks)
    return "a part" if report.partial else "processed"

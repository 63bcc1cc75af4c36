"""The library: splits that do not leak, excerpts of any set."""

from __future__ import annotations

import json
import resource

import numpy as np
import pytest
import soundfile as sf
import torch

from rtdenoise.errors import UsageError
from tests.train.sets import RECIPES, TINY, make_set, make_sound
from train import config
from train.data.index import INDEX, Recording
from train.data.leaks import check, check_no_leak
from train.data.library import Library
from train.data.prepare import prepare
from train.data.split import side_of
from train.sections import Data

RATE = 16_000


def test_a_set_of_122_gb_needs_no_more_memory(tmp_path):
    """A sparse file stands in; excerpts come from beyond 2^32 samples."""
    samples = 61 * 10**9
    with (tmp_path / "speech.i16").open("wb") as file:
        file.truncate(2 * samples)
        file.seek(2 * (samples - 48_000))
        file.write(np.arange(48_000, dtype=np.int16).tobytes())
    recording = {
        "kind": "speech", "source": "x", "origin": "", "licence": "",
        "start": samples - 48_000, "stop": samples, "bandwidth_hz": 24_000.0,
    }  # fmt: skip
    (tmp_path / INDEX).write_text(json.dumps({"rate_hz": 48_000, "recordings": [recording]}))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    library = Library(tmp_path, Data(dev_share=0.0))
    audio, _ = library.excerpts("speech", 4, 4800, np.random.default_rng(0))

    assert (np.diff(audio, axis=1) * 32768 == 1).mean() > 0.99
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB


@pytest.mark.parametrize("kind", ["speech", "noise"])
def test_a_set_that_a_device_holds_gives_the_same_excerpts(tmp_path, kind):
    """Short noise repeats, short speech is padded, wherever the samples live."""
    for number, seconds in enumerate((0.2, 1.5)):
        make_sound(tmp_path / kind / f"{number}.wav", seconds, seed=number)
    prepare(tmp_path, tmp_path / "cache", RATE)
    library = Library(tmp_path / "cache", Data(rate_hz=RATE, dev_share=0.0))
    cpu, samples = torch.device("cpu"), RATE // 2

    def draw():
        return library.excerpts_on(cpu, kind, 12, samples, np.random.default_rng(3), active=True)

    wanted, _ = library.excerpts(kind, 12, samples, np.random.default_rng(3), active=True)
    read = draw()
    assert library.hold(cpu)
    held = draw()
    np.testing.assert_array_equal(read[0], wanted)
    for a, b in zip(read, held, strict=True):
        torch.testing.assert_close(a, b, atol=1e-7, rtol=0)


def test_pairs_are_drawn_aligned(tmp_path):
    """The degraded twin of the same stretch."""
    for name in "ab":
        make_sound(tmp_path / "clean" / f"{name}.wav", 2.0, seed=ord(name))
        clean, _ = sf.read(tmp_path / "clean" / f"{name}.wav")
        (tmp_path / "noisy").mkdir(exist_ok=True)
        sf.write(tmp_path / "noisy" / f"{name}.wav", clean / 2, RATE)
    prepare(tmp_path, tmp_path / "cache", RATE)
    library = Library(tmp_path / "cache", Data(rate_hz=RATE, dev_share=0.0))
    degraded, clean, _ = library.pairs("speech", 6, 4000, np.random.default_rng(0))

    np.testing.assert_allclose(degraded, clean / 2, atol=1e-4)
    with pytest.raises(UsageError, match="no pairs of noise"):
        library.pairs("noise", 1, 10, np.random.default_rng(0))


def test_the_split_is_a_partition_that_does_not_depend_on_order():
    """Every source has one side; the dev side stays as it is when a test side comes."""
    two, three = Data(dev_share=0.2), Data(dev_share=0.2, test_share=0.2)
    recordings = [Recording("speech", f"s{i}", "", "", 0, 1, 1.0) for i in range(2000)]
    sides = [side_of(r, three) for r in recordings]

    assert {side: round(sides.count(side) / 2000, 1) for side in set(sides)} == {
        "train": 0.6, "dev": 0.2, "test": 0.2,
    }  # fmt: skip
    for r in recordings:
        assert (side_of(r, two) == "dev") == (side_of(r, three) == "dev")


def test_the_same_samples_under_two_names_are_a_leak(tmp_path):
    """A copy in another format is refused by name; `check` says so before a run."""
    sides = {side_of(Recording("speech", f"s{i}", "", "", 0, 1, 1.0), Data(dev_share=0.5)): f"s{i}"
             for i in range(50)}  # fmt: skip
    first, second = sides.values()
    make_sound(tmp_path / f"{first}.wav", seed=7)
    sf.write(tmp_path / f"{second}.flac", *sf.read(tmp_path / f"{first}.wav", dtype="int16"))
    prepare(tmp_path, tmp_path / "cache", RATE)
    data = Data(rate_hz=RATE, dev_share=0.5)
    one, other = (Library(tmp_path / "cache", data, side) for side in ("train", "dev"))

    with pytest.raises(UsageError, match=r"leaks: s.* = s.*train and dev"):
        check_no_leak(one, other)
    with pytest.raises(UsageError, match="leaks"):
        check(tmp_path / "cache", data)


def test_check_tells_hours_and_sources(clips, tmp_path):
    """A table of both sides; an empty one is an error."""
    make_set(clips, tmp_path / "set")
    prepare(tmp_path / "set", tmp_path / "cache", RATE)
    table = check(tmp_path / "cache", Data(rate_hz=RATE, dev_share=0.3))

    assert "| train | speech |" in table
    assert "| dev | noise |" in table
    with pytest.raises(UsageError, match="nothing on the dev side"):
        check(tmp_path / "cache", Data(rate_hz=RATE, dev_share=0.0))


def test_the_split_is_by_source_and_never_leaks(cache):
    """Two clips of one speaker are on one side; a library that shares one is refused."""
    train, dev = Library(cache, TINY.data), Library(cache, TINY.data, "dev")

    check_no_leak(train, dev)
    with pytest.raises(UsageError, match="leaks"):
        check_no_leak(train, train)


def test_the_demo_is_never_trained_on():
    """The sources of the clips in examples/audio are on the development side of `speech`."""
    data = config.load(RECIPES / "speech.toml").data

    for source, origin in (("flare-f", ""), ("kt-en", ""), ("x", "Debian widelands-data")):
        assert side_of(Recording("speech", source, origin, "", 0, 1, 1.0), data) == "dev"
    share = np.mean(
        [
            side_of(Recording("noise", f"n{i}", "", "", 0, 1, 1.0), data) == "dev"
            for i in range(5000)
        ]
    )
    assert share == pytest.approx(data.dev_share, abs=0.015)

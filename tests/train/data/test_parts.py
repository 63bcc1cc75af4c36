"""Parts for upload: what goes in, on which side, in which order, and what comes out of them."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.errors import UsageError
from train.data.index import INDEX
from train.data.leaks import check_no_leak
from train.data.library import Library
from train.sections import Data

ROOT = Path(__file__).parents[3]
RATE = 48_000
SIDES = ("train", "dev", "test")
HEADER = ["path", "kind", "seconds", "file_sr", "bandwidth_hz", "source_id", "licence", "origin"]
STRANGER = "daniel-dona/voice-dataset"  # dev in origins.toml
LAST = "lipu-linku/ijo"  # test there

needs_opusenc = pytest.mark.skipif(
    not shutil.which("opusenc"), reason="opusenc is missing (Debian: opus-tools)"
)


def voice(seed: int, rate: int = RATE, seconds: float = 1.5):
    """Harmonics up to a third of the rate that glide: a codec keeps them, no two seeds agree."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * rate)) / rate
    phase = 2 * np.pi * rng.uniform(150, 400) * (t + 0.02 * np.sin(rng.uniform(4, 9) * t))
    top = int(rate / 3 / 400)
    x = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, top))
    return 0.3 * x / np.abs(x).max() * (0.6 + 0.4 * np.sin(5 * t + seed))


def add(folder: Path, rows: list[list[object]], kind: str, source: str, origin: str, x, rate=RATE):
    """A sound and its row."""
    path = folder / f"{len(rows):03d}.flac"
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, x, rate, "PCM_16")
    seconds = round(len(x) / rate, 2)
    rows.append([path.name, kind, seconds, rate, rate // 3, source, "CC0", origin])


def close(folder: Path, rows: list[list[object]]) -> Path:
    """The manifest."""
    with (folder / "manifest.csv").open("w", newline="") as out:
        csv.writer(out).writerows([HEADER, *rows])
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A pack and a harvest that share an origin, with all that must not get through."""
    pack, harvest = (tmp_path_factory.mktemp(name) for name in ("pack", "harvest"))
    rows: list[list[object]] = []
    add(pack, rows, "speech", "kl-de", "debian:klettres-data", voice(1))
    add(pack, rows, "noise", "trumpet", "librosa/data", voice(2))
    add(pack, rows, "noise", "babble0", "made here from train_pack speech", voice(3))
    add(pack, rows, "speech", "flare-f", "somebody/else", voice(4))
    add(pack, rows, "music-piano", "piano", "a/piano", voice(5))
    close(pack, rows)
    rows = []
    for number in range(6):
        for clip in range(3):
            seed = 100 + 10 * number + clip
            add(harvest, rows, "speech", f"voice{number}", "a/voices", voice(seed))
    for number, rate in enumerate((16_000, RATE)):
        add(harvest, rows, "speech", f"KDE_klettres:{number}", "KDE/klettres",
            voice(20 + number, rate), rate)  # fmt: skip
    for origin, seed in ((STRANGER, 30), (LAST, 40)):
        add(harvest, rows, "speech", f"{origin}:one", origin, voice(seed))
    for number in range(6):
        add(harvest, rows, "noise", f"hum{number}", "a/hums", voice(50 + number))
    add(harvest, rows, "noise", "kitchen", "marc-moreaux/kitchen20", voice(60))
    add(harvest, rows, "noise", "a copy", "a/copies", voice(60))
    add(harvest, rows, "noise", "freesound:1", "karoldvl/ESC-10", voice(61))
    add(harvest, rows, "noise", "freesound:1", "a/hums", voice(62))
    (harvest / f"{len(rows):03d}.flac").write_text("no sound")
    rows.append([f"{len(rows):03d}.flac", "noise", 1, RATE, 20_000, "text", "CC0", "a/hums"])
    add(harvest, rows, "noise", "p232", "somebody/vctk-voicebank", voice(63))
    add(harvest, rows, "noise", "game:evil_scream.ogg", "a/game", voice(64))
    decay = np.random.default_rng(9).standard_normal(RATE) * np.exp(-np.arange(RATE) / 4000)
    add(harvest, rows, "rir", "hall", "a/halls", np.r_[np.zeros(999), 0.9, 0.1 * decay])
    return pack, close(harvest, rows)


def pack_parts(*words: object, rc: int = 0, env: dict[str, str] | None = None) -> str:
    """Run the tool; what it said."""
    command = [sys.executable, "tools/pack_parts.py", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False, env=env)
    assert done.returncode == rc, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def parts(folders, tmp_path_factory):
    """Packed into parts of a few seconds each."""
    target = tmp_path_factory.mktemp("parts")
    pack_parts(target, *folders, "--mb", 0.12)
    return target


@pytest.fixture(scope="module")
def cache(parts, tmp_path_factory):
    """What comes out of them."""
    target = tmp_path_factory.mktemp("cache")
    command = [sys.executable, "tools/unpack_parts.py", str(parts), str(target)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return target


def recordings(parts: Path) -> list[dict]:
    """All, with the part of each."""
    return [
        {**row, "part": path.parent.name}
        for path in sorted(parts.glob("part*/index.json"))
        for row in json.loads(path.read_text())["recordings"]
    ]


@needs_opusenc
def test_whole_origins_are_on_one_side(cache):
    """Under whatever names; no source, no samples on two."""
    index = json.loads((cache / INDEX).read_text())
    sides: dict[str, set[str]] = {}
    for row in index["recordings"] + index["rooms"]:
        sides.setdefault(row["origin"], set()).add(row["split"])
    libraries = [Library(cache, Data(), side) for side in SIDES]

    check_no_leak(*libraries)
    assert all(len(found) == 1 for found in sides.values())
    assert sides[STRANGER] == {"dev"}
    assert sides[LAST] == {"test"}
    assert sides["a/voices"] == {"train"}
    assert "flare-f" in libraries[1].sources()


@needs_opusenc
def test_what_must_not_train_does_not_get_through(parts):
    """Forbidden origins, voices among noises, copies, twins of the other manifest."""
    found = {(row["source"], row["split"]) for row in recordings(parts)}
    sources = {source for source, _ in found}

    assert not sources & {
        "trumpet",
        "babble0",
        "p232",
        "game:evil_scream.ogg",
        "a copy",
        "kl-de",
        "text",
    }
    assert ("freesound:1", "test") in found
    assert ("freesound:1", "train") not in found
    assert ("kitchen", "dev") in found
    assert {f"voice{n}" for n in range(6)} < sources


@needs_opusenc
@pytest.mark.parametrize(
    ("source", "seed", "rate"),
    [("piano", 5, RATE), ("KDE_klettres:0", 20, 16_000), ("hum3", 53, RATE)],
)
def test_samples_come_back_in_place(cache, source, seed, rate):
    """To the sample, but for the codec's error; the bandwidth is the manifest's."""
    (row,) = (
        r for r in json.loads((cache / INDEX).read_text())["recordings"] if r["source"] == source
    )
    stretch = np.memmap(cache / f"{row['kind']}.i16", np.int16, "r")[row["start"] : row["stop"]]
    back = stretch.astype(float) / 32768
    x = voice(seed, rate)
    x = np.interp(np.arange(len(back)) / RATE, np.arange(len(x)) / rate, x) if rate != RATE else x
    size = 2 * len(x)
    lags = np.fft.irfft(np.fft.rfft(back, size) * np.conj(np.fft.rfft(x, size)), size)
    error = back - x * (back @ x) / (x @ x)

    assert len(back) == len(x)
    assert np.argmax(lags) == 0
    assert 10 * np.log10(back @ back / (error @ error)) > 12
    assert row["bandwidth_hz"] == min(rate // 3, 20_000)


@needs_opusenc
def test_rooms_begin_with_the_direct_sound(cache):
    """10 ms before it, and as they were: FLAC."""
    (hall,) = json.loads((cache / INDEX).read_text())["rooms"]
    x = np.memmap(cache / "rir.i16", np.int16, "r")[hall["start"] : hall["stop"]]

    assert np.argmax(np.abs(x)) == 480
    assert not x[:479].any()


@needs_opusenc
def test_the_first_parts_are_as_varied_as_all(parts):
    """Dev, test and rooms in the first; everybody's first clip before anybody's second."""
    rows = recordings(parts)
    held = {row["part"] for row in rows if row["split"] != "train" or row["kind"] == "rir"}
    voices = sorted((r for r in rows if r["origin"] == "a/voices"), key=lambda r: r["part"])
    first = [r["source"] for r in voices if r["part"] <= voices[5]["part"]]

    assert held == {"part01"}
    assert len({row["part"] for row in rows}) > 2
    assert len(set(first)) == 6
    assert {row["kind"] for row in rows if row["part"] == "part02"} >= {"speech", "noise"}


@needs_opusenc
def test_a_stopped_run_goes_on_and_gives_the_same(folders, parts, tmp_path):
    """Part by part; a part without an index is made anew; the caps may not change between."""
    pack_parts(tmp_path, *folders, "--mb", 0.12, "--parts", 1)
    (tmp_path / "part02").mkdir()
    (tmp_path / "part02" / "half.opus").write_text("")
    said = pack_parts(tmp_path, *folders, "--mb", 0.12)

    assert recordings(tmp_path) == recordings(parts)
    assert not (tmp_path / "part02" / "half.opus").exists()
    assert "part01" not in said.split("|")[0]
    assert pack_parts(tmp_path, "--table") in said
    assert "other manifests, rules or caps" in pack_parts(tmp_path, *folders, "--wide-s", 1, rc=1)


def test_without_opusenc_one_line_says_what_to_install(folders, tmp_path):
    """Before anything is read."""
    said = pack_parts(tmp_path / "parts", *folders, rc=1, env={"PATH": str(tmp_path)})

    assert said == "opusenc is missing: apt-get install opus-tools (Debian, Ubuntu)\n"


@needs_opusenc
def test_a_leak_between_parts_is_refused(cache, tmp_path):
    """`python -m train check` looks at what came out, whoever packed it."""
    index = json.loads((cache / INDEX).read_text())
    for row in index["recordings"]:
        row["split"] = (
            "dev" if row["origin"] == "a/hums" and row["source"] == "hum1" else row["split"]
        )
    index["recordings"].append({**index["recordings"][0], "source": "again", "split": "test"})
    for name in cache.glob("*.i16"):
        (tmp_path / name.name).symlink_to(name)
    (tmp_path / INDEX).write_text(json.dumps(index))

    with pytest.raises(UsageError, match="again"):
        check_no_leak(*(Library(tmp_path, Data(), side) for side in SIDES))

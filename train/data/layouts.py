"""The recordings of a folder, by its layout: a manifest, a well-known data set, plain folders.

| layout | recognised by | source (a split keeps it together) |
|---|---|---|
| manifest | manifest.csv or .jsonl: path, kind, source_id, bandwidth_hz, ... | a column |
| maestro | maestro-v*.csv | the performance; its own splits |
| beethoven | music_train.npy, _valid, _test (Mehri et al. 2016) | the chunk; its own splits |
| voicebank | clean_trainset_*wav, noisy_trainset_*wav, clean_testset_wav | the speaker; own test |
| dns | clean_fullband (or clean), noise_fullband (or noise) | the subfolder, or the file |
| librispeech | train-clean-100/SPEAKER/CHAPTER/*.flac | the speaker; its own splits |
| pairs | clean/ beside noisy/ or degraded/, equal names | the file |
| folders | speech/, noise/, music/ | the subfolder, or the file |
| plain | any other sound files, of the kind given | the subfolder, or the file |
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtdenoise.errors import UsageError
from rtdenoise.files.formats import SUFFIXES

KINDS = ("speech", "noise", "music")
SPLITS = {"train": "train", "validation": "dev", "valid": "dev", "dev": "dev", "test": "test"}
WIDE_HZ = 1e6  # bandwidth that a data set does not state: half the rate of the file


@dataclass(frozen=True)
class Entry:
    """A recording of a data set, before it is decoded.

    Attributes:
        path: Path of the file; `path#17` is row 17 of an array file.
        kind: Kind of sound: speech, noise or music.
        source: Speaker, performance or place; all recordings of a source are on one side.
        origin: Name of the data set, for cards.
        licence: Licence of the recording.
        bandwidth_hz: Highest frequency in it; half the file's rate where that is lower.
        split: train, dev or test where the data set defines it; empty: by hash of the source.
        degraded: Path of the degraded twin, in a data set of pairs.
    """

    path: str
    kind: str
    source: str
    origin: str
    licence: str = "not said"
    bandwidth_hz: float = WIDE_HZ
    split: str = ""
    degraded: str = ""


def find(folder: Path, layout: str = "auto", kind: str = "speech") -> list[Entry]:
    """List the recordings of a data set, in a fixed order.

    Args:
        folder: Root of the data set.
        layout: A layout of the table above, or `auto` to recognise it.
        kind: Kind of the recordings in plain folders.

    Raises:
        UsageError: the folder does not exist or has no recordings, or the layout or the kind is
            unknown.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}")
    if layout != "auto" and layout not in LAYOUTS:
        raise UsageError(f"unknown layout {layout!r}; known: auto, {', '.join(LAYOUTS)}")
    if kind not in KINDS:
        raise UsageError(f"unknown kind {kind!r}; known: {', '.join(KINDS)}")
    name = (
        layout if layout != "auto" else next(n for n, (tell, _) in LAYOUTS.items() if tell(folder))
    )
    entries = list(LAYOUTS[name][1](folder, kind))
    if not entries:
        raise UsageError(
            f"{folder} has no recordings in layout {name}; known: {', '.join(LAYOUTS)}"
        )
    return entries


def sounds(folder: Path) -> list[Path]:
    """List the sound files below *folder*, sorted; hidden files are left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )


def below(path: Path, root: Path) -> str:
    """Return the source of a plain file: the first folder below *root*, or its own name."""
    parts = path.relative_to(root).parts
    return parts[0] if len(parts) > 1 else path.stem


def _manifest(folder: Path, kind: str) -> Iterator[Entry]:
    """Read a manifest; *kind*, the path and the file's bandwidth stand in for missing columns."""
    table = folder / "manifest.csv"
    if table.is_file():
        with table.open(newline="") as lines:
            rows: list[dict[str, Any]] = list(csv.DictReader(lines))
    else:
        rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    for number, row in enumerate(rows):
        if not row.get("path"):
            raise UsageError(f"{folder}: row {number + 1} of the manifest has no path")
        of = str(row.get("kind") or kind).split("-")[0]
        if of not in KINDS:  # such as rooms
            continue
        yield Entry(
            str(folder / row["path"]),
            of,
            str(row.get("source_id") or row["path"]),
            str(row.get("origin") or folder.name),
            str(row.get("licence") or "not said"),
            float(row.get("bandwidth_hz") or WIDE_HZ),
            SPLITS.get(str(row.get("split") or ""), ""),
        )


def _maestro(folder: Path, kind: str) -> Iterator[Entry]:
    """Read MAESTRO v3 (Hawthorne et al. 2019)."""
    table = next(iter(sorted(folder.glob("maestro-v*.csv"))))
    with table.open(newline="") as lines:
        for row in csv.DictReader(lines):
            name = row["audio_filename"]
            yield Entry(
                str(folder / name), "music", f"maestro:{Path(name).stem}", "MAESTRO",
                "CC-BY-NC-SA-4.0", split=SPLITS[row["split"]],
            )  # fmt: skip


def _beethoven(folder: Path, kind: str) -> Iterator[Entry]:
    """Read arrays (chunks, samples) at 16 kHz, split 88-6-6 % as by Kuleshov et al. 2017."""
    import numpy as np

    for name, split in (("train", "train"), ("valid", "dev"), ("test", "test")):
        path = folder / f"music_{name}.npy"
        if path.is_file():
            for row in range(len(np.load(path, mmap_mode="r"))):
                yield Entry(
                    f"{path}#{row}", "music", f"beethoven:{name}{row}", "Beethoven sonatas",
                    "public domain", split=split,
                )  # fmt: skip


def _voicebank(folder: Path, kind: str) -> Iterator[Entry]:
    """Read VoiceBank+DEMAND (Valentini-Botinhao 2017): 28 or 56 speakers, and 2 for the test."""
    for clean in sorted(folder.glob("clean_*set*wav")):
        noisy = folder / clean.name.replace("clean_", "noisy_", 1)
        for path in sounds(clean):
            twin = noisy / path.name
            yield Entry(
                str(path), "speech", path.stem.split("_")[0], "VoiceBank+DEMAND", "CC-BY-4.0",
                split="test" if "testset" in clean.name else "",
                degraded=str(twin) if twin.is_file() else "",
            )  # fmt: skip


def _dns(folder: Path, kind: str) -> Iterator[Entry]:
    """Read speech and noise of the DNS Challenge (Reddy et al. 2020).

    Its impulse responses are for the degradation `rir`.
    """
    root = _dns_root(folder)
    for of, names in (
        ("speech", ("clean_fullband", "clean")),
        ("noise", ("noise_fullband", "noise")),
    ):
        for name in names:
            for path in sounds(root / name) if (root / name).is_dir() else ():
                source = f"{of}:{below(path, root / name)}"
                yield Entry(str(path), of, source, "DNS Challenge")


def _dns_root(folder: Path) -> Path:
    inner = folder / "datasets_fullband"
    return inner if inner.is_dir() else folder


def _librispeech(folder: Path, kind: str) -> Iterator[Entry]:
    """Read LibriSpeech (Panayotov et al. 2015): SUBSET/SPEAKER/CHAPTER/*.flac."""
    for subset in sorted(folder.glob("*-clean*")) + sorted(folder.glob("*-other*")):
        split = SPLITS.get(subset.name.split("-")[0], "")
        for path in sounds(subset):
            speaker = path.relative_to(subset).parts[0]
            yield Entry(str(path), "speech", f"libri:{speaker}", "LibriSpeech", "CC-BY-4.0",
                        split=split)  # fmt: skip


def _pairs(folder: Path, kind: str) -> Iterator[Entry]:
    """Read clean/ beside noisy/ or degraded/, and print which files have no twin."""
    damaged = next(folder / name for name in ("noisy", "degraded") if (folder / name).is_dir())
    alone = []
    for path in sounds(folder / "clean"):
        twin = damaged / path.relative_to(folder / "clean")
        if twin.is_file():
            yield Entry(str(path), kind, path.stem, folder.name, degraded=str(twin))
        else:
            alone.append(path.name)
    if alone:
        print(f"{len(alone)} files have no twin in {damaged}: {', '.join(alone[:5])}")


def _folders(folder: Path, kind: str) -> Iterator[Entry]:
    """Read the folders speech/, noise/ and music/."""
    for of in KINDS:
        for path in sounds(folder / of) if (folder / of).is_dir() else ():
            yield Entry(str(path), of, f"{of}:{below(path, folder / of)}", folder.name)


def _plain(folder: Path, kind: str) -> Iterator[Entry]:
    for path in sounds(folder):
        yield Entry(str(path), kind, below(path, folder), folder.name)


def _has(*names: str) -> Callable[[Path], bool]:
    return lambda folder: any(next(iter(folder.glob(name)), None) for name in names)


LAYOUTS: dict[str, tuple[Callable[[Path], bool], Callable[[Path, str], Iterator[Entry]]]] = {
    "manifest": (_has("manifest.csv", "manifest.jsonl"), _manifest),
    "maestro": (_has("maestro-v*.csv"), _maestro),
    "beethoven": (_has("music_train.npy"), _beethoven),
    "voicebank": (_has("clean_trainset*wav", "clean_testset*wav"), _voicebank),
    "dns": (lambda f: _has("clean_fullband", "noise_fullband")(_dns_root(f)), _dns),
    "librispeech": (_has("*-clean*/*/*/*.flac", "*-other*/*/*/*.flac"), _librispeech),
    "pairs": (lambda f: _has("clean")(f) and _has("noisy", "degraded")(f), _pairs),
    "folders": (_has(*KINDS), _folders),
    "plain": (lambda f: True, _plain),
}

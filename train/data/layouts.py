"""The recordings of a folder, by its layout: a manifest, a well-known data set, plain folders.

| layout | recognised by | source (a split keeps it together) |
|---|---|---|
| manifest | manifest.csv or .jsonl: path, kind, source_id, bandwidth_hz, ... | a column |
| maestro | maestro-v*.csv | the performance; its own splits |
| beethoven | music_train.npy, _valid, _test (Mehri et al. 2016) | the chunk; its own splits |
| voicebank | clean_trainset_*wav, noisy_trainset_*wav, clean_testset_wav | the speaker; own test |
| dns | clean_fullband (or clean), noise_fullband (or noise) | the speaker; the noise recording |
| librispeech | train-clean-100/SPEAKER/CHAPTER/SPEAKER-CHAPTER-* | the speaker; its own splits |
| vctk | wav48*/SPEAKER/SPEAKER_* | the speaker |
| pairs | clean/ beside noisy/ or degraded/, equal names | the speaker, or the file |
| folders | speech/, noise/, music/ | the speaker, the subfolder, or the file |
| plain | any other sound files, of the kind given | the speaker, the subfolder, or the file |

sources.py finds the speaker of a file.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtdenoise.errors import UsageError
from rtdenoise.sound.formats import SUFFIXES

from .sources import below, in_chapters, recording, speaker

KINDS = ("speech", "noise", "music")
SPLITS = {
    "train": ("train", "training"),
    "dev": ("dev", "development", "valid", "validation", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
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


def side_named(word: str, where: str) -> str:
    """Return train, dev or test for a data set's own *word* for it; no word gives no side.

    Raises:
        UsageError: the word, at *where*, names no side.
    """
    plain = word.strip().lower()
    for side, words in SPLITS.items():
        if plain in words:
            return side
    if plain:
        known = "; ".join(f"{side}: {', '.join(words)}" for side, words in SPLITS.items())
        raise UsageError(
            f"{where}: the split {word!r} is unknown; known: {known}; empty: by the source's name"
        )
    return ""


def _source(kind: str, path: Path, root: Path) -> str:
    return speaker(path, root) if kind == "speech" else below(path, root)


def _rows(table: Path, *needed: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of a CSV file, or of JSON lines, each after the name of its line.

    Raises:
        UsageError: the table is damaged, or a row lacks one of the *needed* columns.
    """
    try:
        text = io.StringIO(table.read_text("utf-8-sig"))
        if table.suffix == ".jsonl":
            found = [(n, json.loads(line)) for n, line in enumerate(text, 1) if line.strip()]
        else:
            reader = csv.DictReader(text, strict=True)
            found = [(reader.line_num, row) for row in reader]
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"{table} cannot be read: {error}") from None
    for number, row in found:
        where = f"{table}, line {number}"
        if not isinstance(row, dict):
            raise UsageError(f"{where}: wanted a row of named values, got {row!r}")
        if table.suffix == ".csv" and (None in row or None in row.values()):
            raise UsageError(f"{where}: wanted {len(reader.fieldnames or ())} values, one a column")
        if missing := [name for name in needed if not row.get(name)]:
            raise UsageError(f"{where}: there is no {', '.join(missing)}")
        yield where, row


def _bandwidth_hz(value: object, where: str) -> float:
    """Return a stated bandwidth in Hz; an empty *value* means that nothing is stated."""
    if value in (None, ""):
        return WIDE_HZ
    try:
        hz = float(str(value))
    except ValueError:
        hz = math.nan
    if not hz > 0:
        raise UsageError(f"{where}: bandwidth_hz = {value!r}; wanted a frequency in Hz, or nothing")
    return hz


def _manifest(folder: Path, kind: str) -> Iterator[Entry]:
    """Read a manifest; *kind*, the path and the file's bandwidth stand in for missing columns."""
    table, others = folder / "manifest.csv", Counter[str]()
    for where, row in _rows(table if table.is_file() else table.with_suffix(".jsonl"), "path"):
        of = str(row.get("kind") or kind).strip().split("-")[0].lower()
        if of not in KINDS:
            others[of] += 1
            continue
        yield Entry(
            str(folder / str(row["path"])),
            of,
            str(row.get("source_id") or row["path"]),
            str(row.get("origin") or folder.name),
            str(row.get("licence") or "not said"),
            _bandwidth_hz(row.get("bandwidth_hz"), where),
            side_named(str(row.get("split") or ""), where),
        )
    if others:  # such as rooms
        found = ", ".join(f"{count} of kind {of}" for of, count in others.items())
        print(f"left out of {folder}: {found}; known: {', '.join(KINDS)}")


def _maestro(folder: Path, kind: str) -> Iterator[Entry]:
    """Read MAESTRO v3 (Hawthorne et al. 2019)."""
    table = next(iter(sorted(folder.glob("maestro-v*.csv"))))
    for where, row in _rows(table, "audio_filename", "split"):
        name = row["audio_filename"]
        yield Entry(
            str(folder / name), "music", f"maestro:{Path(name).stem}", "MAESTRO",
            "CC-BY-NC-SA-4.0", split=side_named(row["split"], where),
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
    root = _inside(folder, "datasets_fullband")
    for of, names, source in (
        ("speech", ("clean_fullband", "clean"), speaker),
        ("noise", ("noise_fullband", "noise"), recording),
    ):
        for name in names:
            for path in sounds(root / name) if (root / name).is_dir() else ():
                yield Entry(str(path), of, f"{of}:{source(path, root / name)}", "DNS Challenge")


def _inside(folder: Path, pattern: str) -> Path:
    """Return the first folder in *folder* that is named so, or else *folder* itself."""
    return next((path for path in sorted(folder.glob(pattern)) if path.is_dir()), folder)


def _subsets(folder: Path) -> dict[Path, str]:
    """Return the subsets of a set like LibriSpeech (train-clean-100, ..) with their sides."""
    root, sides = _inside(folder, "Libri*"), {}
    words = {word: side for side, words in SPLITS.items() for word in words}
    for subset in sorted(path for path in root.iterdir() if path.is_dir()):
        word = re.split("[-_]", subset.name)[0].lower()
        files = (path for path in subset.glob("*/*/*") if path.suffix.lower() in SUFFIXES)
        if word in words and (first := next(files, None)) and in_chapters(first):
            sides[subset] = words[word]
    return sides


def _librispeech(folder: Path, kind: str) -> Iterator[Entry]:
    """Read LibriSpeech (Panayotov et al. 2015), LibriTTS and the like."""
    for subset, split in _subsets(folder).items():
        for path in sounds(subset):
            source = f"libri:{path.relative_to(subset).parts[0]}"
            yield Entry(str(path), "speech", source, "LibriSpeech", "CC-BY-4.0", split=split)


def _vctk(folder: Path, kind: str) -> Iterator[Entry]:
    """Read VCTK (Yamagishi et al. 2019)."""
    root = _inside(folder, "VCTK*")
    for wav in sorted(root.glob("wav48*")):
        for path in sounds(wav):
            yield Entry(str(path), "speech", f"vctk:{speaker(path, wav)}", "VCTK", "CC-BY-4.0")


def _pairs(folder: Path, kind: str) -> Iterator[Entry]:
    """Read clean/ beside noisy/ or degraded/, and print which files have no twin."""
    damaged = next(folder / name for name in ("noisy", "degraded") if (folder / name).is_dir())
    alone = []
    for path in sounds(folder / "clean"):
        twin = damaged / path.relative_to(folder / "clean")
        if twin.is_file():
            source = _source(kind, path, folder / "clean")
            yield Entry(str(path), kind, source, folder.name, degraded=str(twin))
        else:
            alone.append(path.name)
    if alone:
        print(f"{len(alone)} files have no twin in {damaged}: {', '.join(alone[:5])}")


def _folders(folder: Path, kind: str) -> Iterator[Entry]:
    """Read the folders speech/, noise/ and music/."""
    for of in KINDS:
        for path in sounds(folder / of) if (folder / of).is_dir() else ():
            yield Entry(str(path), of, f"{of}:{_source(of, path, folder / of)}", folder.name)


def _plain(folder: Path, kind: str) -> Iterator[Entry]:
    for path in sounds(folder):
        yield Entry(str(path), kind, _source(kind, path, folder), folder.name)


def _has(*names: str) -> Callable[[Path], bool]:
    return lambda folder: any(next(iter(folder.glob(name)), None) for name in names)


LAYOUTS: dict[str, tuple[Callable[[Path], bool], Callable[[Path, str], Iterator[Entry]]]] = {
    "manifest": (_has("manifest.csv", "manifest.jsonl"), _manifest),
    "maestro": (_has("maestro-v*.csv"), _maestro),
    "beethoven": (_has("music_train.npy"), _beethoven),
    "voicebank": (_has("clean_trainset*wav", "clean_testset*wav"), _voicebank),
    "dns": (
        lambda f: _has("clean_fullband", "noise_fullband")(_inside(f, "datasets_fullband")),
        _dns,
    ),
    "librispeech": (lambda f: bool(_subsets(f)), _librispeech),
    "vctk": (lambda f: _has("wav48*/*/*_*")(_inside(f, "VCTK*")), _vctk),
    "pairs": (lambda f: _has("clean")(f) and _has("noisy", "degraded")(f), _pairs),
    "folders": (_has(*KINDS), _folders),
    "plain": (lambda f: True, _plain),
}

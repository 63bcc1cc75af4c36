"""Pack a corpus for upload: Ogg Opus in parts, every first few as varied as can be.

    python tools/pack_parts.py PARTS MANIFEST_DIR [MANIFEST_DIR ...] [--parts 20] [--mb 46]
    python tools/pack_parts.py PARTS --table            what the parts there hold

A MANIFEST_DIR has a manifest.csv: path, kind, seconds, bandwidth_hz, source_id, licence, origin.
train/origins.toml says what is whose, and which side it is on. PARTS gets part01, part02,
.. with an index.json each, which tools/unpack_parts.py turns into a cache. Stopped, it goes on.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
import shutil
import subprocess
import tomllib
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
import soxr
from numpy.typing import NDArray

RATE_HZ = 48_000
GAP = 1920  # samples between recordings in a file: the codec's smear of one does not reach the next
FILE_S, ROOMS_S = 480, 20  # 2 MB each: a part's size is known to that before it is full
WIDE_HZ, FULL_HZ = 9_000, 14_500
# `--music` keeps Opus in CELT. Told `--speech` it takes SILK or hybrid frames, one or two samples
# late, whose error is 8 to 10 dB below the voice at any rate; CELT's is 15 dB below at 40 kbit/s
# (full band) and 16 dB at 24 (narrow). A net would learn the codec.
KBITS = {"speech": 40, "narrow": 24, "noise": 36, "music": 36}
CAPS_S = {
    "wide": (600.0, "a speaker of full band"), "narrow": (300.0, "another speaker"),
    "noise": (120.0, "a recording of noise"), "music": (120.0, "a piece of music"),
    "origin": (3600.0, "an origin of noise or music"), "held": (330.0, "an origin of dev or test"),
}  # fmt: skip
RANK = ("train", "dev", "test")  # a source of two sides is kept on the later
RULES = Path(__file__).resolve().parents[1] / "train" / "origins.toml"
Samples = NDArray[np.float32]
Key = tuple[Any, ...]
Row = dict[str, Any]


@dataclass(frozen=True)
class Clip:
    """A row of a manifest; `seconds` is what is taken of it."""

    path: Path
    folder: Path
    kind: str
    seconds: float
    bandwidth_hz: float
    source: str
    origin: str
    licence: str
    side: str

    def shuffled(self) -> int:
        """A place that holds on every machine, whatever else there is."""
        return zlib.crc32(self.path.relative_to(self.folder).as_posix().encode())


def words(names: Iterable[str]) -> re.Pattern[str]:
    """Any of *names* as whole words; file names write `/` and `-` as `_`."""
    each = (re.sub(r"[^A-Za-z0-9]", "[^A-Za-z0-9]?", name) for name in names)
    return re.compile(rf"(?i)(?<![a-z])({'|'.join(each)})(?![a-z])")


def read(folder: Path, rules: Row) -> list[Clip]:
    """Every row of a manifest that may be used, on its side."""
    forbidden, useless = words(rules["forbidden"]), [re.compile(each) for each in rules["left_out"]]
    found, aliases = [], rules["aliases"]
    with (folder / "manifest.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            source, kind = row["source_id"], row["kind"].split("-")[0]
            if forbidden.search(f"{row['origin']} {source} {row['path']}"):
                continue
            if kind == "noise" and any(each.search(source) for each in useless):
                continue
            origin = re.sub("^Debian ", "debian:", row["origin"])
            names = (name for name, parts in aliases.items() if any(p in origin for p in parts))
            origin = next(names, origin)
            dev = origin in rules["dev"] or source in rules["held_out_sources"]
            side = "dev" if dev else "test" if origin in rules["test"] else "train"
            seconds = float(row["seconds"])
            top_hz = min(float(row["bandwidth_hz"]), 20_000.0)  # where Opus ends
            path, licence = folder / row["path"], row["licence"]
            found.append(Clip(path, folder, kind, seconds, top_hz, source, origin, licence, side))
    return found


def once(clips: list[Clip]) -> list[Clip]:
    """Each origin out of one manifest, each source on one side.

    A pack and a harvest hold the same voices under other names and coded anew, which no comparison
    of samples finds: what has more sources of an origin and kind (or comes later) speaks for it.
    """
    sources, side, best = defaultdict[Key, set[str]](set), dict[str, str](), dict[Key, Path]()
    for c in clips:
        sources[c.kind, c.origin, c.folder].add(c.source)
        side[c.source] = max(side.get(c.source, c.side), c.side, key=RANK.index)
    for key in sorted(sources, key=lambda key: len(sources[key])):
        best[key[:2]] = key[2]
    return [c for c in clips if best[c.kind, c.origin] == c.folder and side[c.source] == c.side]


def within(
    clips: list[Clip], key: Callable[[Clip], Key], cap_s: Callable[[Clip], float]
) -> list[Clip]:
    """*clips* in their order, those of each *key* until they last *cap_s*."""
    taken, kept = defaultdict[Key, float](float), list[Clip]()
    for c in clips:
        left = cap_s(c) - taken[key(c)]
        if left >= 1:
            kept.append(replace(c, seconds=min(c.seconds, left)))
            taken[key(c)] += kept[-1].seconds
    return kept


def capped(clips: list[Clip], caps: argparse.Namespace, most: Row) -> list[Clip]:
    """No speaker, recording or origin more than its share; each one's first, then the seconds."""
    wide, turns = defaultdict[str, float](float), Counter[str]()
    for c in clips:
        wide[c.source] += c.seconds if c.bandwidth_hz >= FULL_HZ else -c.seconds

    def source_s(c: Clip) -> float:
        voice_s = caps.wide_s if wide[c.source] > 0 else caps.narrow_s
        kinds = {"speech": voice_s, "noise": caps.noise_s, "music": caps.music_s, "rir": 1e9}
        return float(min(kinds[c.kind], most["source_s"].get(c.origin, 1e9)))

    def origin_s(c: Clip) -> float:
        if c.side != "train" or c.kind == "rir":
            return 1e9 if c.kind == "rir" else float(caps.held_s)
        cap_s = 1e9 if c.kind == "speech" else caps.origin_s
        return float(min(cap_s, most["origin_s"].get(c.origin, 1e9)))

    clips = sorted(clips, key=lambda c: (c.bandwidth_hz < FULL_HZ, c.shuffled()))
    in_turns = list[tuple[int, int, Clip]]()
    for c in within(clips, lambda c: (c.kind, c.source), source_s):
        in_turns.append((turns[c.source], c.shuffled(), c))
        turns[c.source] += 1
    in_turns.sort(key=lambda each: each[:2])
    return within([c for *_, c in in_turns], lambda c: (c.side, c.kind, c.origin), origin_s)


def ordered(clips: list[Clip]) -> list[Clip]:
    """Dev, test and rooms before all; then every prefix has the same mix of kinds."""
    total, so_far = defaultdict[str, float](float), defaultdict[str, float](float)
    for c in clips:
        total[c.kind] += c.seconds * (c.side == "train")
    places = list[float]()
    for c in clips:
        held = c.side != "train" or c.kind == "rir"
        so_far[c.kind] += 0 if held else c.seconds
        places.append((c.kind == "music") - 2.0 if held else so_far[c.kind] / total[c.kind])
    return [clips[i] for i in np.argsort(places, kind="stable")]


def room(x: Samples) -> Samples:
    """10 ms before the direct sound until 70 dB of the energy have gone, 3 s at most, faded."""
    x = x[max(0, int(np.abs(x).argmax()) - 480) :]
    left = np.cumsum(x[::-1].astype(np.float64) ** 2)[::-1]
    x = x[: min(max(int((left > left[0] * 1e-7).sum()), 4800), 3 * RATE_HZ)]
    return faded(x, 0, min(480, len(x) // 8)) * np.float32(0.7 / np.abs(x).max())


def faded(x: Samples, begin: int, end: int) -> Samples:
    """A cut in mid-sound would click."""
    x = x.copy()
    x[:begin] *= np.linspace(0, 1, begin, dtype=np.float32)
    x[len(x) - end :] *= np.linspace(1, 0, end, dtype=np.float32)
    return x


def load(c: Clip, heard: set[str]) -> tuple[Samples, str]:
    """Samples at 48 kHz and the digest of what was read, or none and why it is left out."""
    try:
        rate_hz = sf.info(c.path).samplerate
        wanted = -1 if c.kind == "rir" else int(c.seconds * rate_hz) + 1
        x, _ = sf.read(c.path, wanted, dtype="float32", always_2d=True)
    except sf.LibsndfileError:
        return np.empty(0, np.float32), "unreadable"  # one of thousands must not stop the rest
    x = x[:, 0] if c.kind == "rir" else x.mean(1)
    digest = blake2b(np.round(x * 32767).astype(np.int16).tobytes(), digest_size=8).hexdigest()
    peak, speech = float(np.abs(x).max(initial=0)), c.kind == "speech"
    for fault, why in (
        (not 2e-3 < peak < np.inf, "silent or not finite"),
        (digest in heard, "heard before"),
        (speech and len(x) < rate_hz / 2, "short"),
        (speech and (np.abs(x) >= 0.995 * peak).mean() > 1e-3, "clipped"),
    ):
        if fault:
            return x[:0], why
    x = soxr.resample(x, rate_hz, RATE_HZ).astype(np.float32)
    if c.kind == "rir":
        return room(x), digest
    # Decoded peaks came out up to a third above the encoded ones, which int16 would clip: 0.6
    # leaves room. What is quiet is lifted, for the codec drops what it takes for inaudible.
    x = x * np.float32(0.6 / peak if peak > 0.6 else 0.4 / peak if peak < 0.05 else 1)
    edge = min(96 if speech else 48, len(x) // 4)
    return faded(x, edge, edge), digest


def encode(x: Samples, path: Path, kbits: int | None) -> int:
    """Opus, or FLAC without a bit rate; its bytes, once it decodes to as many samples."""
    whole = np.round(x * 32767).astype(np.int16)
    wave = io.BytesIO()
    if kbits is None:
        sf.write(path, whole, RATE_HZ, "PCM_16")
    else:
        sf.write(wave, whole, RATE_HZ, "PCM_16", format="WAV")
        command = ["opusenc", "--quiet", "--music", "--vbr", "--comp", "8", "--bitrate", str(kbits)]
        subprocess.run([*command, "-", str(path)], input=wave.getvalue(), check=True)
    y, rate_hz = sf.read(path, dtype="float32")
    if rate_hz != RATE_HZ or y.shape != x.shape:
        raise SystemExit(f"{path}: {rate_hz} Hz, {y.shape}; wanted {x.shape} at {RATE_HZ} Hz")
    return path.stat().st_size


class Part:
    """A part being made: recordings wait by side and class until they fill a file."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bytes = folder, 0
        # Bytes of a second, later as measured here. A room is FLAC, as a codec smears its first
        # milliseconds; guessed smaller than its samples, a part came out 5 MB too large.
        self.rates = {name: 144.0 * kbits for name, kbits in KBITS.items()} | {"rir": 2.0 * RATE_HZ}
        self.files, self.recordings = list[Row](), list[Row]()
        self.waiting = defaultdict[tuple[str, str], list[tuple[Row, Samples]]](list)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def size(self) -> float:
        """Bytes on disk, and to be expected of what waits."""
        return self.bytes + sum(
            self.rates[name] * sum(len(x) + GAP for _, x in those) / RATE_HZ
            for (_, name), those in self.waiting.items()
        )

    def add(self, c: Clip, x: Samples, digest: str) -> None:
        """Take a recording."""
        name = "narrow" if c.kind == "speech" and c.bandwidth_hz < WIDE_HZ else c.kind
        row = {k: getattr(c, k) for k in ("kind", "source", "origin", "licence", "bandwidth_hz")}
        self.waiting[c.side, name].append((row | {"split": c.side, "heard": digest}, x))
        most_s = FILE_S if name in KBITS else ROOMS_S
        if sum(len(x) for _, x in self.waiting[c.side, name]) > most_s * RATE_HZ:
            self.flush(c.side, name)

    def flush(self, side: str, name: str) -> None:
        """Encode what waits."""
        those, at, pieces = self.waiting.pop((side, name)), 0, list[Samples]()
        file = f"{name}_{side}_{len(self.files):02d}.{'opus' if name in KBITS else 'flac'}"
        for row, x in those:
            self.recordings.append({"file": file, **row, "start": at, "stop": at + len(x)})
            pieces += [x, np.zeros(GAP, np.float32)]
            at += len(x) + GAP
        size = encode(np.concatenate(pieces), self.folder / file, KBITS.get(name))
        self.bytes, self.rates[name] = self.bytes + size, 1.03 * size * RATE_HZ / at
        self.files.append({"file": file, "kind": those[0][0]["kind"], "samples": at})

    def close(self, queue: str, stop: int) -> None:
        """Write the rest, and the index last: a part is whole if it has one."""
        for side, name in list(self.waiting):
            self.flush(side, name)
        index = {"rate_hz": RATE_HZ, "queue": queue, "stop": stop}
        index |= {"files": self.files, "recordings": self.recordings}
        half = self.folder / "index.json.part"
        half.write_text(json.dumps(index, separators=(",", ":")))
        half.replace(self.folder / "index.json")
        print(f"{self.folder.name}: {self.bytes / 1e6:.1f} MB", flush=True)


def table(parts: Path) -> str:
    """Hours, recordings, sources and origins of every side and kind, of each part and of all."""
    groups = defaultdict[Key, list[Row]](list)
    for path in sorted(parts.glob("part*/index.json")):
        for r in json.loads(path.read_text())["recordings"]:
            for where in (path.parent.name, "all"):
                groups[where != "all", where, RANK.index(r["split"]), r["kind"]].append(r)
    lines = ["| part | side | kind | hours | recordings | sources | origins |"]
    lines.append("|---" * 7 + "|")
    for (_, part, rank, kind), those in sorted(groups.items()):
        hours = sum(r["stop"] - r["start"] for r in those) / RATE_HZ / 3600
        counts = (len(those), len({r["source"] for r in those}), len({r["origin"] for r in those}))
        cells = (part, RANK[rank], kind, f"{hours:.2f}", *map(str, counts))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def pack(parts: Path, clips: list[Clip], most: int, limit: float) -> None:
    """Fill parts in the order of *clips*, from where it was stopped."""
    text = repr([(c.shuffled(), c.seconds, c.side) for c in clips])
    queue = blake2b(text.encode(), digest_size=8).hexdigest()
    done = [json.loads(path.read_text()) for path in sorted(parts.glob("part*/index.json"))]
    if any(index.get("queue") != queue for index in done):
        raise SystemExit(f"{parts} was packed from other manifests, rules or caps: name a new one")
    heard = {r["heard"] for index in done for r in index["recordings"]}
    left_out, at = Counter[str](), done[-1]["stop"] if done else 0
    for number in range(len(done) + 1, most + 1):
        if at == len(clips):
            break
        part = Part(parts / f"part{number:02d}")
        while at < len(clips) and part.size() < limit:
            x, digest = load(clips[at], heard)
            if len(x):
                part.add(clips[at], x, digest)
                heard.add(digest)
            else:
                left_out[digest] += 1
            at += 1
        part.close(queue, at)
    print(f"{at} of {len(clips)} recordings seen; left out: {dict(left_out)}")


def main() -> None:
    """Read the manifests, pack, print the table."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("parts", type=Path)
    parser.add_argument("manifest_dirs", type=Path, nargs="*")
    parser.add_argument("--table", action="store_true", help="say what is there, pack nothing")
    parser.add_argument("--parts", dest="most", type=int, default=20, help="how many at most")
    parser.add_argument("--mb", type=float, default=46.0, help="a part may come out 2 larger")
    for name, (most_s, whose) in CAPS_S.items():
        text = f"seconds of {whose} at most ({most_s:.0f})"
        parser.add_argument(f"--{name}-s", type=float, default=most_s, help=text)
    a = parser.parse_args()
    if not a.table:
        if not a.manifest_dirs:
            parser.error("no MANIFEST_DIR to pack")
        if not shutil.which("opusenc"):
            raise SystemExit("opusenc is missing: apt-get install opus-tools (Debian, Ubuntu)")
        rules = tomllib.loads(RULES.read_text())
        clips = once([c for folder in a.manifest_dirs for c in read(folder, rules)])
        clips = ordered(capped(clips, a, rules["caps"]))
        print(f"{len(clips)} recordings, {sum(c.seconds for c in clips) / 3600:.1f} h wanted")
        pack(a.parts, clips, a.most, a.mb * 1e6)
    print(table(a.parts))


if __name__ == "__main__":
    main()

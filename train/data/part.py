"""A part of a cache: a folder with an int16 file for each kind, and prepared.jsonl about them.

The cache's own folder is a part, and so is parts/00001, which a worker of a cluster filled. Every
recording that is complete in a part has a line in its prepared.jsonl, which is written after the
samples. So a part that was killed goes on where it stopped: samples without a line are cut off.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import IO

from ..lines import Appended, Line
from .decode import Decoded
from .index import DEGRADED, Recording, files_of
from .layouts import WIDE_HZ, Entry

DONE = "prepared.jsonl"
PARTS = "parts"  # folder of the parts that workers fill


class Part:
    """A part that is open for more recordings.

    Args:
        cache: Folder of the cache.
        name: Name of the part, which is its folder below the cache; empty for the cache itself.
        before: All lines whose samples must stay.

    Raises:
        OSError: its files cannot be written.
    """

    def __init__(self, cache: Path, name: str, before: Iterable[Line]) -> None:
        self.name, self.folder = name, cache / name
        self.files = dict[str, IO[bytes]]()
        self.at: Counter[str] = Counter()
        for line in before:
            if (r := line.get("recording")) and r.get("part", "") == name:
                self.at[r["kind"]] = max(self.at[r["kind"]], r["stop"])
        self.done = Appended(self.folder / DONE)
        for path in self.folder.glob("*.i16"):
            self._file(path.name, self.at[path.name.split(".")[0]])

    def __enter__(self) -> Part:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self.files.values():
            file.close()
        self.done.close()

    def _file(self, name: str, samples: int) -> IO[bytes]:
        """Open a file for appending after *samples*; later samples of a killed run are cut off."""
        if name not in self.files:
            file = (self.folder / name).open("ab")
            file.truncate(2 * samples)
            self.files[name] = file
        return self.files[name]

    def add(self, entry: Entry, decoded: Decoded, place: list[int]) -> Line:
        """Append a recording to the files, then its line to prepared.jsonl; returns the line."""
        line: Line = {
            "path": entry.path,
            "place": place,
            "stamp": decoded.identity.stamp,
            "digest": decoded.identity.digest,
            "kind": entry.kind,
            "clipped": decoded.clipped,
        }
        if decoded.fault:
            line["fault"] = decoded.fault
        else:
            start = self.at[entry.kind]
            stop = start + len(decoded.audio)
            sides = [(f"{entry.kind}.i16", decoded.audio)]
            if decoded.twin is not None:
                sides.append((f"{entry.kind}{DEGRADED}", decoded.twin))
            for name, audio in sides:
                file = self._file(name, start)
                file.truncate(2 * start)  # zeros stand for the twins of recordings without one
                file.write(audio.tobytes())
                file.flush()
            self.at[entry.kind] = stop
            line |= {"measured_hz": decoded.bandwidth_hz, "file_hz": decoded.rate_hz}
            crc = zlib.crc32(decoded.audio.tobytes())
            paired = decoded.twin is not None
            line["recording"] = asdict(
                Recording(
                    entry.kind, "", "", "", start, stop, 0.0, "", paired, crc, self.name
                )
            )  # fmt: skip
            describe(line, entry)
        self.done.add(line)
        return line


def describe(line: Line, entry: Entry) -> None:
    """Put into a line what the data set says of a recording, which may change without its sound."""
    line["path"] = entry.path
    if not (recording := line.get("recording")):
        return
    recording |= {
        "source": entry.source,
        "origin": entry.origin,
        "licence": entry.licence,
        "split": entry.split,
    }
    line.pop("stated_hz", None)
    if entry.bandwidth_hz < WIDE_HZ:
        line["stated_hz"] = entry.bandwidth_hz
    if "file_hz" in line:  # caches from before November 2026 do not say it, and keep their value
        own = min(entry.bandwidth_hz, line["file_hz"] / 2)
        recording["bandwidth_hz"] = min(own, line["measured_hz"])


def holds(folder: Path, lines: Iterable[Line]) -> Iterable[Line]:
    """Yield the lines of a cache whose samples its files hold.

    If a kill or a lost disk cut them, or the line, the recording is decoded again.
    """
    held: dict[Path, int] = {}
    for line in lines:
        try:
            if not (line["path"] and _held(folder, line, held)):
                continue
        except (KeyError, TypeError):
            continue
        yield line


def _held(folder: Path, line: Line, held: dict[Path, int]) -> bool:
    """Whether files of *held* bytes, which is filled as they are needed, hold a line's samples."""
    if not (r := line.get("recording")):
        return "fault" in line
    for name in files_of(Recording(**r)):
        path = folder / name
        if path not in held:
            held[path] = path.stat().st_size if path.is_file() else 0
        if 2 * r["stop"] > held[path]:
            return False
    return True

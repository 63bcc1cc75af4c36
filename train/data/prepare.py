"""Decoding of data sets into a cache: int16 files for each kind and for its twins, and an index.

Memory does not grow with the sound: a few files are decoded at a time. Every recording that is
complete in the cache has a line in prepared.jsonl, so a run that was killed continues where it
stopped. On a cluster, each worker fills a part of its own. The index is written last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from rtdenoise.errors import AudioError

from ..claim import claimed
from ..fanout import Workers, workers
from ..lines import Line
from .decode import Decoded, decode
from .identity import Identity, identities, identity
from .index import Recording
from .indexer import write_index
from .layouts import Entry, find
from .part import Part
from .record import Record
from .shards import fill, shards

TRUSTED = 0.975  # share of a bandwidth that is used: filters and codecs end a little early
MANY = 20  # recordings of a kind from which on it is said that most of them are one source
AGREE = 0.1  # share of a stated bandwidth that the measured one may differ by without being counted
GONE = "no longer in the data set"  # the recordings of a cache whose files are gone
BATCH = 64  # files that a worker reads in a task


def prepare(
    folder: Path,
    cache: Path,
    rate_hz: int = 48_000,
    layout: str = "auto",
    kind: str = "speech",
    jobs: int = 2,
    skip_clipped: bool = False,
    on: str | None = None,
    prune: bool = False,
) -> Counter[str]:
    """Decode *folder* into *cache*, join it to what is there, or continue an interrupted run.

    A file whose bytes are in the cache already is not decoded again, whatever its name; a file
    whose bytes have changed is, and its old samples leave the index.

    Args:
        folder: Root of the data set; see `layouts`.
        cache: Folder of the cache, which is created if necessary.
        rate_hz: Sample rate of the cache.
        layout: Layout of the data set, or `auto` to recognise it.
        kind: Kind of the recordings in plain folders.
        jobs: Number of files decoded at a time, on this machine.
        skip_clipped: Leave out clipped recordings.
        on: Where to decode, see `fanout.workers`. All nodes of a cluster have to see data set and
            cache under the same paths.
        prune: Drop recordings whose files are no longer in the data set. Otherwise they stay.

    Returns:
        Number of recordings that were used, and of those skipped for each reason.

    Raises:
        UsageError: folder or layout is unknown, the cache is of another rate, another process
            writes to it, or the cluster cannot be used.
        AudioError: no recording can be used, or the cache cannot be written.
    """
    folder, cache = folder.absolute(), cache.absolute()
    entries = list({f.path: f for f in find(folder, layout, kind)}.values())
    with workers(on) as hands, claimed(cache):
        try:
            record = Record(cache, rate_hz, folder)

            def identify(some: list[Entry]) -> Iterable[tuple[Entry, Identity]]:
                return _identified(some, hands, on, jobs)

            todo = record.match(entries, identify, skip_clipped)
            if on is None:
                _decode_here(record, todo, jobs, skip_clipped)
            else:
                _decode_on(hands, folder, record, todo, skip_clipped)
            return _finish(record, entries, prune)
        except OSError as error:
            raise AudioError(
                f"cannot write the cache {cache}: {error.strerror}. The recordings decoded so far "
                "are kept; make room and run the same command again"
            ) from None


def _identified(
    entries: list[Entry], hands: Workers, on: str | None, jobs: int
) -> Iterator[tuple[Entry, Identity]]:
    """Read files, by threads of this process or by workers of a cluster."""
    if on is None:
        with ThreadPoolExecutor(jobs) as pool:
            yield from zip(entries, pool.map(identity, entries), strict=True)
        return
    batches = [entries[at : at + BATCH] for at in range(0, len(entries), BATCH)]
    for batch, found in hands.each(identities, batches):
        if isinstance(found, list):  # what was lost is decoded
            yield from zip(batch, found, strict=True)


def _decode_here(
    record: Record, todo: list[tuple[int, Entry]], jobs: int, skip_clipped: bool
) -> None:
    """Decode by threads of this process, into the cache's own folder."""
    with Part(record.cache, "", record.before) as part:
        for number, f, decoded in _decoded(todo, record.rate_hz, jobs, skip_clipped):
            line = part.add(f, decoded, [record.number, number])
            record.lines[f.path] = line
            _name(line)


def _decoded(
    todo: list[tuple[int, Entry]], rate_hz: int, jobs: int, skip_clipped: bool
) -> Iterator[tuple[int, Entry, Decoded]]:
    """Decode in order, only a few ahead, so that memory does not grow with the data."""
    left = iter(todo)
    with ThreadPoolExecutor(jobs) as pool:
        while group := list(islice(left, 4 * jobs)):
            sound = pool.map(lambda one: decode(one[1], rate_hz, skip_clipped), group)
            yield from ((*one, decoded) for one, decoded in zip(group, sound, strict=True))


def _decode_on(
    hands: Workers,
    folder: Path,
    record: Record,
    todo: list[tuple[int, Entry]],
    skip_clipped: bool,
) -> None:
    """Decode by the workers of a cluster, each into a part of its own.

    Raises:
        AudioError: workers die, and not for a file that could be left out.
    """
    left = shards(folder, record, todo, hands.count, skip_clipped)
    done = 0
    while left:
        again = []
        for shard, lost in hands.each(fill, left):
            lines = record.absorb(shard.part)
            for line in lines:
                _name(line)
            done += len(lines)
            print(f"{shard.part}: {done} of {len(todo)} files")
            if lost:  # some of its files may have ended all workers that it was given to
                again.append(shard.without(record.lines))
                if len(again[-1].entries) == len(shard.entries):
                    raise AudioError(
                        f"the workers of {shard.part} end without a result: {lost.why}. The "
                        "recordings decoded so far are kept; run the same command again"
                    )
        left = [shard for shard in again if shard.entries]


def _name(line: Line) -> None:
    """Print why a file is skipped."""
    if "fault" in line:
        print(f"skipped {line['path']}: {line['fault']}")


def _finish(record: Record, entries: list[Entry], prune: bool) -> Counter[str]:
    """Write the index and print how many recordings were skipped, and why."""
    gone = record.drop_gone(entries, prune)
    record.write()
    lines, once = list(record.lines.values()), list(record.once())
    counts = Counter(line["fault"].split(" (")[0] for line in lines if "fault" in line)
    counts["used"] = len(once)
    counts["copies of others, left out"] = sum("recording" in x for x in lines) - len(once)
    counts["clipped, kept"] = sum(line["clipped"] for line in once)
    counts[GONE] = gone
    words = {GONE: f"{GONE}, {'dropped' if prune else 'kept'}"}
    print(", ".join(f"{words.get(w, w)}: {count}" for w, count in counts.items() if count))
    if not once:
        raise AudioError(
            f"nothing usable: all {sum(counts.values())} files were skipped, see above"
        )
    _report(once, record.rate_hz)
    write_index(record.cache, record.rate_hz, (_indexed(x, record.rate_hz) for x in once))
    if prune:
        record.remove_empty_parts()
    return +counts  # without zeros


def _indexed(line: Line, rate_hz: int) -> Recording:
    """Return the recording of a line as the index lists it."""
    hz = line["recording"]["bandwidth_hz"]
    trusted = hz * TRUSTED if hz < 0.9 * rate_hz / 2 else hz
    return Recording(**line["recording"] | {"bandwidth_hz": min(trusted, rate_hz / 2)})


def _report(lines: list[Line], rate_hz: int) -> None:
    """Print how many stated bandwidths are wrong, and which source is most of a kind."""
    stated = [
        line["measured_hz"] / min(line["stated_hz"], rate_hz / 2)
        for line in lines
        if "stated_hz" in line and "measured_hz" in line
    ]
    less, more = (sum(r < 1 - AGREE for r in stated), sum(r > 1 + AGREE for r in stated))
    if less or more:
        print(
            f"bandwidth: of {len(stated)} that the manifest states, {less} are more than "
            f"{AGREE:.0%} above the measured one, and {more} below it; the smaller one is used"
        )
    sources: dict[str, Counter[str]] = {}
    for r in (line["recording"] for line in lines if "recording" in line):
        sources.setdefault(r["kind"], Counter())[r["source"]] += 1
    for kind, counts in sources.items():
        source, most = counts.most_common(1)[0]
        if counts.total() >= MANY and most > counts.total() / 2:
            print(
                f"{most} of {counts.total()} recordings of {kind} are one source, {source}, which "
                "is on one side of a split; name their speakers in a manifest if they are several"
            )

"""The items of a run: what is read and where it goes, streamed from a listing or a manifest.

Nothing here holds more than a folder deep, a page of a store or a line of a manifest, so that ten
million items need the memory of one. A name that means nothing is an item too: its fault is told
when its turn comes, and the others go on.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ..errors import AudioError, Problem, RtdenoiseError, UsageError, printable, reason_of
from ..files.batch import Naming
from ..files.digest import of_text
from ..files.results import FAILED, Known, ResultsLog
from ..sound.formats import readable
from ..sound.pending import STD
from . import store
from .section import Section


@dataclass(frozen=True, slots=True)
class Item:
    """A recording to process.

    Attributes:
        source: Name or URL of the input.
        size: Its bytes. None: not known yet.
        target: Name or URL of the output.
        below: Its place below what was listed, which is the same on every machine.
        stamp: What a listing said of its content, see `store.Facts`. Empty: nothing.
        known: What the results log knows of the output.
        fault: Why it cannot be processed. None: nothing is known against it.
        section: What of it is to be done. None: all.
    """

    source: str
    size: int | None
    target: str
    below: str
    stamp: str = ""
    known: Known = Known()  # noqa: RUF009 - it is frozen
    fault: RtdenoiseError | None = None
    section: Section | None = None


def target_of(naming: Naming, source: str, below: str) -> str:
    """Return the name of the output for *source*, whose place in a mirrored tree is *below*.

    Raises:
        UsageError: If the input is a URL, and nothing says where its output goes.

    >>> target_of(Naming(folder="s3://bucket/out"), "rec/a/b.wav", "a/b.wav")
    's3://bucket/out/a/b.wav'
    """
    if naming.output is not None:
        return store.local(naming.output)
    if naming.folder is None:
        if store.is_url(source):
            raise UsageError(
                f"{printable(store.redacted(source))} is a URL: name a folder for its output",
                Problem.ONE_OUTPUT,
            )
        return naming.target(store.local(source), below)
    if naming.suffix is not None:
        below = f"{Path(below).with_suffix('')}{naming.suffix}{Path(below).suffix}"
    return store.join(naming.folder, below)


def item_of(naming: Naming, source: str, below: str, facts: store.Facts | None = None) -> Item:
    """Return the item for an input."""
    if ".." in below.split("/"):
        return faulty(source, AudioError(f"{printable(source)}: its name leads out of its folder"))
    size, stamp = (None, "") if facts is None else (facts.size, facts.stamp)
    return Item(store.local(source), size, target_of(naming, source, below), below, stamp)


def faulty(source: str, fault: RtdenoiseError) -> Item:
    """Return the item for a name that means nothing."""
    return Item(source, None, "", source, fault=fault)


def from_listing(names: Iterable[str], naming: Naming, recursive: bool = False) -> Iterator[Item]:
    """Yield the items that names mean: files, folders, patterns and URLs.

    Args:
        names: What the user named.
        naming: The rules that name the outputs; the folder may be a URL.
        recursive: Whether folders are searched for sound files; otherwise they are faults.

    Raises:
        UsageError: If a store's package is missing, or an output has no place.
    """
    names = list(names)
    roots = [name for name in names if _may_be_folder(name)]
    for name in names:
        place = f"{_root_name(name)}/" if len(roots) > 1 else ""
        try:
            if store.is_url(name):
                yield from _remote(name, naming, recursive, place)
            else:
                yield from _local(store.local(name), naming, recursive, place)
        except AudioError as error:
            yield faulty(name, error)


def _may_be_folder(name: str) -> bool:
    if store.is_url(name):
        return PurePosixPath(store.base_name(name)).suffix.lower() not in readable()
    return os.path.isdir(store.local(name))


def _root_name(name: str) -> str:
    """Return the name under which a folder is mirrored if there are several."""
    return store.base_name(name) if store.is_url(name) else Path(name).resolve().name


def _remote(name: str, naming: Naming, recursive: bool, place: str) -> Iterator[Item]:
    """Yield the items that a URL means: an object, or all below it."""
    target_of(naming, name, "x")  # before the store is asked
    about = None if name.endswith("/") else store.facts(name)
    if about is not None or (store.scheme(name) in store.WEB and not name.endswith("/")):
        yield item_of(naming, name, store.base_name(name), about)
        return
    found = known = 0
    root, suffixes = name.rstrip("/") + "/", tuple(readable())
    start = root.partition("://")[2]
    avoid = f"{naming.folder.rstrip('/')}/" if naming.folder else "\0"
    for url, facts in store.listing(root):
        found += 1
        if not recursive:
            text = f"{printable(store.redacted(name))} is a folder, wanted a sound file"
            raise AudioError(text, Problem.FOLDER_IN)
        below = url[url.index(start) + len(start) :]
        hidden = below.startswith(".") or "/." in below.replace("/../", "/")
        if hidden or not url.lower().endswith(suffixes) or url.startswith(avoid):
            continue
        known += 1
        yield item_of(naming, url, place + below, facts)
    if not known:
        what = "sound files in" if found else "object"
        raise AudioError(f"there is no {what} {printable(store.redacted(name))}", Problem.STORE)


def _local(name: str, naming: Naming, recursive: bool, place: str) -> Iterator[Item]:
    """Yield the items that a name on this machine means."""
    if not name or name == STD:
        raise AudioError("stdin has no name that a log could keep, wanted files or URLs")
    if os.path.isdir(name):
        if not recursive:
            text = f"{printable(name)} is a folder, wanted a sound file"
            raise AudioError(text, Problem.FOLDER_IN)
        yield from _folder(name, naming, place)
        return
    if not os.path.lexists(name) and glob.has_magic(name):
        number = 0
        for file in glob.iglob(name, recursive=True):  # noqa: PTH207 - a pattern may be absolute
            if not os.path.isdir(file) and not _is_result(file, naming):
                number += 1
                yield item_of(naming, file, Path(file).name)
        if not number:
            raise AudioError(f"no file matches {printable(name)}. Is the folder right?")
    elif not _is_result(name, replace(naming, suffix=None)):
        yield item_of(naming, name, Path(name).name)


def _is_result(name: str, naming: Naming) -> bool:
    """Return whether a file is what the rules would make of another file beside it."""
    path = Path(name)
    texts = {naming.usual, naming.suffix or naming.usual} if naming.folder is None else set()
    return any(
        path.stem.endswith(text)
        and os.path.lexists(path.with_name(path.stem.removesuffix(text) + path.suffix))
        for text in texts
    )


def _folder(name: str, naming: Naming, place: str) -> Iterator[Item]:
    """Yield the items in a folder and below it."""
    known, number = tuple(readable()), 0
    avoid = os.path.realpath(store.local(naming.folder)) if naming.folder is not None else ""
    avoid = "" if avoid == os.path.realpath(name) else avoid
    for path, below in _walk(name, avoid, place):
        if isinstance(below, RtdenoiseError):
            yield faulty(path, below)
        elif path.lower().endswith(known) and not _is_result(path, naming):
            yield item_of(naming, path, below)
        else:
            continue
        number += 1
    if not number:
        raise AudioError(f"no sound files in {printable(name)}")


def _walk(folder: str, avoid: str, place: str) -> Iterator[tuple[str, str | RtdenoiseError]]:
    """Yield each file below a folder with its place, or what cannot be searched with its error."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if not entry.is_dir(follow_symlinks=False):
                    yield entry.path, place + entry.name
                elif not avoid or os.path.realpath(entry.path) != avoid:
                    yield from _walk(entry.path, avoid, f"{place}{entry.name}/")
    except OSError as error:
        yield folder, AudioError(f"cannot search {printable(folder)}: {reason_of(error)}")


def from_failures(log: ResultsLog) -> Iterator[Item]:
    """Yield the items that failed in the last run, by what their lines say."""
    for line in log.failed():
        source, output = line["input"], line.get("output")
        if output and "***" not in source + output:
            yield Item(source, None, output, str(line.get("below", source)))
        else:
            hidden = f"{printable(source)}: the log does not keep what opens it"
            error = UsageError(hidden if output else line.get("error", ""), Problem.RETRY)
            yield faulty(source, error)


def shard(items: Iterable[Item], number: int, count: int) -> Iterator[Item]:
    """Yield the items of one of *count* shards, which together are all items.

    It depends on an item's place below what was listed, and neither on the order nor on where the
    tree is on this machine.

    Raises:
        UsageError: If there is no such shard.
    """
    if not 0 <= number < count:
        raise UsageError(f"shard {number} of {count}: wanted 0 to {max(count, 1) - 1}")
    for item in items:
        if int(of_text(item.below)[:12], 16) % count == number:
            yield item


def claimed(items: Iterable[Item], log: ResultsLog, only_failed: bool = False) -> Iterator[Item]:
    """Yield each item once, with what the log knows of its output.

    Args:
        items: The items.
        log: The results log.
        only_failed: Whether items are left out that did not fail in the last run.
    """
    for item in items:
        if item.fault is not None:
            yield item
            continue
        output = store.redacted(item.target)
        try:
            known = log.claim(output, item.source)
        except UsageError as error:
            yield replace(item, target="", fault=error)
            continue
        if known is None or (only_failed and known.status != FAILED):
            continue
        if not known.made and not store.is_url(output) and not os.path.lexists(output):
            log.begin(output)  # so that the file is known to be of this log, whatever happens
        yield replace(item, known=known)

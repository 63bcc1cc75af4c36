"""Where recordings are: files of this machine, and by fsspec (the extra `cluster`) URLs.

A plain path works without fsspec, and so does all that is about names. An object of a store comes
into a temporary file, and its output goes back as one PUT, or as a new name that is renamed, so
that it appears whole. Messages never hold what opens a store: see `redacted`.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from ..errors import (
    AudioError,
    Problem,
    RtdenoiseError,
    UsageError,
    last_line,
    printable,
    reason_of,
)
from ..sound.inputs import check_readable
from ..sound.pending import exists_error, make_folder, same_file

SCHEME = re.compile(r"(?!file:)([A-Za-z][A-Za-z0-9+.-]+)://")
WEB = ("http", "https")
# What installs a scheme of fsspec, and the argument of `put_file` that keeps texts beside a file.
PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs"}
PACKAGES |= {"abfs": "adlfs", "abfss": "adlfs", "http": "aiohttp", "https": "aiohttp"}
NOTES = {"s3fs": "Metadata", "gcsfs": "metadata", "adlfs": "metadata"}
KEY = "rtdenoise-key"
PAGE = 1000  # objects, the most that S3 lists at once
# A store that does not answer is told within the time that people wait for.
PATIENCE = {"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 2}}
LOGIN = re.compile(r"(?<=://)[^/\s@'\"]+@")
SECRET = re.compile(
    r"(?i)([?&](?:x-[a-z]+-[a-z-]+|sig|signature|token|key|[a-z_-]*(?:secret|password|access|"
    r"credential|policy|token|key)[a-z_-]*)=)[^&\s'\"]+"
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a store says of a recording.

    Attributes:
        size: Its bytes. None: the store does not say.
        stamp: Text that changes when the content does. Empty: the store does not say.
    """

    size: int | None
    stamp: str


def is_url(name: str) -> bool:
    """Return whether *name* is a URL of something that is no file of this machine.

    >>> is_url("s3://bucket/a.wav"), is_url("file:///a.wav"), is_url("a.wav")
    (True, False, False)
    """
    return SCHEME.match(name) is not None


def local(name: str) -> str:
    """Return *name*, or the path that a file:// URL means."""
    return url2pathname(urlsplit(name).path) if name.startswith("file://") else name


def redacted(text: object) -> str:
    """Return *text* without what opens a store: logins in URLs, signatures and tokens.

    >>> redacted("https://me:secret@host/a.wav?X-Amz-Signature=abc&id=1")
    'https://***@host/a.wav?X-Amz-Signature=***&id=1'
    """
    return SECRET.sub(r"\1***", LOGIN.sub("***@", str(text)))


def base_name(name: str) -> str:
    """Return the last part of a path or URL, as the name of a file.

    >>> base_name("s3://b/x/a b.wav"), base_name("https://host/a%20b.wav?id=1")
    ('a b.wav', 'a b.wav')
    """
    if not is_url(name):
        return Path(local(name)).name
    if scheme(name) in WEB:
        return PurePosixPath(unquote(urlsplit(name).path)).name
    return name.rstrip("/").rpartition("/")[2]


def scheme(url: str) -> str:
    """Return the scheme of a URL in lower case."""
    found = SCHEME.match(url)
    return found[1].lower() if found else ""


def join(folder: str, below: str) -> str:
    """Return the name of what is at *below* in a folder, which may be a URL.

    >>> join("s3://b/out/", "a/b.wav")
    's3://b/out/a/b.wav'
    """
    return f"{folder.rstrip('/')}/{below}" if is_url(folder) else str(Path(local(folder), below))


def same_place(a: str, b: str) -> bool:
    """Return whether two names mean one file or object."""
    return a == b or (not (is_url(a) or is_url(b)) and same_file(local(a), local(b)))


@contextmanager
def _told(doing: str, url: str) -> Iterator[None]:
    """Turn what libraries raise about a store into an `AudioError` of one line."""
    try:
        yield
    except RtdenoiseError:
        raise
    except Exception as error:
        text = f"cannot {doing} {printable(redacted(url))}: {_why(error)}"
        raise AudioError(text, Problem.STORE) from None


def _why(error: BaseException) -> str:
    """Return in words why a store refused."""
    while isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        error = error.__cause__  # of HTTP, where all is "not found" at first
    said = redacted(last_line(error))
    if "redential" in said:
        return "no credentials were found: set them up as for the store's own tools"
    if isinstance(error, PermissionError):
        return f"access denied ({said.removeprefix('PermissionError: ')})"
    if "NoSuchBucket" in said or ("HeadBucket" in said and "404" in said):
        return "there is no such bucket"
    return "there is no such object" if isinstance(error, FileNotFoundError) else said


def _filesystem(url: str) -> tuple[Any, str]:
    """Return the file system of fsspec for a URL, and the path in it.

    Raises:
        UsageError: If the scheme is unknown, or its package is not installed.
    """
    kind = scheme(url)
    host = url.partition("://")[2].partition("/")[0] if kind not in PACKAGES else ""
    files = _made(kind, host)
    return files, files._strip_protocol(url)


@cache
def _made(kind: str, host: str) -> Any:
    """Return the file system for a scheme and, where the URL's host chooses it, for a host."""
    package = PACKAGES.get(kind, "fsspec")
    try:
        import fsspec

        import_module(package)
        files = fsspec.get_filesystem_class(kind)
        settings = dict(files._get_kwargs_from_urls(f"{kind}://{host}/x"))
    except ImportError:
        raise UsageError(
            f"{kind}:// needs the package {package}: pip install "
            + ("'rtdenoise[cluster]'" if package in ("fsspec", "s3fs", "aiohttp") else package),
            Problem.STORE,
        ) from None
    except ValueError:
        raise UsageError(
            f"{kind}:// is unknown. Known are s3, gs, az, http, https, file and others of fsspec",
            Problem.STORE,
        ) from None
    if package == "s3fs":
        settings["config_kwargs"] = PATIENCE
    with _told("use", f"{kind}://{host}"):
        return files(use_listings_cache=False, skip_instance_cache=True, **settings)


def facts(name: str) -> Facts | None:
    """Return what is said of a file or an object; None: there is none.

    Raises:
        AudioError: If the store does not answer, or refuses.
        UsageError: If a package is missing.
    """
    if not is_url(name):
        try:
            return _local_facts(os.stat(local(name)))  # noqa: PTH116 - a Path forgets a slash
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise AudioError(f"cannot read {printable(name)}: {reason_of(error)}") from None
    files, path = _filesystem(name)
    with _told("read", name):
        try:
            info = files.info(path)
            return None if info.get("type") == "directory" else _remote_facts(info)
        except FileNotFoundError as error:
            if scheme(name) in WEB and getattr(error.__cause__, "status", None) != 404:
                raise  # HTTP's way to say that something else went wrong
            return None


def _local_facts(about: os.stat_result) -> Facts:
    """Return the facts about a file; its inode and its times change with its content."""
    times = (about.st_mtime_ns, about.st_ctime_ns, about.st_ino)
    return Facts(about.st_size, "-".join(f"{value:x}" for value in (about.st_size, *times)))


def _remote_facts(info: Mapping[str, Any]) -> Facts:
    """Return the facts in what fsspec says of an object."""
    marks = (info.get(name) for name in ("ETag", "etag", "md5Hash", "content_md5", "generation"))
    mark = next((str(mark).strip('"') for mark in marks if mark), "")
    size = info.get("size")
    return Facts(size, f"{size}-{mark}" if mark else "")


@contextmanager
def fetched(name: str) -> Iterator[str]:
    """Give the path of a local file with the content of *name* while a block runs.

    Raises:
        AudioError: If it cannot be read, or the store gives another number of bytes than it says.
    """
    if not is_url(name):
        check_readable(local(name))
        yield local(name)
        return
    about = facts(name)
    if about is None:
        raise AudioError(f"there is no {printable(redacted(name))}", Problem.STORE)
    with _folder(about.size) as folder:
        path = folder / f"input{PurePosixPath(base_name(name)).suffix}"
        files, place = _filesystem(name)
        with _told("read", name):
            files.get_file(place, str(path))
        got = path.stat().st_size
        if about.size not in (None, got):
            text = f"{printable(redacted(name))}: the store gave {got} of {about.size} bytes"
            raise AudioError(text, Problem.STORE)
        yield str(path)


@contextmanager
def _folder(size: int | None) -> Iterator[Path]:
    """Give a folder for temporary files while a block runs, with room for *size* bytes."""
    with tempfile.TemporaryDirectory(prefix="rtdenoise-") as folder:
        free = shutil.disk_usage(folder).free
        if size is not None and size > free:
            where = printable(tempfile.gettempdir())
            raise AudioError(
                f"an object of {size / 1e9:.1f} GB does not fit into {where} ({free / 1e9:.1f} GB "
                "free): set TMPDIR to a larger disk",
                Problem.STORE,
            )
        yield Path(folder)


@contextmanager
def placed(target: str, key: str, overwrite: bool) -> Iterator[str]:
    """Give the path to write an output to; the output is at *target* after the block.

    Args:
        target: Name of the output. A file of this machine is its own path: what writes it must
            let it appear whole, as `sound.pending` does.
        key: The key of the output, which a store keeps beside the object; see `key_of`.
        overwrite: Whether an object of this name may be replaced.

    Raises:
        AudioError: If it cannot be written, or exists and may not be replaced.
    """
    if not is_url(target):
        make_folder(Path(local(target)).parent)
        yield local(target)
        return
    if not overwrite and facts(target) is not None:
        raise exists_error(redacted(target))
    with _folder(None) as folder:
        path = folder / f"output{PurePosixPath(base_name(target)).suffix}"
        yield str(path)
        put(str(path), target, key)


def check_folder(folder: str) -> None:
    """Check that a folder of outputs can be one, before any work is done.

    Raises:
        UsageError: If it cannot be written by its scheme, a package is missing, its store does not
            answer, or it has no such bucket. Whether it may be written shows when it is.
    """
    if not is_url(folder):
        if os.path.isfile(local(folder)):
            text = f"the folder of outputs {printable(folder)} is a file, wanted a folder"
            raise UsageError(text, Problem.ONE_OUTPUT)
        return
    shown = printable(redacted(folder))
    if scheme(folder) in WEB:
        raise UsageError(f"{shown}: nothing can be written by HTTP", Problem.STORE)
    files, path = _filesystem(folder)
    try:
        with _told("use", folder):
            files.info(path.partition("/")[0] if scheme(folder) in PACKAGES else "/")
    except AudioError as error:
        if not isinstance(error.__context__, PermissionError):  # it may be written, not listed
            raise UsageError(str(error), Problem.STORE) from None


def put(path: str, target: str, key: str) -> None:
    """Copy the file *path* to the URL *target*, which appears whole or not at all.

    Raises:
        AudioError: If it cannot be written.
    """
    files, place = _filesystem(target)
    package = PACKAGES.get(scheme(target))
    with _told("write", target):
        if package in NOTES:
            files.put_file(path, place, **{NOTES[package]: {KEY: key}})
        else:
            hidden = f"{place}.{secrets.token_hex(6)}.part"
            files.makedirs(files._parent(place), exist_ok=True)
            try:
                files.put_file(path, hidden)
                files.mv(hidden, place)
            except BaseException:
                with suppress(Exception):
                    files.rm_file(hidden)
                raise
        size, there = Path(path).stat().st_size, files.info(place)["size"]
    if size != there:
        text = f"{printable(redacted(target))}: the store kept {there} of {size} bytes"
        raise AudioError(text, Problem.STORE)


def remove(folder: str) -> None:
    """Remove a folder and all that is in it, if it is there."""
    if not is_url(folder):
        return shutil.rmtree(local(folder), ignore_errors=True)
    files, place = _filesystem(folder)
    with _told("remove", folder), suppress(FileNotFoundError):
        files.rm(place, recursive=True)


def key_of(target: str) -> str:
    """Return the key that a store keeps beside an object that `put` made. Empty: it keeps none."""
    if PACKAGES.get(scheme(target)) not in NOTES:
        return ""
    files, place = _filesystem(target)
    with _told("read", target), suppress(FileNotFoundError):
        notes = files.metadata(place) if hasattr(files, "metadata") else files.getxattr(place)
        return str(notes.get(KEY) or notes.get(KEY.replace("-", "_")) or "")
    return ""


def listing(url: str) -> Iterator[tuple[str, Facts]]:
    """Yield the URL of each object below *url*, with what its store says of it, as it comes.

    S3 gives a page of 1000 objects at a time; other stores give a folder at a time.

    Raises:
        AudioError: If the store does not answer, or refuses.
    """
    files, root = _filesystem(url)
    if scheme(url) in WEB:
        text = f"{printable(redacted(url))}: HTTP has no folders, list what it has in a manifest"
        raise AudioError(text, Problem.STORE)
    root = root.rstrip("/") + "/"
    with _told("list", url):
        for path, info in (_pages if hasattr(files, "call_s3") else _walk)(files, root):
            yield url[: url.index("://") + 3] + path, _remote_facts(info)


def _pages(files: Any, root: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (path, facts) of each object of S3 below *root*."""
    bucket, _, prefix = root.partition("/")
    more: dict[str, Any] = {}
    while True:
        page = files.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=PAGE, **more)
        for entry in page.get("Contents", []):
            if not entry["Key"].endswith("/"):
                yield f"{bucket}/{entry['Key']}", {**entry, "size": entry["Size"]}
        if not page.get("IsTruncated"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}


def _walk(files: Any, root: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (path, facts) of each file below *root*."""
    for _, _, names in files.walk(root, detail=True, on_error="raise"):
        for info in names.values():
            yield info["name"].lstrip("/") if "://" not in root else info["name"], info

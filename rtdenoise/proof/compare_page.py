"""The page of a comparison: one HTML file with sounds, pictures and scores, and without a server.

The sounds are FLAC, as far as that is small enough; what was removed is then the difference of two
of them, which the page makes itself. Larger ones are Vorbis, and what was removed is a sound of its
own, because the difference of two lossy sounds is that of their losses.

Nothing in the page names a version before the listener asks: what is known about each is base64,
and the versions stand in a random order, in the file and again when the page is opened.
"""

from __future__ import annotations

import base64
import html
import json
import math
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import Samples, db_to_gain, gain_to_db
from ..errors import UsageError, printable
from ..files.picture import Spectrogram, marks, strip, top_db
from ..sound.writer import SoundWriter
from .compare import HEARD, INPUT, LOUDNESS_LUFS, PACED_S, Part, Version
from .quality import MISSING, installed

ASSETS = Path(__file__).parent
STYLES = (ASSETS.parent / "page.css", ASSETS / "compare.css")
SCRIPTS = (ASSETS.parent / "page.js", ASSETS / "compare.js")
LOSSLESS_BYTES = 32_000_000  # most of all sounds together; a browser decodes that in seconds
MOST_BYTES = 200_000_000
MOST_VERSIONS = 9  # one for each key
PEAK = 0.99
QUALITY_KBPS = 96.0  # a channel


@dataclass(frozen=True)
class Page:
    """A finished page.

    Attributes:
        html: The bytes of the file.
        sound: How the sounds are stored, in words.
        notes: What the page tells about how it was made.
    """

    html: bytes
    sound: str
    notes: tuple[str, ...]


def make_page(part: Part, versions: Sequence[Version], commands: Mapping[str, str]) -> Page:
    """Return the page of *versions*, of which the first is the input.

    Args:
        part: The part of a recording that they were made of.
        versions: The versions.
        commands: What to type to use a version in live sound, by its name.

    Raises:
        UsageError: If there are more versions than keys, or the page would be too large.
    """
    if len(versions) > MOST_VERSIONS:
        raise UsageError(f"{len(versions)} versions, the input included: wanted {MOST_VERSIONS}")
    gains = equal_gains(versions)
    stored = _stored(part, versions, gains)
    pictures = [f"data:image/jpeg;base64,{_base64(p)}" for p in _pictures(stored.kept, part.rate)]
    notes = tuple(_notes(part, versions, gains, stored))
    rows = [
        {
            "sound": _base64(stored.sounds[i]),
            "removed": _base64(stored.removed[i]),
            "about": _base64(json.dumps(about).encode()),
        }
        for i, about in enumerate(_abouts(versions, gains, stored, pictures, commands))
    ]
    data = {
        "rate": part.rate,
        "seconds": part.seconds,
        "mime": stored.mime,
        "timeline": pictures[0],
        "marks": marks(part.rate),
        "versions": sorted(rows, key=lambda _: secrets.randbits(64)),
        "notes": notes,
        "input": INPUT,
    }
    page = _filled(part, data)
    if len(page) > MOST_BYTES:
        raise UsageError(
            f"the page would have {len(page) / 1e6:.0f} MB, and browsers are slow beyond "
            f"{MOST_BYTES / 1e6:.0f}: take a shorter part of the recording, or fewer versions"
        )
    return Page(page, f"{stored.name} at {part.rate} Hz", notes)


@dataclass(frozen=True)
class _Stored:
    """The sounds of a page.

    Attributes:
        kept: The samples of each version at its gain.
        fits: The factor that keeps what each version removed below full scale.
        sounds: The versions as sound files.
        removed: What each version removed, as a sound file; empty if the page computes it.
    """

    kept: list[Samples]
    fits: list[float]
    sounds: list[bytes]
    removed: list[bytes]

    @property
    def lossless(self) -> bool:
        """Whether the sounds are FLAC, and what was removed is their difference."""
        return not self.removed[0]

    @property
    def name(self) -> str:
        """The name of the encoding."""
        return "FLAC" if self.lossless else "Vorbis"

    @property
    def mime(self) -> str:
        """The type of the sounds, as a browser knows it."""
        return "audio/flac" if self.lossless else "audio/ogg"


def _stored(part: Part, versions: Sequence[Version], gains: Sequence[float]) -> _Stored:
    """Return the sounds of all versions, encoded as their size allows."""
    scaled = [
        (v.audio * np.float32(g), np.float32(g)) for v, g in zip(versions, gains, strict=True)
    ]
    kept = [sound for sound, _ in scaled]
    rests = [versions[0].audio * gain - sound for sound, gain in scaled]
    fits = [min(1.0, PEAK / max(PEAK, float(np.abs(rest).max()))) for rest in rests]
    sounds = [_encoded(sound, part.rate, "FLAC") for sound in kept]
    if sum(map(len, sounds)) <= LOSSLESS_BYTES:
        return _Stored(kept, fits, sounds, [b""] * len(kept))
    fitted = [rest * np.float32(fit) for rest, fit in zip(rests, fits, strict=True)]
    lossy = [[_encoded(one, part.rate, "OGG") for one in many] for many in (kept, fitted)]
    return _Stored(kept, fits, *lossy)


def _abouts(
    versions: Sequence[Version],
    gains: Sequence[float],
    stored: _Stored,
    pictures: Sequence[str],
    commands: Mapping[str, str],
) -> Iterator[dict[str, Any]]:
    """Yield what the page knows about each version, and shows when it is asked for."""
    short = [printable(Path(version.name).name) for version in versions]
    alike = len(set(short)) < len(short)
    for i, version in enumerate(versions):
        yield version.as_dict() | {
            "label": printable(version.name) if alike else short[i],
            "command": commands.get(version.name, ""),
            "gain": gains[i],
            "gain_db": gain_to_db(gains[i]),
            "fit": stored.fits[i],
            "picture": pictures[i],
        }


def equal_gains(versions: Sequence[Version]) -> list[float]:
    """Return the factors that make all versions equally loud, with no peak beyond full scale.

    A silent version gets the gain of the loudest one that is not: it stays silent.
    """
    wanted = [db_to_gain(v.gain_db) if v.gain_db is not None else math.nan for v in versions]
    usual = min((g for g in wanted if math.isfinite(g)), default=1.0)
    gains = [g if math.isfinite(g) else usual for g in wanted]
    peak = max(
        float(np.abs(v.audio).max(initial=0.0)) * g for v, g in zip(versions, gains, strict=True)
    )
    return [g * min(1.0, PEAK / max(peak, PEAK)) for g in gains]


def _encoded(audio: Samples, rate: int, format: str) -> bytes:
    """Return *audio* as the bytes of a sound file."""
    subtype, kbps = ("PCM_16", None) if format == "FLAC" else ("VORBIS", QUALITY_KBPS * len(audio))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"sound.{format.lower()}"
        with SoundWriter(path, rate, audio.shape[0], format, subtype, kbps=kbps) as writer:
            writer.write(np.ascontiguousarray(audio))
        return path.read_bytes()


def _pictures(sounds: Sequence[Samples], rate: int) -> list[bytes]:
    """Return the spectrograms of *sounds* on one scale."""
    sides = []
    for sound in sounds:
        side = Spectrogram(rate, *sound.shape)
        side.add(np.pad(sound, ((0, 0), (0, side.size))))
        sides.append(side)
    top = top_db([side.mel_db() for side in sides])
    return [strip(side, top) for side in sides]


def _notes(
    part: Part, versions: Sequence[Version], gains: Sequence[float], stored: _Stored
) -> Iterator[str]:
    """Yield sentences about how the page was made."""
    levels = [v.lufs + gain_to_db(g) for v, g in zip(versions, gains, strict=True)]
    silent = sum(not math.isfinite(level) for level in levels)
    level = max(levels)
    if math.isfinite(level):
        loud = f"{level:.1f} LUFS (ITU-R BS.1770)"
        why = "" if abs(level - LOUDNESS_LUFS) < 0.05 else ", the most that their peaks allow"
        yield f"All versions are equally loud, {loud}{why}, so that none wins by being louder."
    if silent:
        yield f"{silent} of {len(levels)} versions are silent."
    yield (
        "What was removed is as loud as it was beside what was kept. "
        + ("It is computed from the sounds." if stored.lossless else "It is a sound of its own.")
    )
    if not stored.lossless:
        yield "The sounds are lossy (Vorbis), because lossless ones would be too large."
    if part.audio.shape[0] > HEARD:
        yield f"The {part.audio.shape[0]} channels were processed, and are heard as their mean."
    yield (
        "Scores: DNSMOS P.835, a guess of what listeners would say, for voices only."
        if installed()
        else f"There are no scores. {MISSING}"
    )
    yield (
        f"Speed, hop times (paced for {PACED_S:g} s) and delay are those of the machine that made "
        "this page."
    )
    if any(v.hops and v.hops.held_up for v in versions):
        yield "Most hops were fast, but other programs held up the rest: it was a busy machine."
    yield from part.warnings


def _filled(part: Part, data: dict[str, Any]) -> bytes:
    """Return the page with its style, its program and *data* in their places."""
    text = (ASSETS / "compare.html").read_text(encoding="utf-8")
    end_s = part.start_s + part.seconds
    span = (
        f"{_clock(part.start_s)} to {_clock(end_s)} of {_clock(part.whole_s)}, "
        f"{part.rate / 1000:g} kHz, {part.audio.shape[0]} channel"
        f"{'s' if part.audio.shape[0] > 1 else ''}"
    )
    places = {
        "{{name}}": html.escape(Path(part.name).name),
        "{{span}}": html.escape(span),
        "{{style}}": _text(STYLES),
        "{{program}}": _text(SCRIPTS),
        "{{data}}": json.dumps(data).replace("<", "\\u003c"),
    }
    head, *rest = text.split("{{")
    return (head + "".join(_place("{{" + piece, places) for piece in rest)).encode()


def _text(paths: Sequence[Path]) -> str:
    """Return the text of files, one after the other."""
    return "".join(path.read_text(encoding="utf-8") for path in paths)


def _place(piece: str, places: dict[str, str]) -> str:
    """Return *piece* with what it begins with replaced; what is put in is not looked at again."""
    mark, _, after = piece.partition("}}")
    return places[mark + "}}"] + after


def _clock(seconds: float) -> str:
    """Return a time as people write it.

    >>> _clock(61.4)
    '1:01'
    """
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")

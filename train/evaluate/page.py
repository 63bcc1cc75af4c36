"""The report of an evaluation: an HTML page with tables, and a folder of pictures and sounds.

The page opens from the disk and needs neither network nor scripts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

import numpy as np
import soundfile as sf

from rtdenoise.audio import Samples
from rtdenoise.files.picture import Spectrogram, panels
from rtdenoise.sound.pending import Pending

LONGEST_S = 30.0  # longest sound in the report

STYLE = Path(__file__).with_name("page.css")


@dataclass(frozen=True)
class Shown:
    """One pair of the report; files are given by their names in the media folder.

    Attributes:
        name: Name of the pair.
        picture: File with the spectrograms of all systems, on one scale.
        sounds: System and sound file, in the order of the tables.
    """

    name: str
    picture: str
    sounds: tuple[tuple[str, str], ...]


def keep(media: Path, name: str, signals: Mapping[str, Samples], rate_hz: int) -> Shown:
    """Write picture and sounds of one pair; all sounds have the same gain, for comparison."""
    media.mkdir(parents=True, exist_ok=True)
    files, sides = [], []
    n = int(LONGEST_S * rate_hz)
    loudest = max(float(np.abs(audio[:, :n]).max()) for audio in signals.values())
    gain = min(1.0, 1.0 / max(loudest, 1e-9))
    for number, (system, audio) in enumerate(signals.items()):
        file = f"{name}.{number}.flac"
        with Pending(media / file, overwrite=True) as pending, pending.path.open("wb") as out:
            sf.write(out, gain * audio[:, :n].T, rate_hz, "PCM_16", format="FLAC")
        files.append((system, file))
        side = Spectrogram(rate_hz, audio.shape[0], min(n, audio.shape[1]))
        side.add(audio[:, :n])
        sides.append(side)
    picture = f"{name}.png"
    with Pending(media / picture, overwrite=True) as pending:
        pending.path.write_bytes(panels(sides, list(signals), name))
    return Shown(name, picture, tuple(files))


def table(markdown: str) -> str:
    """Convert a Markdown table to HTML."""
    lines = [
        [cell.strip() for cell in line.strip("| \n").split(" | ")] for line in markdown.splitlines()
    ]
    if not lines:
        return ""
    head, _, *rows = lines

    def row(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{_bold(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "\n".join(row(cells, "td") for cells in rows)
    return (
        f'<div class="wide"><table><thead>{row(head, "th")}</thead>\n<tbody>{body}</tbody>'
        "</table></div>"
    )


def _bold(cell: str) -> str:
    """Convert `**x** y` to HTML and escape everything else."""
    parts = escape(cell).split("**")
    return "".join(f"<b>{part}</b>" if number % 2 else part for number, part in enumerate(parts))


def page(
    title: str,
    notes: Sequence[str],
    faults: Sequence[str],
    tables: Mapping[str, str],
    shown: Sequence[Shown],
    media: str,
) -> str:
    """Compose the HTML page.

    Args:
        title: Heading of the page.
        notes: Paragraphs above the tables.
        faults: Faults of the pairs that the checks reported, if they were scored by force.
        tables: Markdown tables by heading; empty ones are left out.
        shown: Pairs to show below the tables.
        media: Path of the media folder, relative to the page.
    """
    parts = [f"<h1>{escape(title)}</h1>"]
    if faults:
        items = "".join(f"<li>{escape(fault)}</li>" for fault in faults)
        parts.append(f'<div class="warning"><b>Scored by force.</b><ul>{items}</ul></div>')
    parts += [f"<p>{escape(note)}</p>" for note in notes]
    parts += [f"<h2>{escape(name)}</h2>\n{table(text)}" for name, text in tables.items() if text]
    if shown:
        parts.append("<h2>Files</h2>")
        parts.append(
            '<p class="small">The systems of a file share one colour scale and one gain, so their '
            "levels can be compared.</p>"
        )
    for number, one in enumerate(shown):
        players = "".join(
            f"<label>{escape(system)}<audio controls preload=none "
            f'src="{escape(media)}/{quote(file)}"></audio></label>'
            for system, file in one.sounds
        )
        parts.append(
            f"<details{' open' if number == 0 else ''}><summary>{escape(one.name)}</summary>"
            f'<div class="players">{players}</div><img loading=lazy '
            f'alt="Spectrograms of {escape(one.name)}" src="{escape(media)}/{quote(one.picture)}">'
            "</details>"
        )
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>\n{STYLE.read_text()}</style></head>\n<body>\n{body}\n</body></html>\n"
    )

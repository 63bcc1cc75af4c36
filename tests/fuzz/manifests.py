"""Damaged manifests and folders of recordings for `python -m train prepare`."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from pathlib import Path

import numpy as np
import soundfile

from train.cli import main

from . import mutate

COLUMNS = ("path", "kind", "source_id", "bandwidth_hz", "origin", "licence", "split", "speaker")


def rows(rng: np.random.Generator) -> list[dict[str, object]]:
    """Draw a manifest's rows, most of them right."""
    found: list[dict[str, object]] = []
    for index in range(int(rng.integers(0, 5))):
        row: dict[str, object] = {
            "path": f"{index % 3}.wav",
            "kind": str(rng.choice(["speech", "noise", "music"])),
            "source_id": f"s{index}",
            "bandwidth_hz": 8000,
            "origin": "here",
            "licence": "CC0",
            "split": str(rng.choice(["", "train", "dev", "test"])),
        }
        if rng.random() < 0.4:
            row[COLUMNS[int(rng.integers(len(COLUMNS)))]] = mutate.value(rng)
        if rng.random() < 0.1:
            row.pop(list(row)[int(rng.integers(len(row)))])
        found.append(row)
    return found


def write(folder: Path, rng: np.random.Generator) -> None:
    """Write a manifest as CSV or JSON lines, half of them damaged."""
    table = rows(rng)
    if rng.random() < 0.5:
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(table)
        name, body = "manifest.csv", text.getvalue()
    else:
        name, body = "manifest.jsonl", "\n".join(json.dumps(row) for row in table)
    if rng.random() < 0.4:
        body = mutate.text(body, rng)
    data = body.encode("utf-8", "surrogatepass")
    (folder / name).write_bytes(mutate.data(data, rng) if rng.random() < 0.15 else data)


def case(rng: np.random.Generator, folder: Path) -> str:
    """Prepare the folder: a cache that can be checked, or one line that says why not."""
    sound = np.random.default_rng(0)
    data = folder / "data"
    data.mkdir()
    for index in range(3):
        x = 0.1 * sound.standard_normal(4000 * (index + 1))
        soundfile.write(data / f"{index}.wav", x, 16_000)
        if rng.random() < 0.1:
            path = data / f"{index}.wav"
            path.write_bytes(mutate.data(path.read_bytes(), rng))
    write(data, rng)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["prepare", str(data), str(folder / "cache"), "--rate", "16000", "--jobs", "1"])
    said = err.getvalue()
    assert code in (0, 1, 2), (code, said)
    assert "Traceback" not in said + out.getvalue(), said
    assert len(said.strip().splitlines()) <= 1 or code == 0, said
    return f"exit {code}"

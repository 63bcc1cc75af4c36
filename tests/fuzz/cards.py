"""Model files with damaged cards, damaged archives, and cards that ask for the impossible."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from functools import cache
from pathlib import Path

import numpy as np

from rtdenoise.cli import main
from rtdenoise.nets.card import EXTRA_FILE
from tests.toy_nets import Smoother, save

from . import mutate


@cache
def original() -> bytes:
    """Return a small model file."""
    path = save(Smoother(), Path("original.pt").absolute())
    data = path.read_bytes()
    path.unlink()
    return data


def with_card(text: str) -> bytes:
    """Return the model file with another card."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(original())) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as new,
    ):
        for entry in old.infolist():
            is_card = entry.filename.endswith(EXTRA_FILE)
            new.writestr(
                entry.filename,
                text.encode("utf-8", "surrogatepass") if is_card else old.read(entry),
            )
    return out.getvalue()


def damaged(rng: np.random.Generator) -> bytes:
    """Return the model file after a damage to its card or to its bytes."""
    with zipfile.ZipFile(io.BytesIO(original())) as archive:
        name = next(n for n in archive.namelist() if n.endswith(EXTRA_FILE))
        card = json.loads(archive.read(name))
    draw = rng.random()
    if draw < 0.3:
        return mutate.data(original(), rng)
    if draw < 0.5:
        return with_card(mutate.text(json.dumps(card), rng))
    for _ in range(int(rng.integers(1, 4))):
        keys = [*card, "other"]
        card[keys[int(rng.integers(len(keys)))]] = mutate.value(rng)
    return with_card(json.dumps(card))


def case(rng: np.random.Generator, folder: Path) -> str:
    """Show a model with `info`: a card or one line, and nothing that drives a terminal."""
    path = folder / "model.pt"
    path.write_bytes(damaged(rng))
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["info", str(path), *(["--json"] if rng.random() < 0.3 else [])])
    said = out.getvalue() + err.getvalue()
    assert code in (0, 4), (code, said)
    assert "Traceback" not in said, said
    assert code == 0 or len(err.getvalue().strip().splitlines()) == 1, said
    wild = [c for c in said if (ord(c) < 32 and c != "\n") or 0x7F <= ord(c) < 0xA0]
    assert not wild, f"control characters {wild!r} reach the terminal"
    return "shown" if code == 0 else "refused"

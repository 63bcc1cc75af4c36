"""Checkpoints."""

from __future__ import annotations

import os

import pytest
import torch

from rtdenoise.errors import UsageError
from train.run.checkpoint import CONTENT, TrainingError, read, save


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path):
    """The new one is written beside it first."""
    save(tmp_path / "c.pt", {"step": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    with pytest.raises(TrainingError, match="is kept"):
        save(tmp_path / "c.pt", {"step": 2}, full)
    assert torch.load(tmp_path / "c.pt")["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]


class _Runs:
    """An object that runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_a_checkpoint_that_would_run_code_runs_none(tmp_path):
    """It is one line that names the file, whatever else the checkpoint has."""
    trace = tmp_path / "trace"
    torch.save(dict.fromkeys(CONTENT, 0) | {"step": _Runs(f"touch {trace}")}, tmp_path / "c.pt")

    with pytest.raises(UsageError, match=r"c\.pt is damaged, or holds more") as raised:
        read(tmp_path / "c.pt")
    assert not trace.exists()
    assert "\n" not in str(raised.value)


def test_a_damaged_checkpoint_is_one_line(tmp_path):
    """Cut off at any place, empty, of another kind, or with something left out."""
    save(tmp_path / "c.pt", dict.fromkeys(CONTENT, 1) | {"system": {"net": torch.zeros(1000)}})
    whole = (tmp_path / "c.pt").read_bytes()
    assert read(tmp_path / "c.pt")["step"] == 1
    for content in (
        b"",
        b"hello",
        b"\x80\x04junk",
        whole[:100],
        whole[:-30],
        whole[len(whole) // 2 :],
    ):
        (tmp_path / "bad.pt").write_bytes(content)
        with pytest.raises(UsageError, match=r"^[^\n]*bad\.pt is damaged[^\n]*$"):
            read(tmp_path / "bad.pt")
    torch.save({"step": 1}, tmp_path / "bad.pt")
    with pytest.raises(UsageError, match="it lacks ancestors, data, recipe, spent_s, system"):
        read(tmp_path / "bad.pt")

"""Checkpoints."""

from __future__ import annotations

import pytest
import torch

from train.run.checkpoint import TrainingError, save


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path):
    """The new one is written beside it first."""
    save(tmp_path / "c.pt", {"step": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    with pytest.raises(TrainingError, match="is kept"):
        save(tmp_path / "c.pt", {"step": 2}, full)
    assert torch.load(tmp_path / "c.pt")["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]

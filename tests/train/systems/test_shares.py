"""A step that is cut into shares."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch

from rtdenoise.errors import UsageError
from tests.train.sets import RECIPES, TINY
from train import config, sections
from train.data.cache import read as read_cache
from train.data.indexer import write_index
from train.data.library import Library
from train.run.checkpoint import Progress, share_out
from train.run.loop import fit
from train.systems import make
from train.systems.base import shard
from train.team import Team

WAVES = replace(
    config.load(RECIPES / "tiny.toml", ["data.seconds=0.2", "optim.batch=4"]),
    train=sections.Train("waves"),
    degradation="clip -12",
    objective=sections.Objective(
        compressed=1.0, adversarial=0.1, discriminator="period", discriminator_width=0.2
    ),
)
GAME = config.load(
    RECIPES / "tiny.toml",
    [
        "data.seconds=0.3", "optim.batch=4", "run.compile=false", "objective.adversarial=0.1",
        "objective.discriminator=complex", "objective.discriminator_width=0.1",
        "objective.head_start_steps=1", "objective.play_share=0.5", "objective.play_s=0.2",
    ],
)  # fmt: skip


@pytest.mark.parametrize(
    "recipe", [TINY, GAME, WAVES], ids=["spectra", "spectra, adversary", "waves, adversary"]
)
def test_the_mean_of_equal_shares_is_the_step_of_one(cache, recipe):
    """Nets, optimisers and losses, to the bit: (g + g) / 2 is g."""
    made = []
    for shares in (1, 2):
        torch.manual_seed(0)
        system = make(recipe, Team())
        batch = system.feed(Library(cache, recipe.data), 0, 7).batch(0)
        system.shares = shares
        losses = [system.step([batch] * shares, step, 0.0) for step in range(3)]
        made.append((losses, system.state()))
    (alone, before), (cut, after) = made

    assert cut == alone
    for name, value in before["average"].items():
        assert torch.equal(after["average"][name], value), name


@pytest.mark.parametrize("recipe", [TINY, WAVES], ids=["spectra", "waves"])
def test_no_two_shares_hear_the_same(cache, recipe):
    """Together they are as many examples as the batch."""
    system = make(recipe, Team())
    system.shares = 4
    batches = [feed.batch(0) for feed in system.feeds(Library(cache, recipe.data), 0)]
    assert [len(batch[0]) for batch in batches] == [recipe.optim.batch // 4] * 4

    rows = [row for batch in batches for row in batch[0]]
    for number, row in enumerate(rows):
        assert not any(torch.equal(row, other) for other in rows[number + 1 :])


def test_shares_are_computed_by_turns_whoever_is_there():
    """Each by one process, whatever their number; those too many have none."""
    system = make(TINY, Team())
    for size in (1, 2, 3, 5, 8):
        for system.shares in (1, 2, 6, 8):
            taken: list[int] = []
            system.team.size = size
            for system.team.rank in range(size):
                taken += system.mine
            assert sorted(taken) == [*range(system.shares)]


@pytest.mark.parametrize("shares", [3, 16, -1])
def test_shares_have_to_be_equal(cache, tmp_path, shares):
    """A batch of 8 has no third; the settings to change are named."""
    recipe = config.load(RECIPES / "tiny.toml", [f"optim.shares={shares}"])
    with pytest.raises(UsageError, match=rf"optim.batch = 8 cannot be cut into {shares} equal"):
        fit(recipe, cache, tmp_path / "run")


def test_other_shares_are_told_and_noted(capsys):
    """The net hears other examples from there on; what is not said stays as it was."""
    system, at = make(TINY, Team()), Progress(step=2, shares=2)
    share_out(TINY, system, at)
    assert (system.shares, at.shares, at.changes) == (2, 2, [])
    share_out(config.load(RECIPES / "tiny.toml", ["optim.shares=4"]), system, at)

    assert "from step 2 on: 4 shares, was 2" in capsys.readouterr().out
    assert (system.shares, at.shares) == (4, 4)
    assert at.changes == [{"step": 2, "was": {"optim.shares": 2}}]


def test_shares_draw_from_their_own_parts_of_a_cache(cache, tmp_path):
    """Together from all; with fewer parts than shares, one would hear nothing."""
    rows = []
    for part in ("b", "a", "c"):
        shutil.copytree(cache, tmp_path / part)
        here = read_cache(cache).recordings
        rows += [replace(r, part=part, source=f"{part} {r.source}") for r in here]
    write_index(tmp_path, 48_000, rows)
    library = Library(tmp_path, replace(TINY.data, shards="parts"))
    heard = [shard(library, share, 2).sources() for share in (0, 1)]

    assert [{source[0] for source in sources} for sources in heard] == [{"a", "c"}, {"b"}]
    assert set.union(*heard) == library.sources()
    assert shard(Library(tmp_path, TINY.data), 1, 2).sources() == library.sources()
    with pytest.raises(UsageError, match="has 3 parts, but a step has 4 shares"):
        shard(library, 3, 4)

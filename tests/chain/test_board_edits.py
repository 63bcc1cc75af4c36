"""A board is a list of effects, with the edits and errors of pedalboard's own board."""

from __future__ import annotations

import numpy as np
import pytest

from rtdenoise.core.stream import Stream
from tests.toy_nets import Identity, generator_for

pedalboard = pytest.importorskip("pedalboard")
from pedalboard import Clipping, Gain, Limiter, Pedalboard, Reverb  # noqa: E402

from rtdenoise import Board, Denoise, DryWet, Mix, UsageError  # noqa: E402

RATE = 48_000
IDENTITY = generator_for(Identity())
NOISE = np.random.default_rng(440).uniform(-0.3, 0.3, (2, 24_000)).astype(np.float32)


def test_a_board_is_edited_like_a_list():
    """Append, insert, delete, slices, iteration; an edit begins a new stream."""
    a, b, c = Gain(1), Denoise(IDENTITY), Limiter()
    board = Board([a])
    board.append(c)
    board.insert(1, b)
    assert list(board) == [a, b, c]
    assert board[1] is b
    assert board[::2] == [a, c]
    board[0] = None
    del board[2]
    assert list(board) == [None, b]
    board[:] = [c]
    assert list(board) == [c]
    board.process(NOISE, RATE, reset=False)
    board.append(b)
    assert board.process(NOISE[:, :500], RATE, reset=False).shape == (2, 0)


def test_what_is_no_effect_is_refused_and_nothing_changes():
    """A lambda, a number, the board itself, also deep within; no effect is a TypeError too."""
    gain = Gain(1)
    board = Board([gain])
    for bad, message in (
        (lambda x: x, "is no effect: wanted a pedalboard plugin"),
        (3, "3 is no effect"),
        (board, "cannot be an effect on itself"),
        (Mix([board]), "cannot be an effect on itself"),
        (DryWet(Board([board])), "cannot be an effect on itself"),
    ):
        with pytest.raises(UsageError, match=message) as caught:
            board.append(bad)
        assert list(board) == [gain]
        assert isinstance(caught.value, TypeError) == ("is no effect" in message)


EDITS = {
    "swap": "b[0], b[1] = b[1], b[0]",
    "swap of the ends": "b[0], b[-1] = b[-1], b[0]",
    "rotation": "b[0], b[1], b[2] = b[1], b[2], b[0]",
    "reversal by hand": "for i, e in enumerate(list(b)[::-1]): b[i] = e",
    "itself": "b[1] = b[1]",
    "nothing there": "b[0] = None",
    "insert first": "b.insert(0, new)",
    "insert last": "b.insert(3, new)",
    "insert from the end": "b.insert(-1, new)",
    "insert beyond": "b.insert(4, new)",
    "insert before": "b.insert(-4, new)",
    "append": "b.append(new)",
    "append nothing": "b.append(None)",
    "the same again": "b.append(b[0])",
    "delete": "del b[1]",
    "delete beyond": "del b[3]",
    "set beyond": "b[3] = new",
    "get beyond": "b[-4]",
    "remove": "b.remove(b[1])",
    "remove a stranger": "b.remove(new)",
    "no effect": "b.append(3)",
    "no effect set": "b[0] = 'gain'",
    "no number": "b['first']",
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_an_edit_does_what_it_does_to_pedalboards_own_board(edit):
    """The same order or the same kind of error, and then the same sound, or none from either."""
    ends = []
    for make in (Pedalboard, Board):
        effects = {"new": Gain(-1), "first": Gain(3), "second": Clipping(-9), "third": Gain(-6)}
        board = make([effects["first"], effects["second"], effects["third"]])
        board.process(NOISE, RATE, reset=False)
        kind = None
        try:
            exec(edit, {"b": board, "new": effects["new"]})
        except (IndexError, TypeError, ValueError) as error:
            kind = next(k for k in (IndexError, TypeError, ValueError) if isinstance(error, k))
        names = {id(effect): name for name, effect in effects.items()}
        order = [None if effect is None else names[id(effect)] for effect in board]
        try:
            out = board.process(NOISE, RATE)
        except (RuntimeError, ValueError):  # the same plugin twice
            out = np.zeros((0, 0), np.float32)
        ends.append((kind, order, out))

    assert ends[0][:2] == ends[1][:2]
    np.testing.assert_allclose(ends[1][2], ends[0][2], atol=1e-6)


def test_a_board_has_all_that_a_list_has_while_it_streams():
    """Reversal, swaps, slices, pop and the like give a board of that order, which streams anew."""
    a, b, c = Gain(1), Denoise(IDENTITY), Limiter()
    for edit, order in (
        ("board.reverse()", [c, b, a]),
        ("board[0], board[1] = board[1], board[0]", [b, a, c]),
        ("board[::-1] = list(board)", [c, b, a]),
        ("board[0:2] = [b]", [b, c]),
        ("del board[::2]", [b]),
        ("board.pop()", [a, b]),
        ("board.pop(0)", [b, c]),
        ("board.extend([board.pop(0)])", [b, c, a]),
        ("board.clear()", []),
        ("board += [board.pop(1)]", [a, c, b]),
    ):
        board = Board([a, b, c])
        board.process(NOISE, RATE, reset=False)
        exec(edit, {"board": board, "b": b})
        assert list(board) == order, edit
        rest = [board.process(NOISE, RATE, reset=False), board.flush()]
        np.testing.assert_allclose(
            np.concatenate(rest, axis=1), Board(order)(NOISE, RATE), atol=1e-6, err_msg=edit
        )


@pytest.mark.parametrize(
    "board",
    [
        lambda e: Board([e, e]),
        lambda e: Board([e, Board([e])]),
        lambda e: Mix([e, DryWet(Board([e]))]),
        lambda e: Board([Pedalboard([e]), e]),
    ],
)
@pytest.mark.parametrize("effect", [lambda: Gain(3), lambda: Reverb()])
def test_no_sound_is_processed_with_an_effect_that_is_there_twice(board, effect):
    """Its state would be that of two places at once; pedalboard refuses it as well."""
    twice = board(effect())
    for call in (
        lambda: twice(NOISE, RATE),
        lambda: twice.process(NOISE, RATE, reset=False),
        lambda: twice.stage(Stream(RATE, 2)),
    ):
        with pytest.raises(UsageError, match="on the board twice"):
            call()

"""The keys of the screen in words, and the steps of those that step."""

from __future__ import annotations

from rich.text import Text

from .paint import DIM

LIMITS = (0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 18.0, 24.0, 30.0, 40.0, 60.0, None)
KEYS = (
    ("b", "bypass: hear the aligned input, or the cleaned sound again"),
    ("m M", "mix: 10 % less or more of the cleaned sound"),
    ("a A", "attenuation limit: remove less or more; the last step is no limit"),
    ("r", "residual: hear what is removed"),
    ("1 2", "hear model 1 or 2; Tab changes between them"),
    ("c", "choose the model of this slot: one of the box, or a file"),
    ("o", "open a board file"),
    ("R", "record the output, or end that"),
    ("k", "mark this moment, and write the last seconds into a folder"),
    ("q", "quit: asks whether the run ends, or only this screen"),
)
HINT = (
    "b bypass  m/M mix  a/A limit  r residual  Tab A/B  c model  o board  R rec  k mark  q quit  ?"
)


def next_limit(limit_db: float | None, steps: int) -> float | None:
    """Return the limit that is *steps* above or below another one.

    >>> next_limit(None, -1), next_limit(60.0, 1), next_limit(10.0, 1), next_limit(10.0, -1)
    (60.0, None, 12.0, 9.0)
    """
    finite = [step for step in LIMITS if step is not None]
    if limit_db is None:
        return None if steps > 0 else finite[-1]
    if steps > 0:
        return next((step for step in finite if step > limit_db), None)
    return next((step for step in reversed(finite) if step < limit_db), finite[0])


def hints(width: int) -> Text:
    """Return as many keys as have room, and `?` in any case."""
    words = HINT.split("  ")
    while len("  ".join(words)) > width and len(words) > 1:
        del words[-3 if len(words) > 2 else 0]
    return Text("  ".join(words), DIM)

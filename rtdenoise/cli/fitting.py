"""Which model fits a recording that is plainly of another kind than the model in use."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


def for_music(effect: Any) -> str | None:
    """Return the name of the model to try if the input of *effect* is music; None: it may stay.

    Args:
        effect: The effect. One that is no model, or not for speech, may stay.
    """
    card = getattr(getattr(effect, "net", None), "card", None)
    return None if card is None or card.kind != "speech" else _model_for_music(card.task)


@lru_cache
def _model_for_music(task: str) -> str | None:
    """Return the name of a model for music, for this task if there is one."""
    from ..nets import box

    fitting = [card for card in map(box.card, box.models()) if card.kind == "music"]
    alike = [card for card in fitting if card.task == task]
    return next((card.name for card in [*alike, *fitting]), None)


def music_sentence(model: str, other: str) -> str:
    """Return what is said of music that *model* has processed."""
    return f"this sounds like music, and {model} is for speech: try -m {other}"

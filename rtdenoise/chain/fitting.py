"""Which model fits sound that is plainly of another kind than the model in use."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..nets.card import Card


def speech_card(effect: Any) -> Card | None:
    """Return the card of *effect* if it is a model for speech. None: it may be given music."""
    card = getattr(getattr(effect, "net", None), "card", None)
    return card if card is not None and card.kind == "speech" else None


def music_advice(effect: Any) -> str | None:
    """Return what to tell a user whose music goes into *effect*; None: there is nothing to tell."""
    card = speech_card(effect)
    other = None if card is None else _model_for_music(card.task)
    if card is None or other is None:
        return None
    return f"this sounds like music, and {card.name} is for speech: try the model {other}"


@lru_cache
def _model_for_music(task: str) -> str | None:
    """Return the name of a model for music, for this task if there is one."""
    from ..nets import box

    fitting = [card for card in map(box.card, box.models()) if card.kind == "music"]
    alike = [card for card in fitting if card.task == task]
    return next((card.name for card in [*alike, *fitting]), None)

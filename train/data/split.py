"""The split of the recordings into a training, a development and a test side, by their sources.

A *source* is a speaker, or one recording of noise. The split is by source, never by clip: with
clips of one speaker on both sides, the net would be scored on a voice from its training.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..sections import Data
from .index import ALL_SPLITS, PLACES, Index, Recording, place_of
from .layouts import SPLITS

OTHER = 255  # in place of a kind: the row is on another side


def side_of(recording: Recording, data: Data) -> str:
    """Return train, dev or test; it depends on the recording alone, so all runs agree on it."""
    if recording.source in data.held_out_sources or recording.origin in data.held_out_origins:
        return "dev"
    place = place_of(recording.source)
    return recording.split or next(side for side in SPLITS if _is_on(place, data, side))


def _is_on(places: Any, data: Data, side: str) -> Any:
    """Return which sources are on a side by their places, of any shape."""
    dev, test = data.dev_share * PLACES, (data.dev_share + data.test_share) * PLACES
    low, high = {"dev": (0, dev), "test": (dev, test), "train": (test, PLACES)}[side]
    return (places >= low) & (places < high)


def kinds_on(index: Index, data: Data, side: str) -> NDArray[np.uint8]:
    """Return the kind of every row that is on *side*, and OTHER of all others, (rows,).

    It agrees with `side_of`.
    """
    source, origin = index.texts["source"], index.texts["origin"]
    hashed = _is_on(source.places, data, side)
    held_source = source.among(data.held_out_sources)
    held_origin = origin.among(data.held_out_origins)
    here = np.empty(index.rows, np.uint8)
    for rows in index.pieces():
        split, sources = index.column["split"][rows], source.codes[rows]
        mine = np.where(split > 0, split == ALL_SPLITS.index(side), hashed[sources])
        held = held_source[sources] | held_origin[origin.codes[rows]]
        mine = np.where(held, side == "dev", mine)
        here[rows] = np.where(mine, index.column["kind"][rows], OTHER)
    return here

"""The model card: it says what a net is, what it was trained on, and how good it is.

The card is JSON inside the model file (the extra file `card.json` of a TorchScript archive), so
that nobody can lose it. Unknown keys are errors, because a misspelt key would silently mean its
default.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError

SCHEMA = 1
EXTRA_FILE = "card.json"
TASKS = ("denoise", "dereverb", "superres", "identity", "effect")
KINDS = ("speech", "music", "any")
BOUNDS = {
    "sample_rate": (1_000, 384_000),  # Hz
    "window": (1, 1 << 20),
    "hop": (1, 1 << 20),
    "lookahead": (0, 1 << 20),
    "channels": (1, 64),
    "parameters": (0, 10**11),
}
TYPES: dict[str, type] = {"str": str, "int": int, "list": list, "dict": dict}
LONGEST_TEXT = 20_000
DEEPEST = 20  # lists in lists


@dataclass(frozen=True)
class Card:
    """The facts about a net that the host and its user need.

    Attributes:
        name: Short name of the model.
        task: What the net does, one of `TASKS`.
        kind: What sound the net was trained for, one of `KINDS`.
        sample_rate: Sample rate of the net in Hz; the host resamples to it and back.
        window: Samples of a window, N.
        hop: Samples between two windows, H <= N.
        analysis_window: Window that the host applies before the net: `sqrt_hann`, `hann` or `rect`.
        synthesis_window: Window that the host applies after the net. The product of both windows
            must overlap-add to one.
        lookahead: Samples by which the net itself is late, in addition to the window.
        channels: Channels that the net processes together; 1: every channel is a row of the batch.
        parameters: Number of trained parameters.
        licence: Licence of the weights.
        data: The training data, as [{"name": .., "hours": .., "licence": ..}, ...].
        metrics: The scores, each with its baseline, as in
            {"SI-SDR dB": {"identity": 3.2, "model": 12.1}, ...}.
        sha256: Hash of the weights, as `weights_sha256` computes it.
        versions: Versions of the programs that made the model, as {"torch": "2.13.0", ...}.
        config: Settings that rebuild the network for fine-tuning, as {"network": "spectral", ...}.
        description: One or two sentences that say what the model is good at and what it is not.
        schema: Version of this list of fields.

    Raises:
        ModelError: If a value is not one that the host can work with.
    """

    name: str
    task: str
    kind: str
    sample_rate: int
    window: int
    hop: int
    analysis_window: str
    synthesis_window: str
    parameters: int
    licence: str
    sha256: str
    lookahead: int = 0
    channels: int = 1
    data: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    description: str = ""
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        """Refuse values that the host cannot work with, and texts that no terminal should get."""
        for entry in fields(self):
            value, kind = getattr(self, entry.name), TYPES[str(entry.type).partition("[")[0]]
            if type(value) is not kind:
                raise ModelError(
                    f"card: {entry.name} = {repr(value)[:80]}, wanted {kind.__name__}"
                    f"{' (a whole number)' if kind is int else ''}"
                )
            _check_plain(entry.name, value)
        for name, choices in (("task", TASKS), ("kind", KINDS)):
            if getattr(self, name) not in choices:
                raise ModelError(
                    f"card: {name} = {getattr(self, name)[:80]!r}, wanted one of "
                    f"{', '.join(choices)}"
                )
        if not all(type(entry) is dict for entry in self.data):
            raise ModelError("card: data, wanted a list of objects, one for each data set")
        for name, (least, most) in BOUNDS.items():
            if not least <= getattr(self, name) <= most:
                raise ModelError(
                    f"card: {name} = {getattr(self, name)}, wanted a whole number, {least} to "
                    f"{most}"
                )
        if not self.hop <= self.window:
            raise ModelError(
                f"card: hop = {self.hop}, window = {self.window}, wanted 1 <= hop <= window"
            )

    def to_json(self) -> str:
        """Return the card as indented JSON, which `from_json` reads back."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Card:
        """Read a card from its JSON.

        Raises:
            ModelError: If *text* is not a JSON object, has another schema version, or has an
                unknown or a missing key.
        """
        try:
            values = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise ModelError(
                f"the model card is not JSON ({str(error)[:200]}): export it again"
            ) from None
        if not isinstance(values, dict):
            raise ModelError("the model card is not a JSON object; export the model again")
        if values.get("schema") != SCHEMA:
            raise ModelError(
                f"the model card has schema {repr(values.get('schema'))[:80]}, this host reads "
                f"{SCHEMA}: upgrade rtdenoise, or export the model again with this version"
            )
        keys = {f.name: f for f in fields(cls)}
        needed = {
            n for n, f in keys.items() if f.default is MISSING and f.default_factory is MISSING
        }
        if unknown := sorted(set(values) - set(keys)):
            raise ModelError(
                f"the model card has unknown keys {', '.join(map(_shown, unknown[:9]))}; known: "
                f"{', '.join(keys)}"
            )
        if missing := sorted(needed - set(values)):
            raise ModelError(f"the model card lacks {', '.join(missing)}; export the model again")
        return cls(**values)


def _refuse(word: str) -> None:
    """Refuse NaN and Infinity, which JSON does not have."""
    raise ValueError(f"{word} is no number of JSON")


def _shown(text: str) -> str:
    """Return *text* as a terminal may get it: without control characters, and not long."""
    return text[:80] if text.isprintable() else repr(text[:80])


def _check_plain(name: str, value: Any, depth: int = 0) -> None:
    """Refuse texts with control characters or of great length, anywhere in *value*.

    Raises:
        ModelError: If there is such a text. A terminal would obey it, or be flooded by it.
    """
    if depth > DEEPEST:
        raise ModelError(f"card: {name} is nested more than {DEEPEST} deep")
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            raise ModelError(f"card: {name} has {len(value)} characters, at most {LONGEST_TEXT}")
        if not value.isprintable():
            raise ModelError(
                f"card: {name} has control characters ({repr(value)[:80]}), wanted plain text"
            )
    elif isinstance(value, dict):
        for part in (*value, *value.values()):
            _check_plain(name, part, depth + 1)
    elif isinstance(value, list | tuple):
        for part in value:
            _check_plain(name, part, depth + 1)


def weights_sha256(tensors: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 of the names, types, shapes and bytes of *tensors*, in the order of names.

    >>> weights_sha256({"b": np.zeros(2, np.float32)})[:8]
    '428f095c'
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()

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
TASKS = ("denoise", "dereverb", "superres", "identity")
KINDS = ("speech", "music", "any")


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
        """Refuse values that the host cannot work with."""
        for name, choices in (("task", TASKS), ("kind", KINDS)):
            if getattr(self, name) not in choices:
                raise ModelError(
                    f"card: {name} = {getattr(self, name)!r}, wanted one of {', '.join(choices)}"
                )
        for name in ("sample_rate", "window", "hop", "parameters", "lookahead", "channels"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ModelError(f"card: {name} = {value!r}, wanted a whole number >= 0")
        if not 1 <= self.hop <= self.window:
            raise ModelError(
                f"card: hop = {self.hop}, window = {self.window}, wanted 1 <= hop <= window"
            )
        if not 1_000 <= self.sample_rate <= 384_000:
            raise ModelError(f"card: sample_rate = {self.sample_rate}, wanted 1000 to 384000 Hz")

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
            values = json.loads(text)
        except (ValueError, UnicodeDecodeError) as error:
            raise ModelError(f"the model card is not JSON ({error}): export it again") from None
        if not isinstance(values, dict):
            raise ModelError("the model card is not a JSON object; export the model again")
        if values.get("schema") != SCHEMA:
            raise ModelError(
                f"the model card has schema {values.get('schema')!r}, this host reads {SCHEMA}: "
                "upgrade rtdenoise, or export the model again with this version"
            )
        keys = {f.name: f for f in fields(cls)}
        needed = {
            n for n, f in keys.items() if f.default is MISSING and f.default_factory is MISSING
        }
        if unknown := sorted(set(values) - set(keys)):
            raise ModelError(
                f"the model card has unknown keys {', '.join(unknown)}; known: {', '.join(keys)}"
            )
        if missing := sorted(needed - set(values)):
            raise ModelError(f"the model card lacks {', '.join(missing)}; export the model again")
        return cls(**values)


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

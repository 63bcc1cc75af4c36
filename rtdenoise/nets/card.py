"""The model card: what a generator is, what it was made of, how good it is. No torch here.

It travels inside the model file (JSON in the TorchScript archive's extra file `card.json`), so
nobody can lose it. Unknown keys are errors: a misspelt key would silently mean its default.
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
    """Everything the host and its user must know about a generator.

    Attributes:
        name: Short, as given to `-m`.
        task: One of `TASKS`.
        kind: One of `KINDS`.
        sample_rate: Hz at which the net works; the host resamples to it and back.
        window: N, samples per window.
        hop: H, samples between windows; H <= N.
        analysis_window: Applied before the net: `sqrt_hann`, `hann` or `rect`.
        synthesis_window: Applied after it. The product of both must overlap-add to one.
        lookahead: Samples by which the net itself delays, on top of the window.
        channels: Channels the net looks at together; 1 = every channel is a batch row.
        parameters: How many numbers were trained.
        licence: Of the weights.
        data: What it was trained on: [{"name": .., "hours": .., "licence": ..}, ...].
        metrics: {"SI-SDR dB": {"identity": 3.2, "model": 12.1}, ...}: never without its baseline.
        sha256: Of the weights, see `weights_sha256`.
        versions: {"torch": "2.13.0", "rtdenoise": ...} that made it.
        config: {"network": "spectral", ...} to rebuild it eagerly for fine-tuning.
        description: One or two sentences for people: what it is good at and what it is not.
        schema: Version of this list of fields.
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
        """Refuse values the host could not work with."""
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
        """The card as readable JSON; `from_json` gives the same card back."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Card:
        """Read a card.

        Raises:
            ModelError: not JSON, another schema version, an unknown or a missing key.
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
        known = {f.name: f for f in fields(cls)}
        needed = {
            n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING
        }
        if unknown := sorted(set(values) - set(known)):
            raise ModelError(
                f"the model card has unknown keys {', '.join(unknown)}; known: {', '.join(known)}"
            )
        if missing := sorted(needed - set(values)):
            raise ModelError(f"the model card lacks {', '.join(missing)}; export the model again")
        return cls(**values)


def weights_sha256(tensors: Mapping[str, NDArray[Any]]) -> str:
    """Hash of names, shapes and bytes of all tensors of a state dict, in the order of their names.

    >>> weights_sha256({"b": np.zeros(2, np.float32)})[:8]
    '428f095c'
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()

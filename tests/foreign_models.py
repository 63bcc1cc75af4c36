"""Model files in the forms of Neutone and nn~, made with torch alone.

tools/sdk_models.py makes the same three with the SDKs: drive.nm, late.nm and tilde.ts. (TorchScript
does not read the annotations of a class if they are texts, hence no `from __future__`.)
"""

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

DRIVE = {
    "p1": {
        "name": "Drive", "description": "how much is driven", "default_value": 0.5, "used": True,
        "type": "continuous", "min_value": 0.0, "max_value": 1.0,
    },
    "p2": {
        "name": "Output level", "description": "level after it", "default_value": 0.8,
        "used": True, "type": "continuous", "min_value": 0.0, "max_value": 1.0,
    },
}  # fmt: skip


def metadata(name: str, **said: Any) -> dict[str, Any]:
    """What neutone_sdk writes into metadata.json, with what is not read left out."""
    usual = {
        "model_name": f"rtdenoise.{name}", "model_authors": ["The rtdenoise authors"],
        "model_short_description": "A gain into a saturation.", "neutone_parameters": {},
        "native_sample_rates": [], "native_buffer_sizes": [], "sdk_version": "1.5.2",
        "pytorch_version": "2.13.0", "is_input_mono": True, "is_output_mono": True,
    }  # fmt: skip
    return usual | said


class Neutone(nn.Module):
    """The methods of the SDK's outermost module that a host calls."""

    defaults: Tensor
    past: Tensor

    def __init__(self, late: int = 0) -> None:
        super().__init__()
        self.late = late
        self.register_buffer("defaults", torch.tensor([[0.5], [0.8], [0.0], [0.0]]))
        self.register_buffer("past", torch.zeros(2, max(1, late)))

    def forward(self, x: Tensor, params: Tensor | None = None) -> Tensor:
        if params is None:
            params = self.defaults.repeat(1, x.shape[1])
        if self.late:
            both = torch.cat([self.past, x], dim=1)
            self.past.copy_(both[:, -self.late :])
            return both[:, : -self.late]
        return torch.tanh(x * (1 + 3 * params[0:1].mean())) * params[1:2].mean()

    @torch.jit.export
    def set_daw_sample_rate_and_buffer_size(
        self, rate: int, size: int, own_rate: int | None = None, own_size: int | None = None
    ) -> int:
        return sorted([size, rate])[0]

    @torch.jit.export
    def calc_model_delay_samples(self) -> int:
        return self.late

    @torch.jit.export
    def get_default_param_values(self) -> Tensor:
        return self.defaults

    @torch.jit.export
    def reset(self) -> None:
        pass  # as many models do


class Tilde(nn.Module):
    """A register of methods and attributes, as nn_tilde.Module makes it."""

    past: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.gain, self.mode, self.flip, self.pair = (2.0,), ("tanh",), (False,), (1, 0.5)
        for name, kinds in (("gain", [2]), ("mode", [3]), ("flip", [0]), ("pair", [1, 2])):
            self.register_buffer(f"{name}_params", torch.tensor(kinds))
        self.register_buffer("past", torch.zeros(1, 1, 64))
        for name, numbers in (
            ("forward", [1, 1, 1, 1]), ("sides", [2, 1, 2, 1]), ("level", [1, 1, 1, 1024])
        ):  # fmt: skip
            self.register_buffer(f"{name}_params", torch.tensor(numbers))
        self._methods = ["forward", "sides", "level"]

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([self.past, x], dim=2)
        self.past = both[:, :, -64:]
        y = both[:, :, :-64] * self.gain[0]
        if self.mode[0] == "tanh":
            y = torch.tanh(y)
        if self.flip[0]:
            y = -y
        return y * self.pair[0]

    @torch.jit.export
    def sides(self, x: Tensor) -> Tensor:
        return x.flip(1)

    @torch.jit.export
    def level(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], x.shape[1], -1, 1024).abs().mean(-1)

    @torch.jit.export
    def get_methods(self) -> list[str]:
        return self._methods

    @torch.jit.export
    def set_gain(self, x: float) -> int:
        if x < 0:
            return -1
        self.gain = (x,)
        return 0

    @torch.jit.export
    def set_mode(self, x: str) -> int:
        self.mode = (x,)
        return 0

    @torch.jit.export
    def set_flip(self, x: bool) -> int:
        self.flip = (x,)
        return 0

    @torch.jit.export
    def set_pair(self, a: int, b: float) -> int:
        self.pair = (a, b)
        return 0


def save(module: nn.Module, path: Path, said: dict[str, Any] | None = None) -> Path:
    """Write a module; with *said* as Neutone's metadata."""
    extra = {} if said is None else {"metadata.json": json.dumps(said)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(module.eval()), str(path), _extra_files=extra)
    return path


def write(folder: Path) -> None:
    """Write drive.nm, late.nm and tilde.ts."""
    said = metadata("drive", neutone_parameters=DRIVE, native_sample_rates=[48_000, 44_100])
    save(Neutone(), folder / "drive.nm", said)
    said = metadata("late", native_sample_rates=[44_100], native_buffer_sizes=[480, 2048])
    said |= {"is_input_mono": False, "is_output_mono": False}
    save(Neutone(late=100), folder / "late.nm", said)
    save(Tilde(), folder / "tilde.ts")

"""Model files as other people's SDKs write them: `python tools/sdk_models.py FOLDER`.

It needs the SDKs, which the project does not install, because they pin other libraries:

    python -m venv sdks && . sdks/bin/activate
    pip install torch numpy soundfile jsonschema requests click tqdm cached-conv
    pip install --no-deps neutone_sdk nn-tilde

neutone_sdk imports torchaudio, of which a wrapper for live sound uses nothing: an empty module
takes its place where it is not installed.
"""

# ruff: noqa: D102 - the SDKs say what their methods are
from __future__ import annotations

import importlib.util
import sys
import types
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

if importlib.util.find_spec("torchaudio") is None:
    torchaudio, transforms = types.ModuleType("torchaudio"), types.ModuleType("transforms")
    transforms.Resample = nn.Module
    torchaudio.transforms = transforms
    sys.modules.update({"torchaudio": torchaudio, "torchaudio.transforms": transforms})

import nn_tilde
from neutone_sdk import WaveformToWaveformBase
from neutone_sdk.parameter import ContinuousNeutoneParameter
from neutone_sdk.utils import save_neutone_model


class Drive(nn.Module):
    """A gain into a saturation; it has no memory."""

    def forward(self, x: Tensor, drive: Tensor, level: Tensor) -> Tensor:
        return torch.tanh(x * (1 + 3 * drive)) * level


class Late(nn.Module):
    """A delay of 100 samples, whose memory is a buffer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("past", torch.zeros(channels, 100))

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([self.past, x], dim=1)
        self.past.copy_(both[:, -100:])
        return both[:, :-100]

    @torch.jit.export
    def forget(self) -> None:
        self.past.fill_(0)


class Wrapper(WaveformToWaveformBase):
    """What all wrappers here say of themselves."""

    def get_model_name(self) -> str:
        return "rtdenoise.drive"

    def get_model_authors(self) -> list[str]:
        return ["The rtdenoise authors"]

    def get_model_short_description(self) -> str:
        return "A gain into a saturation."

    def get_model_long_description(self) -> str:
        return "A gain into a saturation, for a test."

    def get_technical_description(self) -> str:
        return "tanh"

    def get_tags(self) -> list[str]:
        return ["test"]

    def get_model_version(self) -> str:
        return "1.0.0"

    def is_experimental(self) -> bool:
        return False

    @torch.jit.export
    def is_input_mono(self) -> bool:
        return True

    @torch.jit.export
    def is_output_mono(self) -> bool:
        return True

    @torch.jit.export
    def get_native_sample_rates(self) -> list[int]:
        return [48000, 44100]

    @torch.jit.export
    def get_native_buffer_sizes(self) -> list[int]:
        return []


class DriveWrapper(Wrapper):
    """Mono, two rates, any buffer, two parameters."""

    def get_neutone_parameters(self) -> list[ContinuousNeutoneParameter]:
        return [
            ContinuousNeutoneParameter("Drive", "how much is driven", 0.5),
            ContinuousNeutoneParameter("Output level", "level after it", 0.8),
        ]

    @torch.no_grad()
    def do_forward_pass(self, x: Tensor, params: dict[str, Tensor]) -> Tensor:
        return self.model(x, params["Drive"], params["Output level"])


class LateWrapper(Wrapper):
    """Stereo, one rate, two buffer sizes, a memory and a delay that it declares."""

    def get_model_name(self) -> str:
        return "rtdenoise.late"

    @torch.jit.export
    def is_input_mono(self) -> bool:
        return False

    @torch.jit.export
    def is_output_mono(self) -> bool:
        return False

    @torch.jit.export
    def get_native_sample_rates(self) -> list[int]:
        return [44100]

    @torch.jit.export
    def get_native_buffer_sizes(self) -> list[int]:
        return [480, 2048]

    @torch.jit.export
    def calc_model_delay_samples(self) -> int:
        return 100

    @torch.jit.export
    def reset_model(self) -> bool:
        self.model.forget()
        return True

    @torch.no_grad()
    def do_forward_pass(self, x: Tensor, params: dict[str, Tensor]) -> Tensor:
        return self.model(x)


class Tilde(nn_tilde.Module):
    """Two methods, attributes of each type, and a memory in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_attribute("gain", 2.0)
        self.register_attribute("mode", "tanh")
        self.register_attribute("flip", False)
        self.register_attribute("pair", (1, 0.5))
        self.register_buffer("past", torch.zeros(4, 1, 64))  # a batch of 4 tests it
        self.register_method("forward", 1, 1, 1, 1)
        self.register_method("sides", 2, 1, 2, 1)
        self.register_method("level", 1, 1, 1, 1024)

    @torch.jit.export
    def forward(self, x: Tensor) -> Tensor:
        rows = x.shape[0]
        both = torch.cat([self.past[:rows], x], dim=2)
        self.past[:rows] = both[:, :, -64:]
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
    def get_gain(self) -> float:
        return float(self.gain[0])

    @torch.jit.export
    def set_gain(self, x: float) -> int:
        if x < 0:
            return -1
        self.gain = (x,)
        return 0

    @torch.jit.export
    def get_mode(self) -> str:
        return self.mode[0]

    @torch.jit.export
    def set_mode(self, x: str) -> int:
        self.mode = (x,)
        return 0

    @torch.jit.export
    def get_flip(self) -> bool:
        return self.flip[0]

    @torch.jit.export
    def set_flip(self, x: bool) -> int:
        self.flip = (x,)
        return 0

    @torch.jit.export
    def get_pair(self) -> tuple[int, float]:
        return (int(self.pair[0]), float(self.pair[1]))

    @torch.jit.export
    def set_pair(self, a: int, b: float) -> int:
        self.pair = (a, b)
        return 0


def write(folder: Path) -> None:
    """Write drive.nm, late.nm and tilde.ts."""
    warnings.simplefilter("ignore")
    for name, model in (("drive", DriveWrapper(Drive())), ("late", LateWrapper(Late(2)))):
        save_neutone_model(model, folder / name, speed_benchmark=False, test_offline_mode=False)
        (folder / name / "model.nm").rename(folder / f"{name}.nm")
    Tilde().export_to_ts(str(folder / "tilde.ts"))


if __name__ == "__main__":
    write(Path(sys.argv[1]))

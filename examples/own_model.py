"""Your own net in the host: a spectral gate as a TorchScript module, saved, verified and run.

python examples/own_model.py
"""

import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch

from rtdenoise import Card, Denoise, load
from rtdenoise.nets.card import EXTRA_FILE, weights_sha256
from rtdenoise.proof.verify import verify


class Gate(torch.nn.Module):
    """Follows the noise floor of each bin (its state) and turns down what is near it."""

    def __init__(self) -> None:
        super().__init__()
        self.over = torch.nn.Parameter(torch.tensor(3.0))

    @torch.jit.export
    def initial_state(self, channels: int) -> torch.Tensor:
        """Zeros: nothing heard yet."""
        return torch.zeros(channels, 513)

    def forward(
        self, windows: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Turn bins near their floor down; the state is the floor."""
        spectrum = torch.fft.rfft(windows)
        level, floor = spectrum.abs(), state
        gains = torch.empty_like(level)
        for t in range(windows.shape[1]):
            follow = torch.minimum(1.02 * floor, 0.9 * floor + 0.1 * level[:, t])
            floor = torch.where(floor > 0, follow, level[:, t])
            gains[:, t] = (1.0 - self.over * floor / (level[:, t] + 1e-9)).clamp(min=0.1)
        return torch.fft.irfft(spectrum * gains, n=windows.shape[2]), floor


warnings.filterwarnings("ignore", category=DeprecationWarning)  # torch.jit, since torch 2.11
net = Gate().eval()
sha256 = weights_sha256({name: value.numpy() for name, value in net.state_dict().items()})
# fmt: off
card = Card(name="gate", task="denoise", kind="any", sample_rate=48_000, window=1024, hop=512,
            analysis_window="sqrt_hann", synthesis_window="sqrt_hann", parameters=1,
            licence="MIT", sha256=sha256)
# fmt: on
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "gate.pt"
    torch.jit.save(torch.jit.script(net), str(path), _extra_files={EXTRA_FILE: card.to_json()})
    generator = load(path)
for check in verify(generator):
    print("ok  " if check.passed else "FAIL", check.rule)
noise = 0.1 * np.random.default_rng(0).standard_normal((1, 96_000)).astype(np.float32)
left = Denoise(generator)(noise, 48_000)[:, 48_000:]
print(f"white noise is turned down by {-20 * np.log10(left.std() / noise.std()):.1f} dB")

"""`extension`: bandwidth extension, which adds the octaves that a recording lacks.

    windows -> rfft -> running mean of each bin's power -> convolutions -> where the band ends
                    -> energies of the bands below it -> GRU layers -> energies of those above it
    low band, translated upward, whitened, at these energies -> added above the end -> irfft

The sound below the end of the band passes untouched. Translation of the low band is the excitation
of Makhoul and Berouti 1979; a net that gives the envelope above the cut-off is that of Li and Lee
2015 (ICASSP). The end of the band is found in every window, so a recording of any bandwidth can
come in. There is no lookahead.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..spectra import band_bank, running_mean_matrix, sound, spectra
from .recurrence import from_silence
from .running import running_means
from .spectral import FRAMING, HOP, RATE_HZ, SILENT, SLOWEST, WINDOW

FLAT = 4  # bins to each side over which the excitation is whitened: 420 Hz
REACH = 23  # bins; its square is not less than the number of bins
GUARD = 3  # bins below the end of the band that are no source, because a filter weakens them


class Extension(nn.Module):
    """A recurrent generator that adds sound above the end of the band.

    Windows are sqrt-Hann before and after the net.

    Args:
        hidden: Width of the recurrent layers.
        layers: Number of layers of the GRU.
        bands: Number of bands, each with an energy.
        channels: Number of channels of the convolutions that find the end of the band.
        evenness: 0 keeps the differences of the source's magnitudes, 1 makes them all equal. With
            random magnitudes even a perfect envelope has an LSD of 0.8 above the cut-off, with
            equal ones 0.6.
        least_hz: The lowest end of a band that is looked for.
        voice_hz: The bands below set the level to which energies are relative.
    """

    can_grow: tuple[str, ...] = ()
    rate_hz, window, hop, lookahead, stride = RATE_HZ, WINDOW, HOP, 0, HOP
    analysis_window = synthesis_window = "sqrt_hann"
    # Types, not strings: TorchScript reads them, so this file has no `annotations` from __future__.
    to_bands: Tensor
    to_bins: Tensor
    signs: Tensor

    def __init__(
        self,
        hidden: int = 256,
        layers: int = 2,
        bands: int = 64,
        channels: int = 8,
        evenness: float = 0.8,
        least_hz: float = 3000.0,
        voice_hz: float = 3000.0,
    ) -> None:
        super().__init__()
        bank = band_bank(bands, FRAMING)
        self.register_buffer("to_bands", bank / bank.sum(0, keepdim=True))
        self.register_buffer("to_bins", bank.t().contiguous())
        # Copies of the same bins would sound like a comb: each bin has a sign of its own.
        signs = torch.randint(0, 2, (FRAMING.bins,), generator=torch.Generator().manual_seed(1))
        self.register_buffer("signs", 2.0 * signs - 1.0)
        self.hidden, self.layers, self.bands, self.bins = hidden, layers, bands, FRAMING.bins
        self.slowest, self.silent, self.evenness = SLOWEST, SILENT, evenness
        self.least = int(np.searchsorted(FRAMING.hz, least_hz))
        self.flat, self.guard, self.reach = FLAT, GUARD, REACH
        edge_hz = torch.from_numpy(FRAMING.hz).float() @ self.to_bands
        self.voiced = int((edge_hz < voice_hz).sum())
        self.find = nn.Sequential(
            nn.Conv1d(2, channels, 17, padding=8), nn.ReLU(),
            nn.Conv1d(channels, channels, 17, padding=8), nn.ReLU(),
            nn.Conv1d(channels, 1, 17, padding=8),
        )  # fmt: skip
        self.whole = nn.Parameter(torch.full((1,), 4.0))  # evidence that the band is complete
        self.enter = nn.Linear(3 * bands, hidden)
        self.memory = nn.GRU(hidden, hidden, layers, batch_first=True)
        self.leave = nn.Linear(2 * hidden, bands)

    @torch.jit.export
    def initial_state(self, channels: int) -> Tensor:
        """Return the state before any sound, (C, S): hops so far, means of bands and bins, GRU."""
        return torch.zeros(channels, 1 + self.bands + self.bins + self.layers * self.hidden)

    def energies(self, power: Tensor) -> Tensor:
        """Return log10 energies (C, T, bands); the floor is white noise of about -107 dBFS."""
        return torch.log10(power @ self.to_bands + 1e-8)

    def level(self, mean: Tensor) -> Tensor:
        """Return the level (C, T, 1) of the voice: the mean of its bands' running means."""
        return mean[:, :, : self.voiced].mean(2, keepdim=True)

    def missing(self, long_power: Tensor, level: Tensor) -> Tensor:
        """Return, for each bin, the probability that the band ends below it: (C, T, bins).

        Args:
            long_power: Running mean of each bin's power (C, T, bins).
            level: Level of the voice (C, T, 1).
        """
        logs = torch.log10(long_power + 1e-9)
        # The maximum of a bin and all above it, which ONNX has no operator for: of 23 bins, then of
        # 23 such maxima at a distance of 23, which reach over 529 bins.
        above = functional.pad(logs, (0, self.reach * self.reach - 1), value=-9.0)
        above = functional.max_pool1d(above, self.reach, 1)
        above = functional.max_pool1d(above, self.reach, 1, 0, self.reach)
        above = functional.pad(above[:, :, 4:], (0, 4), value=-9.0)
        pair = [(logs - level) / 3, (logs - above) / 3]
        seen = torch.stack(pair, 2).clamp(-3.0, 3.0).flatten(0, 1)
        scores = self.find(seen)[:, 0].view(logs.shape)
        scores = functional.pad(scores, (0, 1))[:, :, self.least :]
        last = functional.pad(self.whole, (scores.shape[2] - 1, 0))
        ends = torch.softmax(scores + last, 2)[:, :, :-1]
        return functional.pad(torch.cumsum(ends, 2), (self.least, 0))

    def features(self, energy: Tensor, mean: Tensor, missing: Tensor) -> Tensor:
        """Return the features (C, T, 3 bands); bands above the end hold no sound, only that."""
        gone = missing @ self.to_bands
        colour = ((energy - self.level(mean)) * 0.5).clamp(-2.0, 2.0)
        news = (energy - mean).clamp(-2.0, 2.0)
        return torch.cat([colour * (1 - gone), news * (1 - gone), gone], 2)

    def decide(self, features: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Map features to log10 energies relative to the level, and update the GRU's state."""
        x = torch.relu(self.enter(features))
        y, after = self.memory(x, memory)
        return self.leave(torch.cat([y, x], 2)) - 1.5, after

    def decide_all(self, features: Tensor) -> Tensor:
        """Apply `decide` to whole excerpts from silence, for training."""
        x = torch.relu(self.enter(features))
        y: Tensor = self.leave(torch.cat([from_silence(self.memory, x), x], 2)) - 1.5
        return y

    def excitation(self, re: Tensor, im: Tensor, missing: Tensor) -> tuple[Tensor, Tensor]:
        """Translate the upper half of the band upward until all bins are full, at unit power.

        A shift by an even number of bins moves the phase by a multiple of 2 pi a hop of half a
        window, so what is translated continues from window to window.
        """
        end = (missing < 0.5).to(re.dtype).sum(2, keepdim=True) - self.guard
        shift = 2 * torch.floor(end / 4)
        bin = torch.arange(self.bins, device=re.device)
        times = torch.clamp(torch.ceil((bin - end + 1) / shift), min=0.0)
        place = (bin - shift * times).to(torch.int64)
        power = (re * re + im * im).flatten(0, 1)[:, None]
        near = functional.avg_pool1d(power, 2 * self.flat + 1, 1, self.flat, False, False)
        scale = torch.exp(
            -0.5 * (1 - self.evenness) * torch.log(near + 1e-12)
            - 0.5 * self.evenness * torch.log(power + 1e-12)
        )
        scale = scale.view(re.shape)
        return (
            (re * scale).gather(2, place) * self.signs,
            (im * scale).gather(2, place) * self.signs,
        )

    def add(
        self, re: Tensor, im: Tensor, raw: Tensor, level: Tensor, missing: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Add the excitation at the energies that `decide` gave, where the band is missing."""
        a, b = self.excitation(re, im, missing)
        logs = (raw + level).clamp(-8.0, 6.0) @ self.to_bins
        gain = torch.exp(1.1512925 * logs) * missing  # 10^(logs / 2)
        # Gains below -60 dB would only be dust upon the band that is there.
        gain = gain * (missing > 1e-3).to(gain.dtype)
        return re + gain * a, im + gain * b

    def forward(self, windows: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Extend windows (C, T, N), given the state (C, S); returns both."""
        channels = windows.shape[0]
        sizes = [1, self.bands + self.bins, self.layers * self.hidden]
        hops, mean, memory = torch.split(state, sizes, dim=1)
        spectrum = torch.view_as_real(torch.fft.rfft(windows))
        re, im = spectrum[..., 0], spectrum[..., 1]
        power = re * re + im * im
        energy = self.energies(power)
        counts = (energy.amax(2, keepdim=True) > self.silent).to(energy.dtype)
        both = torch.cat([energy, power], 2)
        both, hops, mean = running_means(both, counts, hops, mean, self.slowest)
        means, powers = torch.split(both, [self.bands, self.bins], dim=2)
        missing = self.missing(powers, self.level(means))
        hidden = memory.view(channels, self.layers, self.hidden).transpose(0, 1).contiguous()
        raw, hidden = self.decide(self.features(energy, means, missing), hidden)
        out_re, out_im = self.add(re, im, raw, self.level(means), missing)
        after = torch.cat([hops, mean, hidden.transpose(0, 1).reshape(channels, -1)], 1)
        return torch.fft.irfft(torch.complex(out_re, out_im), n=windows.shape[2]), after

    def side_by_side(self) -> dict[str, int]:
        """Return nothing: no matrix of this net consists of several maps."""
        return {}

    def see(self, re: Tensor, im: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return energies, their running means and those of the power, of whole excerpts."""
        means = running_mean_matrix(re.shape[1], self.slowest).to(re.device)
        power = re * re + im * im
        energy = self.energies(power)
        return energy, torch.matmul(means, energy), torch.matmul(means, power)

    def wave(self, x: Tensor) -> Tensor:
        """Extend whole excerpts (B, n), for training; n is a multiple of the hop."""
        with torch.autocast(x.device.type, enabled=False):
            windows = spectra(functional.pad(x, (HOP, HOP)), FRAMING)
            re, im = windows[:, 0], windows[:, 1]
            energy, means, powers = self.see(re, im)
            missing = self.missing(powers, self.level(means))
            features = self.features(energy, means, missing)
        raw = self.decide_all(features)
        with torch.autocast(x.device.type, enabled=False):
            out = self.add(re, im, raw.float(), self.level(means), missing)
            return sound(torch.stack(out, 1), FRAMING)

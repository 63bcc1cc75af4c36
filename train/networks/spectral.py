"""`spectral`: the net of `speech`, a recurrent net on the spectrum of each window.

    windows -> rfft -> features -> Linear -> GRU layers -> gains of bands, all bins
                                                        -> complex taps over time, low bins -> irfft

It has few, large operations, because each costs overhead in TorchScript. Band gains come from Valin
2018 (RNNoise, arXiv:1709.08243), complex taps over past windows of the low bins from Schroeter et
al. 2022 (DeepFilterNet, arXiv:2110.05588). Its windows have 1024 samples with a hop of 512, and it
has no lookahead.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..spectra import Framing, band_bank, fading_edge, running_mean_matrix, sound, spectra
from .recurrence import from_silence
from .running import running_means
from .shaping import shaped

WINDOW, HOP, RATE_HZ = 1024, 512, 48_000
FRAMING = Framing(WINDOW, HOP, RATE_HZ)
SLOWEST = 0.01  # least update rate of the running mean: a time constant of 100 hops, a second
SILENT = -6.0  # log10 energy of the loudest band of silence: white noise at -93 dBFS, 16-bit dither


class Spectral(nn.Module):
    """A recurrent generator on spectra, which is trainable on spectra and on waveforms.

    Windows are sqrt-Hann before and after the net. New weights make it almost the identity (gains
    0.99, taps about 0), so that clean speech passes from the first step of training on.

    The features do not depend on the level. They are log energies of bands relative to a running
    mean over a second, once to its mean over all bands (the colour), once to each band's own (what
    is new), and the low bins of the compressed spectrum at unit level.

    Args:
        hidden: Width of the recurrent layers.
        layers: Number of layers of the GRU.
        deeper: Number of layers of a second GRU above it, whose projected output is added to that
            of the first. The projection is zero at first, so a trained net without the second GRU
            can be extended by one.
        bands: Number of bands, each with an energy and a gain.
        low_bins: Number of lowest bins with complex taps; 96 reach up to 4.5 kHz.
        taps: Number of windows that the taps combine: the newest and the past.
        fading: Number of these bins, at their upper end, over which the taps fade out, so that no
            edge becomes audible where they end.
    """

    can_grow = ("deeper.", "add.", "edge")  # weights that a model to start from may lack
    rate_hz, window, hop, lookahead, stride = RATE_HZ, WINDOW, HOP, 0, HOP
    analysis_window = synthesis_window = "sqrt_hann"
    # Types, not strings: TorchScript reads them, so this file has no `annotations` from __future__.
    to_bands: Tensor
    to_bins: Tensor
    edge: Tensor

    def __init__(
        self,
        hidden: int = 288,
        layers: int = 2,
        deeper: int = 0,
        bands: int = 64,
        low_bins: int = 96,
        taps: int = 5,
        fading: int = 16,
    ) -> None:
        super().__init__()
        bank = band_bank(bands, FRAMING)
        self.register_buffer("to_bands", bank / bank.sum(0, keepdim=True))
        self.register_buffer("to_bins", bank.t().contiguous())
        self.register_buffer("edge", fading_edge(low_bins, fading))
        self.hidden, self.bands = hidden, bands
        self.layers, self.depth = layers, layers + deeper
        self.low, self.taps, self.slowest, self.silent = low_bins, taps, SLOWEST, SILENT
        self.enter = nn.Linear(2 * bands + 2 * low_bins, hidden)
        self.memory = nn.GRU(hidden, hidden, layers, batch_first=True)
        self.deeper = nn.GRU(hidden, hidden, deeper, batch_first=True) if deeper else None
        self.add = nn.Linear(hidden, hidden) if deeper else None
        self.gains = nn.Linear(2 * hidden, bands)
        self.filters = nn.Linear(2 * hidden, 2 * low_bins * taps)
        with torch.no_grad():
            self.gains.bias.fill_(3.0)
            self.gains.weight.mul_(0.5)
            self.filters.weight.mul_(0.1)
            self.filters.bias.zero_()
            if self.add is not None:
                self.add.weight.zero_()
                self.add.bias.zero_()

    @torch.jit.export
    def initial_state(self, channels: int) -> Tensor:
        """Return the state before any sound, (C, S): hops so far, means, GRU, past low bins."""
        past = 2 * (self.taps - 1) * self.low
        return torch.zeros(channels, 1 + self.bands + self.depth * self.hidden + past)

    def energies(self, re: Tensor, im: Tensor) -> Tensor:
        """Return log10 energies (C, T, bands); the floor is white noise of about -107 dBFS."""
        return torch.log10((re * re + im * im) @ self.to_bands + 1e-8)

    def features(self, re: Tensor, im: Tensor, energy: Tensor, mean: Tensor) -> Tensor:
        """Return the features (C, T, 2 bands + 2 low), given the running *mean* (C, T, bands)."""
        level = mean.mean(2, keepdim=True)
        a, b = re[:, :, : self.low], im[:, :, : self.low]
        # |X|^(0.3 - 1) to compress, and 10^(-0.15 level) = exp(-0.345 level) for unit level.
        shrink = torch.exp(-0.35 * torch.log(a * a + b * b + 1e-9) - 0.345 * (level + 1.0))
        colour = ((energy - level) * 0.5).clamp(-2.0, 2.0)
        news = (energy - mean).clamp(-2.0, 2.0)
        low_re, low_im = (a * shrink).clamp(-4.0, 4.0), (b * shrink).clamp(-4.0, 4.0)
        return torch.cat([colour, news, low_re, low_im], 2)

    def decide(self, features: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map features to raw gains (C, T, bands), raw filters (C, T, 2 taps low), GRU state."""
        x = torch.relu(self.enter(features))
        y, after = self.memory(x, memory[: self.layers].to(x.dtype))
        if self.deeper is not None and self.add is not None:
            z, later = self.deeper(y, memory[self.layers :].to(x.dtype))
            y, after = y + self.add(z), torch.cat([after, later])
        both = torch.cat([y, x], 2)
        return self.gains(both), self.filters(both), after

    def decide_all(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Apply `decide` to whole excerpts from silence, for training."""
        x = torch.relu(self.enter(features))
        y = from_silence(self.memory, x)
        if self.deeper is not None and self.add is not None:
            y = y + self.add(from_silence(self.deeper, y))
        both = torch.cat([y, x], 2)
        return self.gains(both), self.filters(both)

    def shape(
        self, re: Tensor, im: Tensor, past_re: Tensor, past_im: Tensor, gains: Tensor, raw: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Apply gains to all bins, filters to the low ones; *past* has `taps - 1` windows more."""
        return shaped(re, im, past_re, past_im, gains, raw, self.to_bins, self.edge)

    def forward(self, windows: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Restore windows (C, T, N), given the state (C, S); returns both."""
        channels, kept = windows.shape[0], self.taps - 1
        sizes = [1, self.bands, self.depth * self.hidden, kept * self.low, kept * self.low]
        hops, mean, memory, past_re, past_im = torch.split(state, sizes, dim=1)
        spectrum = torch.view_as_real(torch.fft.rfft(windows))
        re, im = spectrum[..., 0], spectrum[..., 1]
        past_re = torch.cat([past_re.view(channels, kept, -1), re[:, :, : self.low]], 1)
        past_im = torch.cat([past_im.view(channels, kept, -1), im[:, :, : self.low]], 1)

        energy = self.energies(re, im)
        counts = (energy.amax(2, keepdim=True) > self.silent).to(energy.dtype)
        means, hops, mean = running_means(energy, counts, hops, mean, self.slowest)

        hidden = memory.reshape(channels, self.depth, self.hidden).transpose(0, 1).contiguous()
        gains, filters, hidden = self.decide(self.features(re, im, energy, means), hidden)
        out_re, out_im = self.shape(re, im, past_re, past_im, gains, filters)
        memory = hidden.transpose(0, 1).reshape(channels, -1)
        past = [past_re[:, -kept:].reshape(channels, -1), past_im[:, -kept:].reshape(channels, -1)]
        after = torch.cat([hops, mean, memory, past[0], past[1]], 1)
        return torch.fft.irfft(torch.complex(out_re, out_im), n=windows.shape[2]), after

    def side_by_side(self) -> dict[str, int]:
        """Name the matrix of the filters: a map for each tap, real and imaginary."""
        return {"filters.weight": 2 * self.taps}

    def see(self, re: Tensor, im: Tensor, means: Tensor) -> Tensor:
        """Return features of whole excerpts; *means* is their `running_mean_matrix`."""
        energy = self.energies(re, im)
        return self.features(re, im, energy, torch.matmul(means, energy))

    def restore(
        self, re: Tensor, im: Tensor, gains: Tensor, filters: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Apply `shape` to whole excerpts from silence, for training."""
        past = (0, 0, self.taps - 1, 0)
        past_re = functional.pad(re[:, :, : self.low], past)
        past_im = functional.pad(im[:, :, : self.low], past)
        return self.shape(re, im, past_re, past_im, gains.float(), filters.float())

    def wave(self, x: Tensor) -> Tensor:
        """Restore whole excerpts (B, n), for training; n is a multiple of the hop.

        Under autocast only `decide_all` runs in bfloat16: spectra need float32's range and digits.
        """
        with torch.autocast(x.device.type, enabled=False):
            windows = spectra(functional.pad(x, (HOP, HOP)), FRAMING)
            re, im = windows[:, 0], windows[:, 1]
            means = running_mean_matrix(re.shape[1], self.slowest).to(x.device)
            with torch.no_grad():
                features = self.see(re, im, means)
        gains, filters = self.decide_all(features)
        with torch.autocast(x.device.type, enabled=False):
            return sound(torch.stack(self.restore(re, im, gains, filters), 1), FRAMING)

"""`banded`: a recurrent net whose weights are shared over frequency, with a small full-band GRU.

    windows -> rfft -> features -> positions x channels -> blocks -> gains of bands, all bins
                                                                  -> complex taps, low bins -> irfft
    a block: GRU over time, the same at all positions; maps over frequency; a net over channels

What the weights learn at one position on the frequency axis holds at all of them, so the net needs
a third of the weights of `spectral`. Positions on the ERB scale and the alternation of time and
frequency come from GTCRN (Rong et al. 2024, ICASSP) and FastEnhancer (2025, arXiv:2509.21867),
gains with complex taps from DeepFilterNet (Schroeter et al. 2022). After the first block a GRU
takes all positions at once. Features, running mean and contract are those of `spectral`.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..spectra import band_bank, fading_edge
from .recurrence import from_silence
from .running import running_means
from .shaping import shaped
from .spectral import FRAMING, HOP, RATE_HZ, SILENT, SLOWEST, WINDOW

NARROWEST = 2.0  # least distance of two positions in bins


def centres(positions: int) -> np.ndarray:
    """Return the centre bin of each position: equidistant in ERB, but at least two bins apart."""
    top = 21.4 * math.log10(1 + 0.00437 * RATE_HZ / 2)
    places = (10 ** (np.linspace(0, top, positions) / 21.4) - 1) / 0.00437 * WINDOW / RATE_HZ
    for at in range(1, positions):
        places[at] = max(places[at], places[at - 1] + NARROWEST)
    return np.asarray(places * (FRAMING.bins - 1) / places[-1])


def shares(positions: int, bands: int, low: int) -> tuple[list[list[int]], list[list[int]]]:
    """Assign every band, and every low bin, to the nearest position.

    Returns:
        For each position the indices of its bands, and of its low bins.
    """
    middle = centres(positions)
    peaks = band_bank(bands, FRAMING).argmax(0).numpy()
    owners = [
        np.abs(middle[:, None] - places[None]).argmin(0) for places in (peaks, np.arange(low))
    ]
    mine = [[np.flatnonzero(owner == p).tolist() for p in range(positions)] for owner in owners]
    return mine[0], mine[1]


class Block(nn.Module):
    """A residual block: a GRU over time, maps over frequency, a feed-forward net over channels.

    Below, C is the number of audio channels and F the number of positions.

    Args:
        positions: Number of positions F along frequency.
        width: Number of features of a position.
        heads: Number of groups of features, each with a map (F, F) of its own.
    """

    def __init__(self, positions: int, width: int, heads: int) -> None:
        super().__init__()
        self.positions, self.width, self.heads = positions, width, heads
        self.memory = nn.GRU(width, width)  # time comes first, which saves copies
        self.level = nn.LayerNorm(width)
        # Four dimensions make AdamW, not Muon, train the maps over frequency.
        self.maps = nn.Parameter(torch.randn(1, heads, positions, positions) / positions**0.5)
        self.mix = nn.Linear(width, width)
        self.wide = nn.Linear(width, 2 * width)
        self.back = nn.Linear(2 * width, width)

    def between(self, x: Tensor) -> Tensor:
        """Apply the layers over frequency and features to (T, C F, width)."""
        rows = x.shape[0] * x.shape[1] // self.positions
        heads = self.level(x).view(rows, self.positions, self.heads, -1).permute(2, 1, 0, 3)
        heads = heads.reshape(self.heads, self.positions, -1)
        mixed = torch.matmul(self.maps[0], heads)
        mixed = mixed.view(self.heads, self.positions, rows, -1).permute(2, 1, 0, 3)
        x = x + self.mix(torch.relu(mixed.reshape(x.shape)))
        y: Tensor = x + self.back(torch.relu(self.wide(x)))
        return y

    def forward(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the block to (T, C F, width), given the GRU's state (1, C F, width)."""
        y, after = self.memory(x, memory)
        return self.between(x + y), after

    def all(self, x: Tensor) -> Tensor:
        """Apply the block to whole excerpts from silence, for training."""
        y = from_silence(self.memory, x.transpose(0, 1))
        return self.between(x + y.transpose(0, 1))


class Banded(nn.Module):
    """A generator on spectra with weights shared over frequency, `protocol.TrainableOnSpectra`.

    Windows are sqrt-Hann before and after the net. New weights make it almost the identity, and
    its features do not depend on the level, as in `Spectral`.

    Args:
        width: Number of features of a position.
        blocks: Number of blocks.
        positions: Number of positions along frequency.
        heads: Number of maps over frequency in a block.
        whole: Units of the GRU over all positions.
        narrow: Features of a position that this GRU takes and gives back.
        bands: Number of bands, each with an energy and a gain.
        low_bins: Number of lowest bins with complex taps.
        fading: Number of these bins, at their upper end, over which the taps fade out, so that
            no edge becomes audible where they end.
        taps: Number of windows that the taps combine: the newest and the past.
    """

    can_grow: tuple[str, ...] = ()
    rate_hz, window, hop, lookahead = RATE_HZ, WINDOW, HOP, 0
    analysis_window = synthesis_window = "sqrt_hann"
    # Types, not strings: TorchScript reads them, so this file has no `annotations` from __future__.
    to_bands: Tensor
    to_bins: Tensor
    edge: Tensor
    seen: Tensor
    gain_at: Tensor
    tap_at: Tensor

    def __init__(
        self,
        width: int = 48,
        blocks: int = 3,
        positions: int = 32,
        heads: int = 4,
        whole: int = 144,
        narrow: int = 6,
        bands: int = 64,
        low_bins: int = 96,
        fading: int = 32,
        taps: int = 5,
    ) -> None:
        super().__init__()
        if width % heads or blocks < 2 or fading > low_bins:
            raise ValueError(f"width {width} / heads {heads}, {blocks} blocks (2 at least), fading")
        bank = band_bank(bands, FRAMING)
        self.register_buffer("to_bands", bank / bank.sum(0, keepdim=True))
        self.register_buffer("to_bins", bank.t().contiguous())
        self.register_buffer("edge", fading_edge(low_bins, fading))
        self.width, self.positions, self.narrow, self.bands = width, positions, narrow, bands
        self.blocks_count, self.whole_size = blocks, whole
        self.low, self.taps, self.slowest, self.silent = low_bins, taps, SLOWEST, SILENT
        band_of, bin_of = shares(positions, bands, low_bins)
        seen, gain_at, tap_at, most = _tables(band_of, bin_of, bands, low_bins, taps)
        self.register_buffer("seen", seen.flatten())
        self.register_buffer("gain_at", gain_at)
        self.register_buffer("tap_at", tap_at)
        self.most_gains, self.most_bins = most
        self.sees = seen.shape[1]
        self.decides = self.most_gains + 2 * taps * self.most_bins
        self.enter = nn.Parameter(torch.randn(1, positions, width, self.sees) * self.sees**-0.5)
        self.place = nn.Parameter(torch.zeros(1, positions, width, 1))
        self.blocks = nn.ModuleList([Block(positions, width, heads) for _ in range(blocks)])
        self.gather = nn.Linear(width, narrow)
        self.memory = nn.GRU(positions * narrow, whole)
        self.spread = nn.Linear(whole, positions * narrow)
        self.give = nn.Linear(narrow, width)
        self.level = nn.LayerNorm(width)
        leave = torch.randn(1, positions, self.decides, width) * width**-0.5
        leave[:, :, : self.most_gains] *= 0.3
        leave[:, :, self.most_gains :] *= 0.01
        offset = torch.zeros(1, positions, self.decides, 1)
        offset[:, :, : self.most_gains] = 3.0
        self.leave, self.offset = nn.Parameter(leave), nn.Parameter(offset)

    @torch.jit.export
    def initial_state(self, channels: int) -> Tensor:
        """Return the state before any sound, (C, S): hops so far, means, GRUs, past low bins."""
        memory = self.blocks_count * self.positions * self.width + self.whole_size
        past = 2 * (self.taps - 1) * self.low
        return torch.zeros(channels, 1 + self.bands + memory + past)

    def energies(self, re: Tensor, im: Tensor) -> Tensor:
        """Return log10 energies (C, T, bands); the floor is white noise of about -107 dBFS."""
        return torch.log10((re * re + im * im) @ self.to_bands + 1e-8)

    def features(self, re: Tensor, im: Tensor, energy: Tensor, mean: Tensor) -> Tensor:
        """Return the features (C, T, 1 + 2 bands + 2 low), given the running *mean*.

        The first feature is zero: it fills the places that a position does not use.
        """
        level = mean.mean(2, keepdim=True)
        a, b = re[:, :, : self.low], im[:, :, : self.low]
        shrink = torch.exp(-0.35 * torch.log(a * a + b * b + 1e-9) - 0.345 * (level + 1.0))
        colour = ((energy - level) * 0.5).clamp(-2.0, 2.0)
        news = (energy - mean).clamp(-2.0, 2.0)
        low_re, low_im = (a * shrink).clamp(-4.0, 4.0), (b * shrink).clamp(-4.0, 4.0)
        return torch.cat([torch.zeros_like(level), colour, news, low_re, low_im], 2)

    def come_in(self, features: Tensor) -> Tensor:
        """Map features (C, T, K) to positions (T, C F, width)."""
        channels, count = features.shape[0], features.shape[1]
        x = features.transpose(0, 1).reshape(count * channels, -1).t().index_select(0, self.seen)
        x = torch.matmul(self.enter[0], x.view(self.positions, self.sees, -1)) + self.place[0]
        x = torch.relu(x).permute(2, 0, 1)
        return x.reshape(count, channels * self.positions, self.width)

    def go_out(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map positions (T, C F, width) to raw gains (C, T, bands), filters (C, T, 2 taps low)."""
        count = x.shape[0]
        y = self.level(x).view(-1, self.positions, self.width).permute(1, 2, 0)
        y = torch.matmul(self.leave[0], y) + self.offset[0]
        y = y.view(self.positions * self.decides, -1)
        gains = y.index_select(0, self.gain_at).view(self.bands, count, -1)
        filters = y.index_select(0, self.tap_at).view(2 * self.taps * self.low, count, -1)
        return gains.permute(2, 1, 0), filters.permute(2, 1, 0)

    def to_whole(self, x: Tensor) -> Tensor:
        """Map positions (T, C F, width) to the input of the full-band GRU, (T, C, F narrow)."""
        y: Tensor = self.gather(x)
        return y.view(x.shape[0], -1, self.positions * self.narrow)

    def from_whole(self, x: Tensor, context: Tensor) -> Tensor:
        """Add the full-band GRU's output *context* (T, C, whole) to every position of *x*."""
        y = self.spread(context).view(x.shape[0], x.shape[1], self.narrow)
        added: Tensor = x + self.give(torch.relu(y))
        return added

    def decide(
        self, features: Tensor, memory: Tensor, whole: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Map features to raw gains and raw filters, and update the states of the GRUs.

        The state *memory* is (blocks, C F, width), and *whole* is (1, C, whole).
        """
        x = self.come_in(features)
        after = torch.jit.annotate(list[Tensor], [])
        for number, block in enumerate(self.blocks):
            x, later = block(x, memory[number : number + 1])
            after.append(later)
            if number == 0:
                context, whole = self.memory(self.to_whole(x), whole)
                x = self.from_whole(x, context)
        gains, filters = self.go_out(x)
        return gains, filters, torch.cat(after), whole

    def decide_all(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Apply `decide` to whole excerpts from silence, for training."""
        if torch.is_autocast_enabled(features.device.type):
            features = features.to(torch.get_autocast_dtype(features.device.type))
        x = self.come_in(features)
        for number, block in enumerate(self.blocks):
            x = block.all(x)  # type: ignore[operator]
            if number == 0:
                context = from_silence(self.memory, self.to_whole(x).transpose(0, 1))
                x = self.from_whole(x, context.transpose(0, 1))
        return self.go_out(x)

    def shape(
        self, re: Tensor, im: Tensor, past_re: Tensor, past_im: Tensor, gains: Tensor, raw: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Apply gains to all bins, filters to the low ones; *past* has `taps - 1` windows more."""
        return shaped(re, im, past_re, past_im, gains, raw, self.to_bins, self.edge)

    def forward(self, windows: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Restore windows (C, T, N), given the state (C, S); returns both."""
        channels, kept = windows.shape[0], self.taps - 1
        each = self.positions * self.width
        past_size = kept * self.low
        sizes = [1, self.bands, self.blocks_count * each, self.whole_size, past_size, past_size]
        hops, mean, memory, whole, past_re, past_im = torch.split(state, sizes, dim=1)
        spectrum = torch.view_as_real(torch.fft.rfft(windows))
        re, im = spectrum[..., 0], spectrum[..., 1]
        past_re = torch.cat([past_re.view(channels, kept, -1), re[:, :, : self.low]], 1)
        past_im = torch.cat([past_im.view(channels, kept, -1), im[:, :, : self.low]], 1)

        energy = self.energies(re, im)
        counts = (energy.amax(2, keepdim=True) > self.silent).to(energy.dtype)
        means, hops, mean = running_means(energy, counts, hops, mean, self.slowest)

        hidden = memory.reshape(channels, self.blocks_count, each).transpose(0, 1)
        hidden = hidden.reshape(self.blocks_count, channels * self.positions, self.width)
        gains, filters, hidden, one = self.decide(
            self.features(re, im, energy, means),
            hidden.contiguous(),
            whole.unsqueeze(0).contiguous(),
        )
        out_re, out_im = self.shape(re, im, past_re, past_im, gains, filters)
        memory = hidden.view(self.blocks_count, channels, each).transpose(0, 1)
        memory = memory.reshape(channels, -1)
        past = [past_re[:, -kept:].reshape(channels, -1), past_im[:, -kept:].reshape(channels, -1)]
        after = torch.cat([hops, mean, memory, one[0], past[0], past[1]], 1)
        return torch.fft.irfft(torch.complex(out_re, out_im), n=windows.shape[2]), after

    def side_by_side(self) -> dict[str, int]:
        """Return nothing: no matrix of this net consists of several maps."""
        return {}

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
        # Time and rows are swapped in memory, which a GPU would read at a tenth of its speed.
        gains, filters = gains.contiguous().float(), filters.contiguous().float()
        return self.shape(re, im, past_re, past_im, gains, filters)


def _tables(
    band_of: list[list[int]], bin_of: list[list[int]], bands: int, low: int, taps: int
) -> tuple[Tensor, Tensor, Tensor, tuple[int, int]]:
    """Tabulate which features a position takes and where its outputs belong.

    A position takes the features of its own bands and bins and of its neighbours', and decides
    about its own.

    Returns:
        Indices of the features of each position (positions, K), where 0 fills up; indices among
        the outputs of the gains (bands,) and of the taps (2 taps low,); and the largest number of
        bands and of bins of a position.
    """
    positions = len(band_of)
    seen: list[list[int]] = []
    for p in range(positions):
        near = range(max(0, p - 1), min(positions, p + 2))
        own_bands = [b for n in near for b in band_of[n]]
        own_bins = [b for n in near for b in bin_of[n]]
        seen.append(
            [1 + b for b in own_bands]
            + [1 + bands + b for b in own_bands]
            + [1 + 2 * bands + b for b in own_bins]
            + [1 + 2 * bands + low + b for b in own_bins]
        )
    widest = max(len(row) for row in seen)
    table = torch.tensor([row + [0] * (widest - len(row)) for row in seen])
    return table, *_places(band_of, bin_of, bands, low, taps)


def _places(
    band_of: list[list[int]], bin_of: list[list[int]], bands: int, low: int, taps: int
) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Return the last three results of `_tables`."""
    most_gains, most_bins = max(map(len, band_of)), max(map(len, bin_of))
    each = most_gains + 2 * taps * most_bins
    gain_at = torch.zeros(bands, dtype=torch.int64)
    tap_at = torch.zeros(2 * taps, low, dtype=torch.int64)
    for p in range(len(band_of)):
        for column, band in enumerate(band_of[p]):
            gain_at[band] = p * each + column
        for column, place in enumerate(bin_of[p]):
            for tap in range(2 * taps):
                tap_at[tap, place] = p * each + most_gains + tap * most_bins + column
    return gain_at, tap_at.flatten(), (most_gains, most_bins)

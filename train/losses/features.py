"""Feature losses: how differently a net that was trained for something else hears two sounds.

Kim and Sathe 2019: an autoencoder's bottleneck, mean squared difference; it needs no labels.
Germain, Chen and Koltun 2018: the first layers of a classifier, L1 difference of each over that
layer's usual loss. Its labels were DCASE's and CHiME's; here it learns what the data set's index
knows, the source of every recording. Both are trained by `python -m train features`, and frozen.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rtdenoise.errors import UsageError

from ..config import Optim, Recipe
from ..data.layouts import KINDS
from ..data.library import Library
from ..networks.germain import LossNetwork
from ..networks.mugan import Autoencoder
from ..systems.base import half, optimisers, step_by
from .wave import sounding

GERMAIN_LAYERS = 6
Loss = Callable[[Tensor, Tensor], Tensor]


def at_level(estimate: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Both (B, n) over the reference's RMS: the feature nets have heard no other level."""
    rms = (reference**2).mean(1, keepdim=True).sqrt().clamp(min=1e-4)
    return estimate / rms, reference / rms


class AutoencoderFeatures(nn.Module):
    """Mean squared difference at the bottleneck, over the energy of the reference's.

    The paper does not divide: its features have the scale its training gave them. Here the weight
    in a recipe means the same whatever the autoencoder's scale is.
    """

    def __init__(self, net: Autoencoder) -> None:
        super().__init__()
        self.net = net.requires_grad_(False).eval()

    def forward(self, estimate: Tensor, reference: Tensor) -> Tensor:
        """(B, n), (B, n) -> scalar."""
        estimate, reference = at_level(*sounding(estimate, reference))
        if not len(reference):
            return 0.0 * estimate.sum()
        wanted = self.net.encode(reference[:, None]).float()
        difference = ((self.net.encode(estimate[:, None]).float() - wanted) ** 2).mean()
        return difference / (wanted**2).mean().clamp(min=1e-12)


class GermainFeatures(nn.Module):
    """Sum over the first layers of the L1 difference, each over its usual size.

    Args:
        net: The classifier.
        warmup_steps: In which the weights are 1, and the mean losses are measured (10 epochs in the
            paper).
    """

    def __init__(self, net: LossNetwork, warmup_steps: int = 100) -> None:
        super().__init__()
        self.net, self.warmup_steps = net.requires_grad_(False).eval(), warmup_steps
        self.usual: Tensor
        self.seen: Tensor
        self.register_buffer("usual", torch.zeros(GERMAIN_LAYERS))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, estimate: Tensor, reference: Tensor) -> Tensor:
        """(B, n), (B, n) -> scalar."""
        estimate, reference = at_level(*sounding(estimate, reference))
        if not len(reference):
            return 0.0 * estimate.sum()
        pairs = zip(
            self.net.activations(estimate[:, None], GERMAIN_LAYERS),
            self.net.activations(reference[:, None], GERMAIN_LAYERS),
            strict=True,
        )
        losses = torch.stack([(a - b).abs().float().mean() for a, b in pairs])
        if self.seen < self.warmup_steps:
            self.seen += 1
            self.usual += (losses.detach() - self.usual) / self.seen
            return losses.sum()
        return (losses / self.usual.clamp(min=1e-12)).sum()


def load(kind: str, path: str, warmup_steps: int = 100) -> nn.Module:
    """A frozen feature loss (estimate, reference) -> scalar from a file `pretrain` wrote.

    Raises:
        UsageError: no such file or kind, or it holds the other kind.
    """
    if kind not in ("autoencoder", "germain"):
        raise UsageError(
            f"objective.features_from = {kind!r}; known: autoencoder, germain, discriminator"
        )
    if not Path(path).is_file():
        raise UsageError(
            f"no {kind} in {path!r} (objective.features_file); make it: "
            f"python -m train features {kind} RECIPE --cache CACHE -o {path or 'features.pt'}"
        )
    saved = torch.load(path, weights_only=True)
    if saved["kind"] != kind:
        raise UsageError(f"{path} holds a {saved['kind']}, the recipe wants a {kind}")
    net = _net(kind, saved["settings"])
    net.load_state_dict(saved["net"])
    if isinstance(net, Autoencoder):
        return AutoencoderFeatures(net)
    return GermainFeatures(net, warmup_steps)


def _net(kind: str, settings: dict[str, Any]) -> Autoencoder | LossNetwork:
    return Autoencoder(**settings) if kind == "autoencoder" else LossNetwork(**settings)


class _Sounds:
    """Excerpts of every kind of a library, and what source each comes from."""

    def __init__(self, library: Library, samples: int, batch: int) -> None:
        self.library, self.samples, self.batch = library, samples, batch
        self.kinds = [kind for kind in KINDS if library.recordings[kind]]
        # Sources of less than some seconds could not be learned: they are one label a kind.
        long_s = {
            source
            for kind in self.kinds
            for source, seconds in _lengths(library, kind).items()
            if seconds > 20
        }
        self.labels = sorted(long_s) + [f"other {kind}" for kind in self.kinds]
        self.index = {label: number for number, label in enumerate(self.labels)}

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """(B, samples), and labels (B,)."""
        rows: list[np.ndarray] = []
        labels: list[int] = []
        while len(rows) < self.batch:
            kind = self.kinds[rng.integers(len(self.kinds))]
            recordings = self.library.recordings[kind]
            source = recordings[rng.integers(len(recordings))].source
            audio = self.library.piece(kind, source, self.samples / self.library.data.rate_hz, rng)
            if audio.std() > 1e-4:
                rows.append(audio[: self.samples])
                labels.append(self.index.get(source, self.index[f"other {kind}"]))
        return torch.from_numpy(np.stack(rows)), torch.tensor(labels)


def _lengths(library: Library, kind: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for r in library.recordings[kind]:
        found[r.source] = found.get(r.source, 0.0) + (r.stop - r.start) / library.data.rate_hz
    return found


def pretrain(
    kind: str, recipe: Recipe, cache: Path, out: Path, steps: int = 500, width: float = 0.25
) -> float:
    """Train a feature net on the clean recordings of the training side, and write it to *out*.

    Args:
        kind: autoencoder or germain.
        recipe: Its data, batch and seed are used.
        cache: What `data.prepare` made.
        out: File; replaced when the net is done.
        steps: How many.
        width: Of the net; 1 is the paper's.

    Returns:
        The mean loss of the last tenth: L2 over the sound's energy, or cross entropy in nats.
    """
    torch.manual_seed(recipe.run.seed)
    torch.set_num_threads(recipe.run.threads)
    rng = np.random.default_rng(recipe.run.seed)
    library = Library(cache, recipe.data)
    samples = int(recipe.data.seconds * recipe.data.rate_hz) // 1024 * 1024
    sounds = _Sounds(library, samples, recipe.optim.batch)
    settings: dict[str, Any] = (
        {"width": width}
        if kind == "autoencoder"
        else {"labels": len(sounds.labels), "base": max(4, round(32 * width))}
    )
    net = _net(kind, settings)
    folded, both = optimisers(net, Optim(muon_lr=2e-3, lr=1e-3))
    peaks = [optimiser.param_groups[0]["lr"] for optimiser in both]
    losses: list[float] = []
    for step in range(steps):
        audio, labels = sounds.draw(rng)
        audio, _ = at_level(audio, audio)
        x = audio[:, None]
        with half(x.device):
            y = net(x).float()
        made_again = isinstance(net, Autoencoder)
        loss = ((y - x) ** 2).mean() if made_again else functional.cross_entropy(y, labels)
        net.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        share = min(1.0, 2.0 * (1.0 - step / steps))
        step_by(folded, both, [share * peak for peak in peaks])
        losses.append(float(loss.detach()))
        if step % 25 == 24:
            print(step + 1, f"{np.mean(losses[-25:]):.4f}", flush=True)
    part = out.with_name(out.name + ".new")
    torch.save({"kind": kind, "settings": settings, "net": net.state_dict()}, part)
    part.replace(out)
    return float(np.mean(losses[-max(1, steps // 10) :]))

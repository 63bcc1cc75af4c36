"""A run becomes a file the host loads: TorchScript with the card inside.

The only file of the training system that meets torch.jit, as the host's is nets/torchscript.py. It
refuses what the host would be sorry for: scripted != eager, streamed != whole, a card with gaps.
"""

from __future__ import annotations

import json
import os
import platform
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rtdenoise.errors import ModelError, UsageError
from rtdenoise.nets import torchscript as generator
from rtdenoise.nets.card import EXTRA_FILE, Card, weights_sha256

from .. import networks
from ..config import stored
from ..errors import ArgumentError
from ..networks.protocol import Trainable
from .checkpoint import CHECKPOINT

TOLERANCE = 1e-5


def export(runs: Path | Sequence[Path], out: Path, metrics: Path | None = None) -> Card:
    """Write the averaged weights of a run, or the mean of several runs', to *out*.

    Runs that began with the same weights and saw other examples average to a net better than each
    (Wortsman et al. 2022, model soups, arXiv:2203.05482): a way to use cores that share nothing.
    So do a run and what it began with (the same, 2021, robust fine-tuning, arXiv:2109.01903).

    Args:
        runs: A folder of `loop.fit`, or several, of one [net].
        out: The model file; replaced in one step when everything was proved.
        metrics: JSON {"SI-SDR dB": {"identity": 3.1, "model": 12.0, ...}, ...} for the card.

    Raises:
        UsageError: no checkpoint there, runs that do not go together, or metrics without their
            identity baseline.
        ModelError: the net breaks the contract; the message says where.
    """
    folders = [runs] if isinstance(runs, Path) else list(runs)
    checkpoints = [_checkpoint(run) for run in folders]
    saved = checkpoints[0]
    for run, other in zip(folders, checkpoints, strict=True):
        if other["recipe"]["net"] != saved["recipe"]["net"]:
            raise UsageError(f"{run} has another [net] than {folders[0]}: their mean is no net")
        # The same ancestors, or the one began with what became of the other: one valley.
        shared = min(len(other["ancestors"]), len(saved["ancestors"]))
        if len(folders) > 1 and (
            not shared or other["ancestors"][:shared] != saved["ancestors"][:shared]
        ):
            raise ArgumentError(
                f"{run} and {folders[0]} did not begin with the same weights: their mean is no net",
                "start",
            )
    recipe = stored(saved["recipe"])
    net = networks.make(**recipe.net)
    averages = [other["system"]["average"] for other in checkpoints]
    net.load_state_dict({name: _mean([a[name] for a in averages]) for name in averages[0]})
    scores = json.loads(metrics.read_text()) if metrics else {}
    if bare := [name for name, values in scores.items() if "identity" not in values]:
        raise UsageError(f"{metrics}: {', '.join(bare)} has no 'identity' value beside it")
    weights = {name: value.numpy() for name, value in net.state_dict().items()}
    card = Card(
        name=recipe.name,
        task=recipe.task,
        kind=recipe.kind,
        sample_rate=net.rate_hz,
        window=net.window,
        hop=net.hop,
        analysis_window=net.analysis_window,
        synthesis_window=net.synthesis_window,
        lookahead=net.lookahead,
        parameters=sum(p.numel() for p in net.parameters()),
        licence=recipe.licence,
        sha256=weights_sha256(weights),
        data=saved["data"],
        metrics=scores,
        versions={
            "torch": str(torch.__version__),
            "rtdenoise": version("rtdenoise"),
            "python": platform.python_version(),
        },
        config={
            **recipe.as_dict()["net"],
            "recipe": recipe.as_dict(),
            "ancestors": saved["ancestors"],
            "steps": sum(other["step"] for other in checkpoints),
            "training_minutes": round(sum(other["spent_s"] for other in checkpoints) / 60, 1),
            "runs": len(checkpoints),
        },
        description=recipe.description,
    )
    write(net, card, out)
    return Card.from_json(card.to_json())  # as the file holds it: JSON has lists, no tuples


def _checkpoint(run: Path) -> dict[str, Any]:
    if not (run / CHECKPOINT).is_file():
        raise ArgumentError(f"no {CHECKPOINT} in {run}", "run")
    saved: dict[str, Any] = torch.load(run / CHECKPOINT, weights_only=False, map_location="cpu")
    return saved


def _mean(values: list[Tensor]) -> Tensor:
    """Of one parameter; counters of batch norms are the first's."""
    return torch.stack(values).mean(0) if values[0].is_floating_point() else values[0]


def write(net: Trainable, card: Card, out: Path) -> None:
    """Script *net*, prove it, and put it with its card into *out*.

    Raises:
        ModelError: scripted != eager, T windows != T calls, a gap in the card, or whatever the
            host itself finds when it loads the file.
    """
    if missing := [name for name in ("data", "config", "versions") if not getattr(card, name)]:
        raise ModelError(f"the card of {card.name!r} lacks {', '.join(missing)}")
    net.eval()
    fresh = out.with_name(out.name + ".new")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*torch.jit.*", DeprecationWarning)
            scripted: Any = torch.jit.script(net)
            _prove(net, scripted, card)
            torch.jit.save(scripted, str(fresh), _extra_files={EXTRA_FILE: card.to_json()})
        generator.load(fresh)
        os.replace(fresh, out)  # noqa: PTH105 - atomic on every system
    finally:
        fresh.unlink(missing_ok=True)


def _prove(net: Trainable, scripted: Any, card: Card) -> None:
    """Run the three ways of running it on the same noise."""
    torch.manual_seed(0)
    # Windows of one stream, as the host cuts them: nets may count on their overlap.
    count = 30 if card.window <= 4096 else 4
    stream = 0.1 * torch.randn(2, card.hop * (count + 1))
    windows = stream.unfold(1, card.window, card.hop).contiguous()
    with torch.inference_mode():
        eager = run_whole(net, net.initial_state, windows)
        whole = run_whole(scripted, scripted.initial_state, windows)
        streamed = run_streamed(scripted, scripted.initial_state, windows)
    for name, other in (("scripted != eager", eager), ("streamed != whole", streamed)):
        off = float((whole - other).abs().max())
        if not off <= TOLERANCE:
            raise ModelError(f"{card.name!r}: {name}, by {off:.2g} (wanted <= {TOLERANCE:g})")


Net = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def run_whole(net: Net, initial_state: Callable[[int], Tensor], windows: Tensor) -> Tensor:
    """All windows in one call."""
    return net(windows, initial_state(windows.shape[0]))[0]


def run_streamed(net: Net, initial_state: Callable[[int], Tensor], windows: Tensor) -> Tensor:
    """One window a call, as the microphone gives them."""
    state, parts = initial_state(windows.shape[0]), []
    for t in range(windows.shape[1]):
        part, state = net(windows[:, t : t + 1], state)
        parts.append(part)
    return torch.cat(parts, 1)

"""A model file of TorchScript as one of ONNX, with the same card and the same samples.

The net is rebuilt from the card and the weights of the file, in the form of `onnx_form`. The new
file is refused if its samples are not those of the old one.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
import torch

from rtdenoise.audio import Samples
from rtdenoise.core.stage import process, pump
from rtdenoise.core.stream import Stream
from rtdenoise.errors import LONGEST_REASON, ModelError, UsageError, last_line, printable
from rtdenoise.nets import box
from rtdenoise.nets.card import EXTRA_FILE, Card, weights_sha256
from rtdenoise.nets.line import Line
from rtdenoise.nets.net import Net
from rtdenoise.nets.torchscript import Generator

from .. import networks
from ..extras import needed
from ..networks.protocol import Trainable
from .onnx_form import OPSET, Portable

TOLERANCE = 1e-4  # of full scale
SECONDS = 30.0  # length of each sound that both files have to process equally
CLIPS = Path(__file__).parents[2] / "examples" / "audio"
NOTES = ("value_info", "metadata_props", "doc_string")  # of the exporter, with its folders


def convert(model: str | Path, out: Path) -> Card:
    """Write the TorchScript model *model* as the ONNX file *out*.

    Args:
        model: Name of a model in the box, or path of a model file.
        out: ONNX file, which is replaced in a single operation after all checks.

    Returns:
        The card in the new file.

    Raises:
        UsageError: a package is missing, or *out* is not named as an ONNX file.
        ModelError: the model is no TorchScript model of one of the networks, its net cannot be
            exported, or the new file gives other samples.
    """
    if out.suffix.lower() != box.ONNX:
        raise UsageError(f"{out}: wanted a name that ends in .onnx, by which the host knows it")
    needed("onnxscript", "train")
    before = box.find(box.original(model))
    if not isinstance(before, Generator):
        raise ModelError(f"{model} is no TorchScript model: its net cannot be rebuilt")
    fresh = out.with_name(f"{out.name}.new.onnx")
    try:
        card = _write(rebuilt(before), before.card, fresh)
        _compare(before, box.load(fresh), SECONDS)
        os.replace(fresh, out)  # noqa: PTH105 - atomic on every system
    finally:
        fresh.unlink(missing_ok=True)
    return card


def rebuilt(model: Generator) -> Trainable:
    """Make the net of a model from the settings of its card, with its weights.

    Raises:
        ModelError: the card does not say which network it is, or the weights are those of another.
    """
    config = model.card.config
    name = config.get("network")
    if name not in networks.MAKERS:
        raise ModelError(
            f"the card of {model.card.name!r} names no network of this version, of which the net "
            f"could be rebuilt: {', '.join(sorted(networks.MAKERS))}"
        )
    known = signature(networks.MAKERS[name]).parameters
    net = networks.make(name, **{key: value for key, value in config.items() if key in known})
    try:
        net.load_state_dict({key: torch.from_numpy(w) for key, w in model.weights().items()})
    except RuntimeError as error:
        raise ModelError(
            f"the weights of {model.card.name!r} are not those of its card's network "
            f"({last_line(error)})"
        ) from None
    return net.eval()


def _write(net: Trainable, card: Card, out: Path) -> Card:
    """Write *net* to *out* with its card, which gets the hash of the weights in the new form."""
    onnx: Any = needed("onnx", "train")
    start = net.initial_state(2)
    if start.any():
        raise ModelError(f"{card.name!r}: its state begins with other values than zeros")
    model = _traced(Portable(net).eval(), (torch.zeros(2, 5, card.window), start))
    graph, make = model.graph, onnx.helper.make_tensor_value_info
    del graph.input[:], graph.output[:]
    for names, put in ((("windows", "state"), graph.input), (("restored", "after"), graph.output)):
        put.append(make(names[0], onnx.TensorProto.FLOAT, ["C", "T", card.window]))
        put.append(make(names[1], onnx.TensorProto.FLOAT, ["C", start.shape[1]]))
    for part in (model, graph, *graph.node, *graph.initializer):
        for note in NOTES:
            if note in part.DESCRIPTOR.fields_by_name:
                part.ClearField(note)
    weights = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    card = replace(
        card,
        sha256=weights_sha256(weights),
        versions={**card.versions, "onnx": str(onnx.__version__)},
        config={**card.config, "torchscript_sha256": card.sha256},
    )
    onnx.helper.set_model_props(model, {EXTRA_FILE: card.to_json()})
    onnx.checker.check_model(model)
    out.write_bytes(model.SerializeToString())
    return card


def _traced(net: Portable, examples: tuple[torch.Tensor, torch.Tensor]) -> Any:
    """Return the ONNX model of *net* for any number of channels and windows.

    Raises:
        ModelError: torch cannot follow the net, or the number of windows would be fixed.
    """
    optimizer: Any = needed("onnxscript.optimizer", "train")
    channels, count = torch.export.Dim("C", min=1), torch.export.Dim("T", min=1)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of torchvision, if absent
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of torch about torch
            program = torch.export.export(
                net,
                examples,
                dynamic_shapes=({0: channels, 1: count}, {0: channels}),
                prefer_deferred_runtime_asserts_over_guards=True,  # not all can be proved for all T
            )
            # Its optimiser takes an addition of 1e-8 for one of nothing, and log(0) would follow.
            exported: Any = torch.onnx.export(
                program,
                input_names=["windows", "state"],
                output_names=["restored", "after"],
                opset_version=OPSET,
                optimize=False,
                verbose=False,
            )
        optimizer.fold_constants(exported.model)
        optimizer.remove_unused_nodes(exported.model)
        return exported.model_proto
    except Exception as error:  # a net may use anything that torch cannot export
        reason = printable(str(error).partition("\n")[0][:LONGEST_REASON])
        raise ModelError(f"torch cannot export the net to ONNX: {reason}") from None


def _compare(before: Net, after: Net, seconds: float) -> None:
    """Check that both nets give the same samples, in large blocks and hop by hop.

    Raises:
        ModelError: they do not.
    """
    for name, rate, audio in sounds(before.card.sample_rate, seconds):
        hop = round(before.card.hop * rate / before.card.sample_rate)
        stream, hops = Stream(rate, len(audio)), range(hop, audio.shape[1], hop)
        wanted = process(Line(before, stream), audio)
        streamed = pump(np.split(audio, hops, axis=1), Line(after, stream))
        for way, got in (
            ("in large blocks", process(Line(after, stream), audio)),
            ("hop by hop", np.concatenate(list(streamed), axis=1)),
        ):
            off = float(np.abs(got - wanted).max())
            if not off <= TOLERANCE:
                raise ModelError(
                    f"{before.card.name!r}: ONNX != TorchScript on {name} {way}, by {off:.2g} "
                    f"(at most {TOLERANCE:g})"
                )


def sounds(rate: int, seconds: float) -> Iterator[tuple[str, int, Samples]]:
    """Yield sounds for a comparison: name, rate, samples.

    They are two channels of real speech at 44.1 kHz, and noise at *rate* that rises from -80 dBFS
    to full scale, with a pause.
    """
    voice, at = sf.read(CLIPS / "noisy_stereo_44k.flac", dtype="float32")
    yield "speech", at, np.ascontiguousarray(np.resize(voice, (int(seconds * at), 2)).T)
    count = int(seconds * rate)
    noise = np.random.default_rng(0).standard_normal((1, count)) * np.geomspace(1e-4, 1, count)
    noise[:, count // 3 : count // 2] = 0
    yield "noise", rate, noise.clip(-1, 1).astype(np.float32)

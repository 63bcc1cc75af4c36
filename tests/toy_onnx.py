"""Small nets as ONNX files, made without torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper as make, numpy_helper

from rtdenoise.nets.card import EXTRA_FILE, weights_sha256
from tests.toy_nets import Smoother, card_for

F32 = TensorProto.FLOAT
WINDOWS, STATE = ["C", "T", 1024], ["C", 1]


def smoother() -> Any:
    """The net `toy_nets.Smoother`: a loop over the windows, whose state is a level."""
    body = make.make_graph(
        [
            make.make_node("Abs", ["window"], ["loud"]),
            make.make_node("ReduceMean", ["loud"], ["now"], axes=[1]),
            make.make_node("Sub", ["now", "level"], ["change"]),
            make.make_node("Mul", ["change", "speed"], ["part"]),
            make.make_node("Add", ["level", "part"], ["next"]),
            make.make_node("Mul", ["next", "ten"], ["scaled"]),
            make.make_node("Add", ["scaled", "one"], ["divisor"]),
            make.make_node("Div", ["window", "divisor"], ["quieter"]),
        ],
        "hop",
        [value("level", STATE), value("window", ["C", 1024])],
        [value("next", STATE), value("quieter", ["C", 1024])],
    )
    loop = make.make_node(
        "Scan",
        ["state", "windows"],
        ["after", "restored"],
        body=body,
        num_scan_inputs=1,
        scan_input_axes=[1],
        scan_output_axes=[1],
    )
    return model([loop], {"speed": [0.3], "one": [1.0], "ten": [10.0]})


def value(name: str, shape: list[Any], kind: int = F32) -> Any:
    """An input or an output of a graph."""
    return make.make_tensor_value_info(name, kind, shape)


def model(nodes: list[Any], weights: dict[str, Any], **parts: Any) -> Any:
    """A model with the inputs and outputs of the contract, from windows and state."""
    graph = make.make_graph(
        nodes,
        "net",
        parts.get("inputs", [value("windows", WINDOWS), value("state", STATE)]),
        parts.get("outputs", [value("restored", WINDOWS), value("after", STATE)]),
        [numpy_helper.from_array(np.asarray(w, np.float32), name) for name, w in weights.items()],
    )
    return make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)


def save_onnx(net: Any, path: Path, card: str | None = None, **changes: Any) -> Path:
    """Write *net* with a card that fits it, or with the text *card* ("": with none)."""
    if card is None:
        try:
            weights = {each.name: numpy_helper.to_array(each) for each in net.graph.initializer}
        except Exception:  # a tensor on purpose wrong: its file is refused before the hash
            weights = {}
        fitting = replace(card_for(Smoother()), name="smoother", sha256=weights_sha256(weights))
        card = replace(fitting, **changes).to_json()
    if card:
        net.metadata_props.append(onnx.StringStringEntryProto(key=EXTRA_FILE, value=card))
    path.write_bytes(net.SerializeToString())
    return path

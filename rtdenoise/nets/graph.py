"""An ONNX file, as strangers may have made it; nothing in it runs here.

It is one message of protobuf: a graph of operators, numbers, and the card as the metadata
`card.json`. `checked` returns new bytes for ONNX Runtime, which hold only what was checked.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import ModelError, last_line, printable
from .card import EXTRA_FILE, Card, weights_sha256

MOST_BYTES = 1 << 30
MOST_NODES = 50_000
STANDARD = ("", "ai.onnx")  # the operators of ONNX itself, which compute and do nothing else
# Bytes of an element, by the names of TensorProto's types; others (texts, numbers of 4 bits) are
# refused.
SIZES = {
    "FLOAT": 4, "DOUBLE": 8, "FLOAT16": 2, "BFLOAT16": 2, "BOOL": 1, "INT8": 1, "UINT8": 1,
    "INT16": 2, "UINT16": 2, "INT32": 4, "UINT32": 4, "INT64": 8, "UINT64": 8,
}  # fmt: skip
TYPED = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")
ATTRIBUTES = ("FLOAT", "INT", "STRING", "TENSOR", "GRAPH", "FLOATS", "INTS", "STRINGS")


class Graph:
    """The content of an ONNX file.

    Args:
        path: The file.

    Attributes:
        path: The file.
        card: The card in it.

    Raises:
        ModelError: If there is no such file, it is damaged, it has no card or a wrong one, or the
            package onnx is not installed.
    """

    def __init__(self, path: Path) -> None:
        if not os.path.isfile(path):
            raise ModelError(
                f"there is no model file {path}. Models in the box have names, not paths."
            )
        onnx = needed("onnx", path)
        self.path, self._onnx = path, onnx
        if (size := path.stat().st_size) > MOST_BYTES:
            raise ModelError(
                f"{path} has {size / 1e9:.1f} GB, wanted at most {MOST_BYTES / 1e9:.1f}"
            )
        self._model: Any = onnx.ModelProto()
        try:
            self._model.ParseFromString(path.read_bytes())
        except Exception as error:  # protobuf has errors of its own, by version
            raise _damaged(path, last_line(error)) from None
        if not self._model.graph.node:
            raise _damaged(path, "it has no graph")
        cards = [prop.value for prop in self._model.metadata_props if prop.key == EXTRA_FILE]
        if len(cards) != 1:
            raise ModelError(
                f"{path} has {'no card' if not cards else 'several cards'}. Put it into the "
                f"metadata as {EXTRA_FILE!r}; rtdenoise.Card lists the fields."
            )
        self.card = Card.from_json(cards[0])

    def checked(self) -> bytes:
        """Return a new file with the graph alone, after a check of all of it.

        Raises:
            ModelError: If the graph reads other files, uses operators that are not ONNX's own, has
                tensors of another size than their bytes, or its weights are not the card's.
        """
        try:
            self._check_model()
            weights = {each.name: self._array(each) for each in self._model.graph.initializer}
        except ModelError as error:
            raise ModelError(
                f"{self.path} was not run: {error}. docs/models-from-strangers.md says what an "
                "ONNX file may hold"
            ) from None
        if (digest := weights_sha256(weights)) != self.card.sha256:
            raise ModelError(
                f"{self.path}: the weights are not those of the card (sha256 {digest[:12]}, card "
                f"{self.card.sha256[:12]}). The file was changed or damaged: fetch or export it "
                "again."
            )
        new = self._onnx.ModelProto(ir_version=self._model.ir_version)
        new.opset_import.extend(self._model.opset_import)
        new.graph.CopyFrom(self._model.graph)
        new.graph.ClearField("value_info")  # ONNX Runtime finds the shapes itself
        new.graph.ClearField("metadata_props")
        new.DiscardUnknownFields()
        written: bytes = new.SerializeToString()
        return written

    def _check_model(self) -> None:
        model = self._model
        for name in ("functions", "training_info"):
            if getattr(model, name):
                raise ModelError(f"it has {name.replace('_', ' ')}")
        for opset in model.opset_import:
            if opset.domain not in STANDARD:
                raise ModelError(f"it uses operators of {_told(opset.domain)}")
        seen = 0
        for graph in self._graphs(model.graph):
            seen += len(graph.node)
            if seen > MOST_NODES:
                raise ModelError(f"it has more than {MOST_NODES} operators")
            if graph.sparse_initializer or graph.quantization_annotation:
                raise ModelError("it has sparse or quantized tensors")
            for tensor in graph.initializer:
                self._check_tensor(tensor)
            for node in graph.node:
                self._check_node(node)

    def _graphs(self, graph: Any) -> Iterator[Any]:
        """Yield *graph*, and all graphs in its loops and branches."""
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    yield from self._graphs(attribute.g)

    def _check_node(self, node: Any) -> None:
        if node.domain not in STANDARD:
            raise ModelError(f"it uses {_told(node.op_type)} of {_told(node.domain)}")
        for attribute in node.attribute:
            self._check_attribute(node.op_type, attribute)

    def _check_attribute(self, operator: str, attribute: Any) -> None:
        kinds = self._onnx.AttributeProto.AttributeType
        kind = kinds.Name(attribute.type) if attribute.type in kinds.values() else "unknown"
        odd = attribute.graphs or attribute.tensors or attribute.ref_attr_name
        if kind not in ATTRIBUTES or odd or attribute.HasField("g") != (kind == "GRAPH"):
            raise ModelError(f"its {_told(operator)} has an attribute that is {kind}")
        if attribute.HasField("t"):
            self._check_tensor(attribute.t)

    def _check_tensor(self, tensor: Any) -> None:
        """Check that all values of a tensor are in the file, and as many as its shape says."""
        kinds = self._onnx.TensorProto.DataType
        kind = kinds.Name(tensor.data_type) if tensor.data_type in kinds.values() else "unknown"
        name = _told(tensor.name)
        if tensor.data_location or tensor.external_data:
            raise ModelError(f"its tensor {name} is in another file")
        if kind not in SIZES or tensor.HasField("segment"):
            raise ModelError(f"its tensor {name} is {kind}, wanted whole ones of numbers")
        if any(size < 0 for size in tensor.dims):
            raise ModelError(f"its tensor {name} has a negative size")
        counts = [len(getattr(tensor, field)) for field in TYPED]
        there = len(tensor.raw_data) / SIZES[kind] + sum(counts)
        if math.prod(tensor.dims) != there or len([c for c in counts if c]) > 1:
            shape = tuple(tensor.dims)
            raise ModelError(f"its tensor {name} {shape} has {there:g} values in the file")

    def _array(self, tensor: Any) -> Any:
        try:
            return self._onnx.numpy_helper.to_array(tensor)
        except Exception as error:  # its values are where its type does not have them
            raise ModelError(f"its tensor {_told(tensor.name)}: {last_line(error)}") from None


def needed(name: str, path: Path) -> Any:
    """Import a package that only ONNX files need.

    Raises:
        ModelError: If it is not installed.
    """
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        raise ModelError(
            f"{printable(path)}: ONNX files need the package {name}: pip install {name}"
        ) from None


def _damaged(path: Path, reason: str) -> ModelError:
    """Return the error of a file that is no ONNX file, or not a whole one."""
    return ModelError(
        f"{path} is not an ONNX file, or it is damaged ({reason}). Wanted: a file that "
        "`python -m train export` made, or another with a card in its metadata."
    )


def _told(text: str) -> str:
    """Return a text of the file as a terminal may get it."""
    return printable(repr(text[:80]))

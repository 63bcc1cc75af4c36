"""Measure what smaller weights would bring a model in ONNX Runtime, for a table in docs/models.md.

    python tools/small_weights.py rtdenoise/models/speech.onnx FOLDER

Four forms of the model are written to FOLDER:

    int8.onnx     Weights are int8 with a scale a row. ONNX Runtime then rounds what they are
                  multiplied with to int8, too, with a scale for 32 values of one window.
    rounded.onnx  The same weights as float32: the samples of int8 weights with float32 sums.
    bfloat16.onnx The same, and what the matrices are multiplied with is rounded to bfloat16, except
                  within a GRU. Its times mean nothing: it shows what such a rounding does to cuts.
    bare.onnx     All large matrices are left out: the time of a hop if weights cost nothing.

The first table has whole hops, as tools/runtimes.py measures them, and the samples: their
distance to those of float32, and the largest difference between hops and large blocks. The second
table has the large products of one hop alone, one hop a period. All take turns in every round.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numba
import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper as make, numpy_helper as arrays
from runtimes import file, tight

from rtdenoise.core.stage import process, pump
from rtdenoise.core.stream import Stream
from rtdenoise.nets import box
from rtdenoise.nets.card import EXTRA_FILE, Card, weights_sha256
from rtdenoise.nets.line import Line
from rtdenoise.nets.net import Net
from rtdenoise.proof.bench import paced_timing
from train.run.onnx_file import sounds

LARGE = 50_000  # values of a matrix that counts as large
PERIOD_S = 512 / 48_000
HEADS = (
    "tight hop, CPU ms", "paced hop, CPU ms", "paced p99, CPU ms", "file, CPU ms a s",
    "speech to float32, dB", "largest difference by cuts",
)  # fmt: skip
STEP = """
step (float[C, H] h, float[C, G] x) => (float[C, H] after, float[C, H] y) {
  r = DequantizeLinear<axis = 1>(q, s)
  hr = MatMul(h, r)
  hzr, hn = Split<axis = 1>(hr, sizes)
  xzr, xn = Split<axis = 1>(x, sizes)
  sums = Add(hzr, xzr)
  gates = Sigmoid(sums)
  z, reset = Split<axis = 1, num_outputs = 2>(gates)
  shifted = Add(hn, bias)
  kept = Mul(reset, shifted)
  sum = Add(kept, xn)
  new = Tanh(sum)
  change = Sub(h, new)
  part = Mul(z, change)
  after = Add(new, part)
  y = Identity(after)
}
"""


def rounded(matrix: Any) -> tuple[Any, Any]:
    """Return (K, N) as int8, and the scales (N,) of its columns."""
    scales = np.abs(matrix).max(0) / 127 + np.float32(1e-30)
    return np.rint(matrix / scales).astype(np.int8), scales.astype(np.float32)


def dequantized(matrix: Any) -> Any:
    """Return (K, N) as float32 that int8 and scales of columns can hold."""
    values, scales = rounded(matrix)
    return values * scales


class Form:
    """A copy of a model in which the large matrices are in another form."""

    def __init__(self, model: Any) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        self.graph = self.model.graph
        self.weights = {each.name: arrays.to_array(each) for each in self.graph.initializer}
        nodes = list(self.graph.node)
        del self.graph.node[:]
        for node in nodes:
            large = len(node.input) > 1 and self.weights.get(node.input[1], np.empty(0)).size
            put = {"MatMul": self.product, "GRU": self.recurrence}.get(node.op_type)
            if put is not None and large > LARGE and not node.input[1].startswith("fourier."):
                put(node)
            else:
                self.graph.node.append(node)

    def product(self, node: Any) -> None:
        """Put a MatMul, whose second input is a large matrix."""
        raise NotImplementedError

    def recurrence(self, node: Any) -> None:
        """Put a GRU."""
        raise NotImplementedError

    def add(self, operator: str, inputs: list[str], *outputs: str, **attributes: Any) -> None:
        """Put an operator."""
        self.graph.node.append(make.make_node(operator, inputs, outputs, **attributes))

    def keep(self, name: str, value: Any) -> str:
        """Put a weight, and return its name."""
        self.weights[name] = value
        return name

    def save(self, path: Path) -> Path:
        """Write the model with the weights that it uses, and the hash of these in its card."""
        used = {name for node in self.graph.node for name in node.input}
        kept = {name: value for name, value in self.weights.items() if name in used}
        del self.graph.initializer[:]
        self.graph.initializer.extend(arrays.from_array(v, name) for name, v in kept.items())
        (text,) = (prop.value for prop in self.model.metadata_props if prop.key == EXTRA_FILE)
        card = replace(Card.from_json(text), sha256=weights_sha256(kept))
        make.set_model_props(self.model, {EXTRA_FILE: card.to_json()})
        onnx.checker.check_model(self.model)
        path.write_bytes(self.model.SerializeToString())
        return path


class Int8(Form):
    """See int8.onnx above. A GRU becomes a product and a loop: its operator has no int8."""

    def product(self, node: Any) -> None:
        """See `Form.product`."""
        self._product(node.input[0], self.weights[node.input[1]], node.output[0])

    def _product(self, x: str, matrix: Any, out: str) -> None:
        values, scales = rounded(matrix)
        inputs = [self.keep(f"{out}.q", values), self.keep(f"{out}.s", scales)]
        self.add("DequantizeLinear", inputs, f"{out}.w", axis=1)
        self.add("MatMul", [x, f"{out}.w"], out)

    def recurrence(self, node: Any) -> None:
        """See `Form.recurrence`."""
        x, *names, _, start = node.input
        y, after = node.output
        w, r, b = (self.weights[name][0] for name in names)
        size = r.shape[1]
        b_in, b_back = np.split(b, 2)
        b_in = b_in + np.concatenate([b_back[: 2 * size], 0 * b_back[2 * size :]])
        zero, one = (self.keep(f"axis{at}", np.array([at])) for at in range(2))
        self._product(x, w.T, f"{y}.x")
        self.add("Add", [f"{y}.x", self.keep(f"{y}.b", b_in)], f"{y}.sum")
        self.add("Squeeze", [start, zero], f"{y}.start")
        step = onnx.parser.parse_graph(STEP)
        inside = dict(zip("qs", rounded(r.T), strict=True))
        inside |= {"bias": b_back[2 * size :], "sizes": np.array([2 * size, size])}
        step.initializer.extend(arrays.from_array(value, name) for name, value in inside.items())
        loop = [f"{y}.after", f"{y}.y"]
        self.add("Scan", [f"{y}.start", f"{y}.sum"], *loop, body=step, num_scan_inputs=1)
        self.add("Unsqueeze", [f"{y}.after", zero], after)
        self.add("Unsqueeze", [f"{y}.y", one], y)


class Rounded(Form):
    """See rounded.onnx above."""

    def product(self, node: Any) -> None:
        """See `Form.product`."""
        self.weights[node.input[1]] = dequantized(self.weights[node.input[1]])
        self.graph.node.append(node)

    def recurrence(self, node: Any) -> None:
        """See `Form.recurrence`."""
        for name in node.input[1:3]:
            self.weights[name] = dequantized(self.weights[name][0].T).T[None].copy()
        self.graph.node.append(node)


class Brief(Rounded):
    """See bfloat16.onnx above."""

    def product(self, node: Any) -> None:
        """See `Form.product`."""
        self._round_input(node)
        super().product(node)

    def recurrence(self, node: Any) -> None:
        """See `Form.recurrence`."""
        self._round_input(node)
        super().recurrence(node)

    def _round_input(self, node: Any) -> None:
        brief, back = (f"{node.output[0]}.{name}" for name in ("brief", "back"))
        self.add("Cast", [node.input[0]], brief, to=onnx.TensorProto.BFLOAT16)
        self.add("Cast", [brief], back, to=onnx.TensorProto.FLOAT)
        node.input[0] = back


class Bare(Form):
    """See bare.onnx above: a product becomes one of two vectors, a GRU returns its input."""

    def product(self, node: Any) -> None:
        """See `Form.product`."""
        out, (k, n) = node.output[0], self.weights[node.input[1]].shape
        sums = self.keep(f"{out}.u", np.full((k, 1), 1 / k, np.float32))
        self.add("MatMul", [node.input[0], sums], f"{out}.sum")
        self.add("MatMul", [f"{out}.sum", self.keep(f"{out}.v", np.ones((1, n), np.float32))], out)

    def recurrence(self, node: Any) -> None:
        """See `Form.recurrence`."""
        self.add("Unsqueeze", [node.input[0], self.keep("axis1", np.array([1]))], node.output[0])
        self.add("Identity", [node.input[5]], node.output[1])


def hop_times(net: Net, seconds: float) -> list[float]:
    """Return the times of one round, in the order of `HEADS`."""
    net.prepare_thread()
    paced = paced_timing(net, net.card.sample_rate, 1, seconds, clock=time.thread_time)
    return [tight(net, 300)[1], paced.p50_ms, paced.p99_ms, file(net, 5.0)]


def samples(net: Net, before: Net) -> tuple[float, float]:
    """Return the distance to *before* on speech in dB, and the largest difference by cuts."""
    _, rate, audio = next(sounds(net.card.sample_rate, 10.0))
    stream, hop = Stream(rate, len(audio)), round(net.card.hop * rate / net.card.sample_rate)
    wanted, got = (process(Line(each, stream), audio) for each in (before, net))
    hops = np.split(audio, range(hop, audio.shape[1], hop), axis=1)
    streamed = np.concatenate(list(pump(hops, Line(net, stream))), axis=1)
    noise = float(((got - wanted) ** 2).sum()) + 1e-30
    return 10 * np.log10((wanted**2).sum() / noise), float(np.abs(streamed - got).max())


@numba.njit(fastmath=True, nogil=True)
def by_rows(matrix: Any, scales: Any, x: Any, out: Any) -> None:
    """Multiply the rows of a matrix (N, K) of any type with *x* (K,), in float32; 4 divides N.

    Four rows that are far apart take turns: four streams from memory are faster than one.
    """
    part = matrix.shape[0] // 4
    for row in range(part):
        a = b = c = d = np.float32(0)
        for column in range(matrix.shape[1]):
            value = x[column]
            a += np.float32(matrix[row, column]) * value
            b += np.float32(matrix[row + part, column]) * value
            c += np.float32(matrix[row + 2 * part, column]) * value
            d += np.float32(matrix[row + 3 * part, column]) * value
        for at, total in enumerate((a, b, c, d)):
            out[row + at * part] = total * scales[row + at * part]


def in_runtime(matrices: list[Any], xs: list[Any], int8: bool, level: str) -> Callable[[], Any]:
    """Return the products by ONNX Runtime, with an accuracy level for int8."""
    nodes, weights = [], []
    for at, matrix in enumerate(matrices):
        if int8:
            values, scales = rounded(matrix)
            weights += [arrays.from_array(values, f"q{at}"), arrays.from_array(scales, f"s{at}")]
            nodes.append(
                make.make_node("DequantizeLinear", [f"q{at}", f"s{at}"], [f"w{at}"], axis=1)
            )
        else:
            weights.append(arrays.from_array(matrix, f"w{at}"))
        nodes.append(make.make_node("MatMul", [f"x{at}", f"w{at}"], [f"y{at}"]))
    sizes = [matrix.shape for matrix in matrices]
    value, kind = make.make_tensor_value_info, onnx.TensorProto.FLOAT
    ins = [value(f"x{at}", kind, ["T", k]) for at, (k, _) in enumerate(sizes)]
    outs = [value(f"y{at}", kind, ["T", n]) for at, (_, n) in enumerate(sizes)]
    model = make.make_model(
        make.make_graph(nodes, "products", ins, outs, weights),
        opset_imports=[make.make_opsetid("", 18)],
        ir_version=8,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", level)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    given = {f"x{at}": x[None] for at, x in enumerate(xs)}
    return lambda: session.run(None, given)


def packed_int8(rows: torch.Tensor, scales: torch.Tensor) -> Any:
    """Return a matrix (N, K) in the int8 form of torch, which is deprecated."""
    zeros = torch.zeros(len(scales), dtype=torch.long)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*quantized tensor creation functions", UserWarning)
        values = torch.quantize_per_channel(rows, scales, zeros, 0, torch.qint8)
    return torch.ops.quantized.linear_prepack(values, None)


def products(path: Path) -> dict[str, Callable[[], Any]]:
    """Return the large products of a hop of rounded.onnx at *path*, by several runtimes."""
    model = onnx.load(path)
    weights = {each.name: arrays.to_array(each) for each in model.graph.initializer}
    used = [n for node in model.graph.node if node.op_type in ("MatMul", "GRU") for n in node.input]
    large = [weights[n] for n in used if n in weights and weights[n].size > LARGE]
    matrices = [np.ascontiguousarray(m[0].T if m.ndim == 3 else m) for m in large]
    matrices = [matrix[:, : matrix.shape[1] // 4 * 4].copy() for matrix in matrices]
    rng = np.random.default_rng(0)
    xs = [rng.standard_normal(len(matrix)).astype(np.float32) for matrix in matrices]
    outs = [np.empty(matrix.shape[1], np.float32) for matrix in matrices]
    rows = [np.ascontiguousarray(matrix.T) for matrix in matrices]
    ones = [np.ones(len(row), np.float32) for row in rows]
    small = [rounded(matrix) for matrix in matrices]
    int8 = [np.ascontiguousarray(values.T) for values, _ in small]
    scales = [each for _, each in small]
    tensors, floats = [torch.from_numpy(x)[None] for x in xs], [torch.from_numpy(r) for r in rows]
    packed = [packed_int8(row, torch.from_numpy(s)) for row, s in zip(floats, scales, strict=True)]
    linear, dynamic = torch.nn.functional.linear, torch.ops.quantized.linear_dynamic

    def each(function: Callable[..., Any], *lists: list[Any]) -> Callable[[], Any]:
        return lambda: [function(*values) for values in zip(*lists, strict=True)]

    return {
        "torch, float32": each(linear, tensors, floats),
        "torch, int8 and int8": each(dynamic, tensors, packed),
        "ONNX Runtime, float32": in_runtime(matrices, xs, False, "0"),
        "ONNX Runtime, int8 and int8": in_runtime(matrices, xs, True, "4"),
        "ONNX Runtime, int8 and float32": in_runtime(matrices, xs, True, "1"),
        "numba, float32": each(by_rows, rows, ones, xs, outs),
        "numba, int8 and float32": each(by_rows, int8, scales, xs, outs),
    }


def product_times(ways: dict[str, Callable[[], Any]], count: int) -> dict[str, float]:
    """Return the median times of the thread in ms, one call a period, the ways in turns."""
    times_s: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(count):
        for name, way in ways.items():
            time.sleep(PERIOD_S)
            start_s = time.thread_time()
            way()
            times_s[name].append(time.thread_time() - start_s)
    return {name: 1e3 * statistics.median(each) for name, each in times_s.items()}


def main() -> None:
    """Write the forms, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="file of ONNX with float32 weights")
    parser.add_argument("folder", type=Path, help="where the forms are written")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="paced, in each round")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.folder.mkdir(parents=True, exist_ok=True)
    model = onnx.load(args.model)
    forms = {"int8": Int8, "rounded": Rounded, "bfloat16": Brief, "bare": Bare}
    nets = {"float32": box.load(args.model)} | {
        name: box.load(form(model).save(args.folder / f"{name}.onnx"))
        for name, form in forms.items()
    }
    rounds: dict[str, list[list[float]]] = {name: [] for name in nets}
    for _ in range(args.rounds):
        for name, net in nets.items():
            rounds[name].append(hop_times(net, args.seconds))
    print(f"| form | {' | '.join(HEADS)} |")
    print("|---" * (1 + len(HEADS)) + "|")
    for name, values in rounds.items():
        cells = [f"{statistics.median(each):.3g}" for each in zip(*values, strict=True)]
        apart_db, cuts = samples(nets[name], nets["float32"])
        print(f"| {name} | {' | '.join(cells)} | {apart_db:.1f} | {cuts:.1e} |")
    print("\n| products of a hop: weights and what they meet | paced, CPU ms |\n|---|---|")
    for name, time_ms in product_times(products(args.folder / "rounded.onnx"), 300).items():
        print(f"| {name} | {time_ms:.3g} |")


if __name__ == "__main__":
    main()

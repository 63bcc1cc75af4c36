"""ONNX files: the same samples as TorchScript; what is more than a graph of ONNX is refused."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper as make

from rtdenoise import Denoise
from rtdenoise.cli import main
from rtdenoise.core.kernels import flush_denormals
from rtdenoise.core.stage import process
from rtdenoise.core.stream import Stream
from rtdenoise.errors import ModelError
from rtdenoise.nets import box, graph
from rtdenoise.nets.line import Line
from rtdenoise.proof.verify import verify, voice
from tests.toy_nets import Smoother, generator_for
from tests.toy_onnx import STATE, WINDOWS, model, save_onnx, smoother, value


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    """The net with memory as a file."""
    return save_onnx(smoother(), tmp_path_factory.mktemp("onnx") / "smoother.onnx")


@pytest.mark.parametrize("rate", [48_000, 44_100])
def test_a_net_gives_the_same_samples_in_either_runtime(path, rate):
    """Two channels, at the net's rate and at another."""
    audio = voice(rate, 1.0, channels=2)
    other = process(Line(generator_for(Smoother()), Stream(rate, 2)), audio)

    np.testing.assert_allclose(
        process(Line(box.find(path), Stream(rate, 2)), audio), other, atol=1e-6
    )


def test_live_file_and_effect_are_one_line_in_onnx_too(path):
    """All rules that `rtdenoise verify` checks, at three rates."""
    assert [c.rule for c in verify(box.find(path)) if not c.passed] == []


def test_the_command_line_takes_an_onnx_file(path, capsys):
    """The card is shown, and the file verified."""
    assert main(["info", str(path)]) == 0
    assert "smoother: identity, any" in capsys.readouterr().out
    assert main(["verify", str(path)]) == 0


def test_a_card_is_read_without_a_runtime_and_a_net_runs_without_torch(path):
    """`info` loads neither; a net of ONNX Runtime starts without what it does not need."""
    code = f"""
import sys, numpy as np
from rtdenoise.cli import main
assert main(["info", {str(path)!r}]) == 0
assert not {{"torch", "onnxruntime"}} & set(sys.modules)
from rtdenoise import Denoise
Denoise({str(path)!r})(np.zeros(4800, np.float32), 48000)
assert "onnxruntime" in sys.modules and "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_without_the_packages_one_line_says_what_to_install(path, capsys, monkeypatch):
    """For `info`, which reads the card, and for `verify`, which runs the net."""
    for package in ("onnx", "onnxruntime"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            assert main(["verify", str(path)]) == 4
        told = capsys.readouterr().err
        assert f"need the package {package}: pip install {package}" in told
        assert told.count("\n") == 1


def test_the_audio_thread_takes_denormals_for_zero(path):
    """`prepare_thread` sets it for good; another thread keeps its own setting."""
    tiny = np.full(4, 1e-40, np.float32)
    before = bool((tiny * np.float32(2)).any())
    found: list[bool] = []

    def run(prepare: Callable[[], None]) -> None:
        prepare()
        found.append(bool((tiny * np.float32(2)).any()))

    for prepare in (box.find(path).prepare_thread, flush_denormals):
        thread = threading.Thread(target=run, args=(prepare,))
        thread.start()
        thread.join()
    assert found == [False, False]
    assert bool((tiny * np.float32(2)).any()) == before


def passing() -> Any:
    """A net that changes nothing and has no weights of its own."""
    return model(
        [
            make.make_node("Identity", ["windows"], ["restored"]),
            make.make_node("Identity", ["state"], ["after"]),
        ],
        {},
    )


def with_tensor(**fields: Any) -> Any:
    """The net that changes nothing, with a tensor that has these fields."""
    net = passing()
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], raw_data=bytes(8))
    for name, each in fields.items():
        if isinstance(each, list):
            tensor.ClearField(name)
            getattr(tensor, name).extend(each)
        else:
            setattr(tensor, name, each)
    net.graph.initializer.append(tensor)
    return net


def elsewhere(place: str = "/etc/passwd") -> TensorProto:
    """A tensor whose numbers are in another file."""
    tensor = TensorProto(name="w", data_type=TensorProto.UINT8, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.append(onnx.StringStringEntryProto(key="location", value=place))
    return tensor


def in_attribute() -> Any:
    net = passing()
    net.graph.node.append(make.make_node("Constant", [], ["c"], value=elsewhere()))
    return net


def in_loop() -> Any:
    net = smoother()
    net.graph.node[0].attribute[0].g.initializer.append(elsewhere())
    assert net.graph.node[0].attribute[0].name == "body"
    return net


def in_weights() -> Any:
    net = passing()
    net.graph.initializer.append(elsewhere())
    return net


def of_domain(domain: str, operator: str) -> Any:
    net = passing()
    net.graph.node.append(make.make_node(operator, ["state"], ["x"], domain=domain))
    return net


def imports_domain() -> Any:
    net = passing()
    net.opset_import.append(make.make_opsetid("com.microsoft", 1))
    return net


def with_function() -> Any:
    net = passing()
    body = [make.make_node("Identity", ["a"], ["b"])]
    opsets = [make.make_opsetid("", 17)]
    net.functions.append(make.make_function("", "Own", ["a"], ["b"], body, opsets))
    return net


def with_sparse() -> Any:
    net = passing()
    net.graph.sparse_initializer.append(onnx.SparseTensorProto(dims=[10**12]))
    return net


def with_attribute(**fields: Any) -> Any:
    net = passing()
    net.graph.node[0].attribute.append(onnx.AttributeProto(name="a", **fields))
    return net


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (in_weights(), "tensor 'w' is in another file"),
        (in_attribute(), "tensor 'w' is in another file"),
        (in_loop(), "tensor 'w' is in another file"),
        (of_domain("com.microsoft", "EPContext"), "uses 'EPContext' of 'com.microsoft'"),
        (of_domain("\x1b[2J", "Clear"), r"of '\\x1b\[2J'"),
        (imports_domain(), "operators of 'com.microsoft'"),
        (with_function(), "has functions"),
        (with_sparse(), "sparse"),
        (with_tensor(dims=[1 << 40]), r"\(1099511627776,\) has 2 values"),
        (with_tensor(dims=[1 << 62, 1 << 62]), "has 2 values in the file"),
        (with_tensor(dims=[-2]), "negative"),
        (with_tensor(raw_data=b"123"), "has 0.75 values"),
        (with_tensor(float_data=[1.0, 2.0]), "has 4 values"),
        (with_tensor(data_type=TensorProto.STRING), "is STRING"),
        (with_tensor(data_type=99), "is unknown"),
        (with_tensor(raw_data=b"", int64_data=[1, 2]), "tensor 'w'"),
        (with_attribute(type="SPARSE_TENSOR"), "attribute that is SPARSE_TENSOR"),
        (with_attribute(type="GRAPHS", graphs=[onnx.GraphProto()]), "attribute that is GRAPHS"),
        (with_attribute(type="INT", g=onnx.GraphProto()), "attribute that is INT"),
        (with_attribute(type="TENSORS", tensors=[elsewhere()]), "attribute that is TENSORS"),
    ],
)
def test_a_file_that_needs_more_than_itself_is_refused(tmp_path, net, message):
    """Other files, other operators, and sizes that the file does not have; before anything runs."""
    with pytest.raises(ModelError, match=f"was not run: .*{message}"):
        box.load(save_onnx(net, tmp_path / "net.onnx"))


def test_too_many_operators_are_refused(tmp_path, monkeypatch):
    """Those of loops and branches count."""
    monkeypatch.setattr(graph, "MOST_NODES", 8)
    with pytest.raises(ModelError, match="more than 8 operators"):
        box.load(save_onnx(smoother(), tmp_path / "net.onnx"))
    monkeypatch.setattr(graph, "MOST_BYTES", 100)
    with pytest.raises(ModelError, match="at most"):
        box.load(tmp_path / "net.onnx")


OTHER = [value("windows", WINDOWS), value("state", ["C", "S"])]
DOUBLE = [value("windows", WINDOWS, TensorProto.DOUBLE), value("state", STATE)]
NAMED = [value("x", WINDOWS), value("state", STATE)]
PASS = [
    make.make_node("Identity", ["windows"], ["restored"]),
    make.make_node("Identity", ["state"], ["after"]),
]
CAST = make.make_node("Cast", ["windows"], ["restored"], to=TensorProto.FLOAT)
ONE_CHANNEL = [value("windows", [1, "T", 1024]), value("state", [1, 1])]


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (model(PASS, {}, inputs=OTHER), r"S is a number.*got windows \['C', 'T', 1024\]"),
        (model([CAST, PASS[1]], {}, inputs=DOUBLE), r"tensor\(double\)"),
        (
            model([make.make_node("Identity", ["x"], ["restored"]), PASS[1]], {}, inputs=NAMED),
            r"got x \[",
        ),
        (model(PASS[:1], {}, outputs=[value("restored", WINDOWS)]), "and 1 outputs"),
        (model(PASS, {}, inputs=ONE_CHANNEL), r"forward\(windows \(2, 3, 1024\), state\) failed"),
        (model([make.make_node("Nonsense", ["windows"], ["restored"]), PASS[1]], {}), "cannot run"),
        (
            model([make.make_node("Identity", ["state"], ["restored"]), PASS[1]], {}),
            "breaks the contract|cannot run",
        ),
    ],
)
def test_a_graph_that_breaks_the_contract_says_how(tmp_path, net, message, capfd):
    """In one line of ours; ONNX Runtime prints nothing."""
    with pytest.raises(ModelError, match=message) as raised:
        box.load(save_onnx(net, tmp_path / "net.onnx"))
    assert "\n" not in str(raised.value)
    assert capfd.readouterr().err == ""


def test_the_card_belongs_to_the_weights(tmp_path):
    """No card, two of them, and one of other weights."""
    with pytest.raises(ModelError, match="no card"):
        box.card(save_onnx(smoother(), tmp_path / "a.onnx", card=""))
    with pytest.raises(ModelError, match="not JSON"):
        box.card(save_onnx(smoother(), tmp_path / "b.onnx", card="{"))
    twice = smoother()
    save_onnx(twice, tmp_path / "c.onnx")
    with pytest.raises(ModelError, match="several cards"):
        box.card(save_onnx(twice, tmp_path / "c.onnx"))
    with pytest.raises(ModelError, match="not those of the card"):
        box.load(save_onnx(smoother(), tmp_path / "d.onnx", sha256="0" * 64))


def test_a_damaged_onnx_file_is_not_a_crash(tmp_path, path):
    """Cut off anywhere, with a byte changed anywhere, or nothing like it."""
    whole, rng = path.read_bytes(), np.random.default_rng(7)
    for name, content in (("text", b"hello"), ("0", b""), ("zip", b"PK\x03\x04" + bytes(99))):
        (tmp_path / f"{name}.onnx").write_bytes(content)
        with pytest.raises(ModelError, match="damaged"):
            box.card(tmp_path / f"{name}.onnx")
    for _ in range(150):
        changed = bytearray(whole)
        changed[rng.integers(len(whole))] ^= int(rng.integers(1, 256))
        if rng.random() < 0.3:
            del changed[rng.integers(len(whole)) :]
        (tmp_path / "x.onnx").write_bytes(changed)
        with suppress(ModelError):  # any other error fails the test
            Denoise(tmp_path / "x.onnx")(np.zeros((1, 2000), np.float32), 48_000)

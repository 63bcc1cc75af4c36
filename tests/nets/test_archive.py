"""Model files of strangers: what could do more than compute is refused before any of it runs."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from rtdenoise.errors import ModelError
from rtdenoise.nets import archive
from rtdenoise.nets.box import card, load
from rtdenoise.nets.operators import ATEN, PRIM
from rtdenoise.nets.torchscript import _operators
from tests.toy_nets import Breaks, Identity, Smoother, save

TRACE = "trace-of-a-hostile-net"  # the file that a hostile net would write, in the working folder


class SavesAtFirst(Identity):
    """Writes a file before the first sound."""

    @torch.jit.export
    def initial_state(self, channels: int) -> Tensor:
        torch.save(torch.zeros(1), "trace-of-a-hostile-net")
        return torch.zeros(channels, 0)


class SavesLater(Identity):
    """Writes a file while it runs, by the name of the operator."""

    def forward(self, windows: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        torch.ops.aten.save(windows, "trace-of-a-hostile-net")
        return windows, state


class Reads(Identity):
    """Makes a file, and would read or change one, as memory."""

    def forward(self, windows: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        own = torch.from_file("trace-of-a-hostile-net", True, 4, dtype=torch.float32)
        return windows + own[0], state


class Forks(Identity):
    """Starts a thread."""

    def forward(self, windows: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        task = torch.jit.fork(torch.neg, windows)
        return -torch.jit.wait(task), state


class Prints(Identity):
    """Writes to the terminal."""

    def forward(self, windows: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        print("\x1b[2J")
        return windows, state


class Seeds(Identity):
    """Changes the random numbers of the whole process."""

    def forward(self, windows: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        torch.manual_seed(1)
        return windows, state


class Remembers(Identity):
    """Runs code while it is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.training = False

    @torch.jit.export
    def __getstate__(self) -> bool:
        return self.training

    @torch.jit.export
    def __setstate__(self, state: bool) -> None:
        torch.save(torch.zeros(1), "trace-of-a-hostile-net")
        self.training = state


class HidesInPart(Identity):
    """Has the hostile part in another module."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = SavesLater()

    def forward(self, windows: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        windows, state = self.inner(windows, state)
        return windows, state


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    """Hostile nets write here, if they are run."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("net", "named"),
    [
        (SavesAtFirst, "save"),
        (SavesLater, "save"),
        (Reads, "from_file"),
        (Forks, "functions in functions"),
        (Prints, "print"),
        (Seeds, "manual_seed"),
        (Remembers, "runs while it is loaded"),
        (HidesInPart, "save"),
    ],
)
def test_a_net_that_does_more_than_compute_is_not_run(tmp_path, net, named):
    """The message names what it does; its card can be read, and nothing was run."""
    path = save(net(), tmp_path / "net.pt")

    with pytest.raises(ModelError, match=f"net.pt was not run: its code .*{named}"):
        load(path)
    assert card(path).name == net.__name__.lower()
    assert not Path(TRACE).exists()


BODY = "    return (windows, state)"


def edited(path: Path, change, out: str = "edited.pt") -> Path:
    """Return a copy of the archive *path* with its entries changed by *change*(name, content)."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(path.with_name(out), "w") as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return path.with_name(out)


def with_body(path: Path, *lines: str) -> Path:
    """Return a copy of a saved `Identity` whose forward has *lines* first."""

    def change(name: str, content: bytes) -> bytes:
        if not name.endswith(".py"):
            return content
        assert BODY.encode() in content
        first = "".join(f"    {line}\n" for line in lines)
        return content.replace(BODY.encode(), first.encode("latin-1") + BODY.encode())

    return edited(path, change)


@pytest.mark.parametrize(
    "lines",
    [
        [f'torch.save(windows, "{TRACE}")'],
        [f'ops.aten.save(windows, "{TRACE}")'],
        [f'(windows).save("{TRACE}")'],
        [f'(torch).save(windows, "{TRACE}")'],
        ["t = torch", f't.save(windows, "{TRACE}")'],
        ["f = torch.save", f'f(windows, "{TRACE}")'],
        ["f = windows.save", f'f("{TRACE}")'],
        ['f = getattr(windows, "save")', f'f("{TRACE}")'],
        [f'getattr(windows, "save")("{TRACE}")'],
        [f'getattr(torch, "save")(windows, "{TRACE}")'],
        [f'x = [torch.save(windows, "{TRACE}")]'],
        [f'if False: torch.save(windows, "{TRACE}")'],
        [f'x = (lambda: torch.save(windows, "{TRACE}"))()'],
        [f'x = [torch.save(w, "{TRACE}") for w in [windows]]'],
        ["def inner(x: Tensor) -> Tensor:", "  return x"],
        ["if True: print = 1", 'print("x")'],
        ["_1 = print", '_1("x")'],
        ["if False: _1 = __torch__.Identity", "else: _1 = print", '_1("x")'],
        ["x = __torch__.torch.classes.profiling._RecordFunction"],
        ["x = ops.profiler._record_function_enter_new('x', None)"],
        ["x = ops.c10d.barrier"],
        ["x = ops.prim.rpc_sync"],
        ["x = unchecked_cast(__torch__.Identity, windows)"],
        ["with windows: pass"],
        ["import os"],
        ["x = f'{windows}'"],
        ["torch.set_grad_enabled(True)"],
        ["windows = torch.resize_(windows, [1 << 20])"],
        ["x = " + "-" * 300 + "1"],
        ["x = " + "(" * 300 + "1" + ")" * 300],
        ["# -*- coding: utf-7 -*-\n    x = torch.save"],
        ["x = 1\r    torch.save(windows, 'x')"],
        ["x = 1\x0c; torch.save(windows, 'x')"],
    ],
)
def test_no_way_of_writing_a_call_gets_past_the_check(tmp_path, lines):
    """Other names, aliases, branches, grammar that torch does not write, and odd line ends."""
    path = with_body(save(Identity(), tmp_path / "net.pt"), *lines)

    with pytest.raises(ModelError, match=r"^[^\n]*edited.pt was not run: [^\n]*$"):
        load(path)
    assert not Path(TRACE).exists()


def test_texts_in_the_code_stay_texts(tmp_path):
    """A call in quotes is no call, and torch gets the text that was checked, byte for byte."""
    text = 'torch.save(1) \\"x\\" \\\\ \\303\\251 \''
    path = with_body(
        save(Identity(), tmp_path / "net.pt"),
        f'x = "{text}"',
        "if torch.gt(torch.size(windows, 1), 1):",
        f'  ops.prim.RaiseException("{text}", "builtins.ValueError")',
    )
    with pytest.raises(ModelError, match=r"""torch.save\(1\) "x" \\ é '"""):
        load(path)


class Warns(Identity):
    """Warns, as some of torch's own modules do."""

    def forward(self, windows: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        warnings.warn("\x1b[2J", stacklevel=2)
        return windows, state


@pytest.mark.parametrize("net", [Identity, Smoother, lambda: Breaks(10**9), Warns])
def test_a_net_that_computes_is_run_and_says_nothing(tmp_path, net, capfd):
    """The allow-list has what nets need; warnings are left out (pytest makes them errors)."""
    load(save(net(), tmp_path / "net.pt"))
    assert capfd.readouterr() == ("", "")


def test_the_list_has_operators_that_torch_has_and_none_of_the_dangerous():
    """A name that torch does not have would be a slip of the pen."""
    assert not {name for name in ATEN if name not in _operators()} - {"range"}
    assert not ATEN & {
        "save",
        "from_file",
        "wait",
        "seed",
        "manual_seed",
        "set_",
        "resize_",
        "warn",
    }
    assert not PRIM & {"Print", "rpc_sync", "rpc_async", "fork", "PythonOp", "TimePoint"}


def test_data_that_names_anything_else_is_refused(tmp_path):
    """A pickle in the archive knows tensors, numbers and the classes of the archive."""
    path = save(Smoother(), tmp_path / "net.pt")
    for hostile in (
        b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.",
        b"\x80\x02c__torch__.torch.classes.x\nY\n.",
        b"\x80\x02ctorch.distributed.rpc\nrref\n.",
        b"\x80\x02(ios\nsystem\n.",
        b"\x80\x02Nr\xff\xff\xff\x7f.",
        pickle.dumps({"a": 1}, 4),
        b"\x80\x02",
        b"",
    ):
        for pickled in ("data.pkl", "constants.pkl"):
            bad = edited(path, lambda n, c, p=pickled, h=hostile: h if n.endswith(f"/{p}") else c)
            with pytest.raises(ModelError, match=r"its data"):
                load(bad)


def test_a_tensor_does_not_reach_beyond_its_bytes(tmp_path):
    """The sizes in the pickle are compared with the entries of the archive."""
    path = save(Smoother(), tmp_path / "net.pt")
    bad = edited(path, lambda name, content: content[:-1] if name.endswith("/data/0") else content)
    with pytest.raises(ModelError, match="a tensor of 1 numbers has 3 bytes"):
        load(bad)


def test_archives_out_of_bounds_are_refused_by_their_directory(tmp_path, monkeypatch):
    """Bombs, doubles, too many or too large entries: nothing of them is unpacked."""
    path = save(Smoother(), tmp_path / "net.pt")
    bomb = tmp_path / "bomb.pt"
    bomb.write_bytes(path.read_bytes())
    with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("net/extra/bomb", bytes(10_000_000))
    with pytest.raises(ModelError, match="unpacks to 10000000 bytes"):
        card(bomb)

    double = tmp_path / "double.pt"
    double.write_bytes(path.read_bytes())
    with zipfile.ZipFile(double, "a") as file:
        file.writestr("other/data.pkl", b"x")
    with pytest.raises(ModelError, match=r"two entries 'data\.pkl'"):
        card(double)

    for name, least in (("MOST_ENTRIES", 3), ("MOST_BYTES", 99), ("MOST_CARD_BYTES", 9)):
        with monkeypatch.context() as patch:
            patch.setattr(archive, name, least)
            with pytest.raises(ModelError, match=r"^[^\n]*cannot be a model[^\n]*$"):
                card(path)


def test_a_changed_byte_anywhere_is_one_line_or_nothing(tmp_path, rng):
    """Entries have checksums; no change of a byte is a traceback, or a net with other weights."""
    whole = save(Smoother(), tmp_path / "net.pt").read_bytes()
    for at in rng.choice(len(whole), 60, replace=False):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << int(rng.integers(8))
        (tmp_path / "bad.pt").write_bytes(damaged)
        told = ""
        try:
            load(tmp_path / "bad.pt")
        except ModelError as error:
            told = str(error)
        assert "\n" not in told


class Part(nn.Module):
    """A part with an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = 0.5

    def forward(self, windows: Tensor) -> Tensor:
        return windows * self.gain


class Holds(Identity):
    """A net with a part."""

    def __init__(self) -> None:
        super().__init__()
        self.part = Part()

    def forward(self, windows: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return self.part(windows), state


def test_an_object_is_what_the_code_declares(tmp_path):
    """torch reads attributes by their places, and another class has others."""
    path = save(Holds(), tmp_path / "net.pt")
    load(path)

    def confuse(name: str, content: bytes) -> bytes:
        wrong = content.replace(b"\nPart\n", b"\nHolds\n")
        return wrong if name.endswith("/data.pkl") else content

    with pytest.raises(ModelError, match=r"the attribute part is no __torch__.*Part"):
        load(edited(path, confuse))


def test_code_cannot_take_the_name_of_a_class_of_torch(tmp_path):
    """torch would take its own class, and run its code while it loads."""
    path = save(Identity(), tmp_path / "net.pt")
    with zipfile.ZipFile(path, "a") as file:
        root = file.namelist()[0].partition("/")[0]
        file.writestr(f"{root}/code/__torch__/torch/classes/x.py", "class Y(Module):\n  a : int\n")
    with pytest.raises(ModelError, match="a name of classes of C"):
        load(path)

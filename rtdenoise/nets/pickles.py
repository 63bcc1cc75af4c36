"""The check of the pickles in a TorchScript archive: nothing but tensors, numbers and objects.

torch reads these pickles with a reader of its own in C++, which knows a dozen functions and cannot
import anything. It trusts the sizes in them, however. So they are read here first, with nothing but
the same functions, and every tensor's size is compared with the bytes that are there.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from ..errors import ModelError

ITEM_BYTES = {
    "BoolStorage": 1, "ByteStorage": 1, "CharStorage": 1, "ShortStorage": 2, "HalfStorage": 2,
    "BFloat16Storage": 2, "IntStorage": 4, "FloatStorage": 4, "LongStorage": 8, "DoubleStorage": 8,
    "ComplexFloatStorage": 8, "ComplexDoubleStorage": 16,
}  # fmt: skip
# What torch writes. Others could mean one thing to Python and another to torch.
_OPCODES = """
PROTO STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE GLOBAL
EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS
BINPUT LONG_BINPUT BINGET LONG_BINGET BINPERSID NEWOBJ REDUCE BUILD
"""
OPCODES = frozenset(_OPCODES.split())
LISTS = ("build_intlist", "build_tensorlist", "build_doublelist", "build_boollist")
MOST_DIMENSIONS = 16
Classes = Mapping[str, Mapping[str, str]]


class Numbers(NamedTuple):
    """A tensor as the pickle names it; its numbers are in a record of the archive.

    Attributes:
        kind: The type of its numbers, a key of `ITEM_BYTES`.
        record: The key of the record.
        held: How many numbers the record holds.
        offset: Where in the record its first number is.
        shape: Its sizes.
    """

    kind: str
    record: str
    held: int
    offset: int = 0
    shape: tuple[int, ...] = ()


class Object:
    """An object of a class of the archive, which does nothing here.

    Attributes:
        kind: The name of its class.
        declared: The types of its attributes, as the code declares them.
        values: Its attributes.
    """

    kind: ClassVar[str] = ""
    declared: ClassVar[Mapping[str, str]] = {}
    values: Mapping[str, Any] = MappingProxyType({})

    def __new__(cls, *_: Any) -> Object:
        """Take any arguments, as the value of an enumeration."""
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        """Refuse an object where the code declares one of another class.

        torch would read it beyond its end. (Tensors, numbers and texts it checks itself.)
        """
        if not isinstance(state, dict):
            raise ModelError(f"the data of {self.kind[:80]} is no list of attributes")
        for name, declared in self.declared.items():
            value, wanted = state.get(name), declared
            if declared.startswith("Optional[") and value is None:
                continue
            if declared.startswith("Optional["):
                wanted = declared[len("Optional[") : -1]
            if "__torch__" in wanted and getattr(value, "kind", None) != wanted:
                raise ModelError(f"the attribute {name[:80]} is no {wanted[:80]}, as its code says")
        self.values = state


class _Reader(pickle.Unpickler):
    """A reader of one pickle.

    Args:
        content: The pickle.
        sizes: The size in bytes of each record that holds the numbers of tensors, by its key.
        classes: The attributes of each class in the code of the archive, and their types.
    """

    def __init__(self, content: bytes, sizes: Mapping[str, int], classes: Classes) -> None:
        super().__init__(io.BytesIO(content))
        self.sizes, self.classes = sizes, classes

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a global here; refuse all that torch's own reader need not know.

        Raises:
            ModelError: If no model needs it.
        """
        place = f"{module}.{name}"
        if place in self.classes:
            return type("Object", (Object,), {"kind": place, "declared": self.classes[place]})
        if module == "torch" and name in ITEM_BYTES:
            return name
        if module == "torch.jit._pickle" and name in LISTS:
            return list
        known = {
            "torch._utils._rebuild_tensor_v2": _tensor,
            "torch.jit._pickle.restore_type_tag": _tagged,
            "torch.device": str,
            "builtins.complex": complex,
            "collections.OrderedDict": dict,
        }
        if place not in known:
            raise ModelError(f"its data uses {place[:80]!r}, which is not allowed")
        return known[place]

    def persistent_load(self, pid: Any) -> Numbers:
        """Return the numbers of a record.

        Raises:
            ModelError: If the record has another size.
        """
        _, kind, key, _, count = pid
        there = self.sizes.get(key, 0)
        if type(count) is not int or count < 0 or count * ITEM_BYTES[kind] != there:
            raise ModelError(f"a tensor of {count!r} numbers has {there} bytes in the file")
        return Numbers(kind, key, count)


def _tensor(numbers: Numbers, offset: int, shape: Any, strides: Any, *_: Any) -> Numbers:
    """Refuse a tensor that would reach beyond its *numbers*."""
    count = numbers.held
    last, empty = offset, False
    if len(shape) != len(strides) or len(shape) > MOST_DIMENSIONS:
        raise ModelError("a tensor has an impossible shape")
    for size, stride in zip(shape, strides, strict=True):
        if type(size) is not int or type(stride) is not int or size < 0 or stride < 0:
            raise ModelError("a tensor has an impossible shape")
        last, empty = last + (size - 1) * stride, empty or size == 0
    if type(offset) is not int or offset < 0 or not (empty or last < count):
        raise ModelError(f"a tensor reaches beyond its {count} numbers")
    return numbers._replace(offset=offset, shape=tuple(shape))


def _tagged(data: Any, kind: str) -> Any:
    """Return *data*; refuse a type that names a class of C++."""
    if "torch.classes" in kind:
        raise ModelError(f"its data uses {kind[:80]!r}, which is not allowed")
    return data


def check_pickle(content: bytes, sizes: Mapping[str, int], classes: Classes) -> Any:
    """Check one pickle, and return what it holds: `Object`, `Numbers` and plain values.

    Args:
        content: The pickle.
        sizes: The size in bytes of each record that holds the numbers of tensors, by its key.
        classes: The attributes of each class in the code of the archive, and their types.

    Raises:
        ModelError: If it is damaged, or holds anything but tensors, numbers and objects.
    """
    try:
        for code, value, at in pickletools.genops(content):
            if code.name not in OPCODES:
                raise ModelError(f"its data has the opcode {code.name}, which is not allowed")
            if code.name == "LONG_BINPUT" and (value or 0) > (at or 0):
                raise ModelError("its data asks for memory that it does not need")
        return _Reader(content, sizes, classes).load()
    except ModelError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        raise ModelError(f"its data is damaged ({type(error).__name__}: {error})") from None

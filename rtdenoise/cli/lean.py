"""The imports of a live stream, without what torch and numba bring for other uses.

torch describes each operator a second time in Python, for `torch.compile` and `torch.export`, and
numba looks for scipy's linear algebra. A stream needs neither, and without them it starts sooner
and is smaller. They can be imported afterwards as usual.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from types import ModuleType

LARGE = 256 * 1024  # bytes of a block that goes back to the system; no hop needs one so large
M_MMAP_THRESHOLD = -3  # of glibc's mallopt

EMPTY = ("torch._meta_registrations", "torch.distributed._meta_registrations")
ABSENT = ("scipy",)


def import_lean(model: str = "") -> None:
    """Import what every stream needs; a process that has torch already keeps all of it.

    Args:
        model: Name or path of the only model that will run. Files of ONNX, which some names in
            the box stand for, and the libraries of other makers, need no torch.
    """
    if "torch" not in sys.modules:
        _give_large_blocks_back()
        with _left_out(), _no_garbage():
            from ..nets import box  # this imports numba

            if box.needs_torch(model):
                import_module("rtdenoise.nets.torchscript")


def _give_large_blocks_back() -> None:
    """Make glibc return the memory of a model file that was read, which it would keep by default.

    It keeps blocks as large as the largest that was ever freed: 60 MB after some changes of models.
    """
    with suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Return a context without garbage collection, whose objects are never looked at later.

    The collector would look again and again at hundreds of thousands of objects that stay.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


@contextmanager
def _left_out() -> Iterator[None]:
    """Return a context in which imports of `EMPTY` give nothing, and those of `ABSENT` fail."""
    stand_ins: dict[str, ModuleType | None] = {name: ModuleType(name) for name in EMPTY}
    stand_ins |= dict.fromkeys(ABSENT)
    stand_ins = {name: each for name, each in stand_ins.items() if name not in sys.modules}
    sys.modules.update(stand_ins)  # type: ignore[arg-type]  # None is for modules that are absent
    try:
        yield
    finally:
        for name in stand_ins:
            sys.modules.pop(name, None)

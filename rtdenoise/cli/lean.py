"""The imports of a live stream, without what torch and numba bring for other uses.

torch describes each operator a second time in Python, for `torch.compile` and `torch.export`, and
numba looks for scipy's linear algebra. A stream needs neither, and without them it starts sooner
and is smaller. They can be imported afterwards as usual.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

EMPTY = ("torch._meta_registrations", "torch.distributed._meta_registrations")
ABSENT = ("scipy",)


def import_lean(model: str = "") -> None:
    """Import what every stream needs; a process that has torch already keeps all of it.

    Args:
        model: Name or path of the only model that will run. Files of ONNX, and the libraries of
            other makers, need no torch.
    """
    if "torch" not in sys.modules:
        with _left_out():
            from ..nets.makers import MAKERS  # this imports numba

            if model not in MAKERS and not model.lower().endswith(".onnx"):
                import_module("rtdenoise.nets.torchscript")


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

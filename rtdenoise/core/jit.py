"""The door to numba: one decorator, and three memory operations that numba lacks.

Every kernel has an explicit signature, so that it is compiled when its module is imported and never
in the audio callback. It releases the GIL, and is cached on disk where the disk can be written.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from numba import njit, types
from numba.extending import intrinsic

Function = Callable[..., Any]

# Arguments that a kernel only reads may be read-only or strided, so that a slice of a caller's
# block needs no copy. (A signature for contiguous arrays raises TypeError on `block[:, 3:9]`.)
SAMPLES_IN = types.Array(types.float32, 2, "A", readonly=True)
SAMPLES_OUT = types.Array(types.float32, 2, "A")
WINDOWS_IN = types.Array(types.float32, 3, "A", readonly=True)
WINDOWS_OUT = types.Array(types.float32, 3, "C")
VECTOR = types.Array(types.float32, 1, "C")
VECTOR_IN = types.Array(types.float32, 1, "A", readonly=True)
BUFFER = types.Array(types.float32, 2, "C")
INDICES = types.Array(types.int64, 1, "C")
INDICES_IN = types.Array(types.int64, 1, "C", readonly=True)
INTEGERS = types.Array(types.int64, 2, "C")
REALS = types.Array(types.float64, 2, "C")


def kernel(signature: Any, fast: bool = False) -> Callable[[Function], Function]:
    """Return a decorator that compiles a function without the GIL, and caches it where it can.

    Args:
        signature: The numba types of the arguments and of the result.
        fast: Whether results may be wrong for NaN and infinity, so that loops are vectorised.

    The cache may fail in any way: no folder can be written, the disk is full, or a file in it is
    damaged, and then numba raises whatever the pickle in it makes it raise. The cache of the
    function is emptied once, which mends a damaged one. If that does not help, the function is
    compiled without a cache, because to compile at each start is better than not to start.
    """
    options: dict[str, Any] = {
        "nogil": True,
        "fastmath": fast,
        "error_model": "numpy" if fast else "python",
    }

    def decorate(function: Function) -> Function:
        for repair in (False, True):
            with suppress(Exception):
                if repair:
                    _empty_cache(function)
                cached: Function = njit(signature, cache=True, **options)(function)
                return cached
        compiled: Function = njit(signature, cache=False, **options)(function)
        return compiled

    return decorate


def _empty_cache(function: Function) -> None:
    """Empty the cache on disk of one function."""
    dispatcher: Any = njit(function)  # without a signature nothing is compiled
    dispatcher.enable_caching()
    dispatcher._cache.flush()


# The compiler may hoist a plain load out of a loop, and then a reader waits forever; on ARM, plain
# stores may become visible in another order. Acquire and release forbid both.
def _load_acquire(_typing: Any, array: Any, index: Any) -> Any:
    """Load ``array[index]``; nothing that follows in the program may happen before it."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.load_atomic(builder.gep(data, [args[1]]), "acquire", 8)

    return types.int64(array, index), code


def _store_release(_typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Store *value*; nothing that precedes it in the program may happen after it."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        builder.store_atomic(args[2], builder.gep(data, [args[1]]), "release", 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), code


def _fence(_typing: Any) -> Any:
    """Let nothing that follows in the program happen before anything that precedes it."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), code


load_acquire: Any = intrinsic(_load_acquire)
store_release: Any = intrinsic(_store_release)
fence: Any = intrinsic(_fence)

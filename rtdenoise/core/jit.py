"""The door to numba: two decorators, three memory operations and a register that numba lacks.

Every kernel has an explicit signature, so that it is compiled when its module is imported and never
in the audio callback. It releases the GIL, and is cached on disk where the disk can be written.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from llvmlite import ir
from numba import carray, cfunc, njit, types  # type: ignore[attr-defined]
from numba.core import cgutils
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
DOUBLES = types.Array(types.float64, 1, "C")
REALS = types.Array(types.float64, 2, "C")
# What a function for C gets, and how it makes an array of that.
SAMPLES_AT: Any = types.CPointer(types.float32)
INDICES_AT: Any = types.CPointer(types.int64)
array_at: Any = carray


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


def c_function(signature: Any) -> Callable[[Function], Any]:
    """Return a decorator that compiles a function for callers in C, which hold no GIL.

    The result has the `address` of the function, for as long as it lives. The function must not be
    able to raise: to report an error, numba would take the GIL.

    Args:
        signature: The numba types of the arguments and of the result.
    """
    options: dict[str, Any] = {"nopython": True, "error_model": "numpy"}

    def decorate(function: Function) -> Any:
        with suppress(Exception):  # see `kernel`
            return cfunc(signature, cache=True, **options)(function)
        return cfunc(signature, cache=False, **options)(function)

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


X86 = platform.machine().lower() in ("x86_64", "amd64")
ARM = platform.machine().lower() in ("aarch64", "arm64")
FLUSH = 1 << 24 if ARM else 0x8040  # FZ of the FPCR; FTZ and DAZ of the MXCSR


def _flush(_typing: Any) -> Any:
    """Set the bits of the calling thread that take denormals for zero, in inputs and results."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word, pointer, none = ir.IntType(32), ir.IntType(8).as_pointer(), ir.VoidType()

        def called(name: str, result: Any, values: list[Any]) -> Any:
            kinds = [value.type for value in values]
            kind = ir.FunctionType(result, kinds)
            return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)

        if X86:
            place = cgutils.alloca_once(builder, word)
            address = builder.bitcast(place, pointer)
            called("llvm.x86.sse.stmxcsr", none, [address])
            builder.store(builder.or_(builder.load(place), word(FLUSH)), place)
            called("llvm.x86.sse.ldmxcsr", none, [address])
        elif ARM:
            long = ir.IntType(64)
            before = called("llvm.aarch64.get.fpcr", long, [])
            called("llvm.aarch64.set.fpcr", none, [builder.or_(before, long(FLUSH))])
        return context.get_dummy_value()

    return types.void(), code


flush: Any = intrinsic(_flush)

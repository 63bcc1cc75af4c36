"""The client of a server of streams: blocks of sound in, aligned blocks of cleaned sound out.

    stream = Remote("ws://127.0.0.1:8765", Hello(rate=48_000, format="f32"))
    for block in clean(stream, blocks):
        ...

A connection that breaks is made again, and `Remote.tell` gets to know what that cost.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

from ..audio import Samples
from .course import Course, Event, Remote
from .protocol import Hello

__all__ = ["Event", "Hello", "Remote", "aclean", "clean"]

Result = TypeVar("Result")


def clean(stream: Remote, blocks: Iterable[Samples]) -> Iterator[Samples]:
    """Yield the sound of *blocks* after the server: as many samples, aligned with the input.

    The blocks that come out are cut in another way than those that go in.

    Args:
        stream: The stream; it keeps what happened.
        blocks: Blocks (channels, n) float32. It runs in the thread of the caller.

    Raises:
        ServerError: If there is no server, it refuses, or it is lost for `patience_s`.
        AudioError: If a block has another shape.
    """
    with _Loop() as loop:
        course = Course(stream)
        try:
            for block in blocks:
                yield from loop.wait(course.send(block))
            yield from loop.wait(course.end())
        finally:
            loop.wait(course.close())


async def aclean(
    stream: Remote, blocks: AsyncIterable[Samples] | Iterable[Samples]
) -> AsyncIterator[Samples]:
    """Yield the same as `clean`, in a program that runs an event loop."""
    course = Course(stream)
    try:
        async for block in _each(blocks):
            for out in await course.send(block):
                yield out
        for out in await course.end():
            yield out
    finally:
        await course.close()


async def _each(blocks: AsyncIterable[Samples] | Iterable[Samples]) -> AsyncIterator[Samples]:
    """Yield the blocks of either kind of iterable."""
    if isinstance(blocks, AsyncIterable):
        async for block in blocks:
            yield block
    else:
        for block in blocks:
            yield block


class _Loop:
    """An event loop in a thread of its own, so that a caller who waits keeps the connection."""

    def __enter__(self) -> _Loop:
        begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=asyncio.run, args=(_until_over(begun),), daemon=True)
        self._thread.start()
        self._loop, self._over = begun.result()
        return self

    def wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Return what *work* returns; an interrupt of the caller ends it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()


async def _until_over(begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
    """Give the running loop to *begun*, with the event that ends it."""
    over = asyncio.Event()
    begun.set_result((asyncio.get_running_loop(), over))
    await over.wait()

"""Drives coroutines that never suspend: how one operation serves blocking code and asyncio alike."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def run(operation: Coroutine[Any, Any, T]) -> T:
    """Return the result of an operation over blocking I/O. It takes one step, also inside a running event loop."""
    try:
        operation.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise RuntimeError("blocking IO must not suspend")


def iterate(operation: AsyncGenerator[T, None]) -> Iterator[T]:
    """Yield what an operation over blocking I/O yields. See `run`."""
    try:
        while True:
            try:
                yield run(operation.__anext__())
            except StopAsyncIteration:
                return
    finally:
        run(operation.aclose())

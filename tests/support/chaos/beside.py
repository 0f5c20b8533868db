"""Work in a process of its own, beside that of the drill."""

import contextlib
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["beside"]


@contextlib.contextmanager
def beside(work: Callable[..., Any], *arguments: Any) -> Iterator[Connection]:
    """Do some work in a process of its own, which ends with the block; yield the pipe that its result comes from."""
    spawn = get_context("spawn")
    ours, theirs = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_send, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        process.kill()
        process.join()


def _send(pipe: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        pipe.send(work(*arguments))
    except RuntimeError as error:
        pipe.send(f"{error}")

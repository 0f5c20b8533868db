"""A TCP proxy between the pipeline and a server: what the network does to connections, on purpose.

It knows no protocol, so that it stands before an HTTP server as well as before a mongod or a bucket.
"""

import asyncio
import math
import random
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from airqino.sandbox.server import InThread

__all__ = ["KINDS", "Proxy", "Trouble"]

KINDS = {
    "refuse": "a connection is closed as soon as it is made",
    "cut": "a connection ends somewhere on the way",
    "slow": "bytes come in small pieces, with a pause after each",
    "hang": "nothing comes through, and nothing is closed",
    "corrupt": "some bytes of a connection are others",
}
"""Each kind of trouble and what both sides see."""

_PIECE, _PAUSE = 4_000, 0.01
#: How far into a connection it is cut or spoiled, in bytes: a handshake has a few hundred, many answers 100,000.
_WITHIN = (50, 100_000)
_SPOILED_BYTES = 24


@dataclass(frozen=True)
class Trouble:
    """A kind of `KINDS`, the share of the connections it hits, and the seed of its draws."""

    kind: str
    share: float = 1.0
    seed: int = 0


class Proxy(InThread):
    """A proxy on a port of loopback, in a thread of its own for as long as the `with` block lasts.

    Attributes:
        port: Where it listens.
        hit: How many connections had trouble.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        """Name the server behind it."""
        self._upstream = host, port
        self._trouble: Trouble | None = None
        self._random = random.Random(0)
        self._open: set[asyncio.StreamWriter] = set()
        self.port, self.hit = 0, 0

    @property
    def kind(self) -> str:
        """Which kind of trouble new connections have; "" for none."""
        return self._trouble.kind if self._trouble else ""

    def trouble(self, trouble: Trouble | None) -> None:
        """Let something happen to new connections, and break off those there are; None ends it."""
        self._trouble, self._random = trouble, random.Random(trouble.seed if trouble else 0)
        self._loop.call_soon_threadsafe(self._reset, list(self._open))

    async def _serve(self, started: threading.Event) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        async with server:
            await self._stop.wait()
            self._reset(list(self._open))

    @staticmethod
    def _reset(writers: Iterable[asyncio.StreamWriter]) -> None:
        for writer in writers:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        trouble = self._trouble
        if trouble and self._random.random() >= trouble.share:
            trouble = None
        self.hit += trouble is not None
        draws = random.Random(self._random.random())
        pair = [writer]
        self._open.add(writer)
        try:
            if trouble and trouble.kind == "refuse":
                return
            try:
                upstream, behind = await asyncio.open_connection(*self._upstream)
            except OSError:
                return
            pair.append(behind)
            self._open.add(behind)
            way = _Way(trouble.kind if trouble else "", draws)
            ways = [asyncio.create_task(way.carry(*ends)) for ends in ((reader, behind), (upstream, writer))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED if way.kind else asyncio.ALL_COMPLETED)
            for task in ways:
                task.cancel()
        finally:
            self._open.difference_update(pair)
            for end in pair:
                end.transport.abort() if trouble else end.close()


class _Way:
    """What one connection does to the bytes of both directions together."""

    def __init__(self, kind: str, draws: random.Random) -> None:
        self.kind, self._draws = kind, draws
        self._left = int(math.exp(draws.uniform(*map(math.log, _WITHIN))))  # bytes until something happens

    async def carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        """Carry bytes until an end has no more, or the connection is cut here."""
        try:
            while data := await source.read(_PIECE if self.kind == "slow" else 1 << 16):
                begin, self._left = self._left, self._left - len(data)
                is_here = 0 <= begin < len(data)
                if self.kind == "hang":
                    continue
                if self.kind == "slow":
                    await asyncio.sleep(_PAUSE)
                if self.kind == "corrupt" and is_here:
                    stop = min(begin + _SPOILED_BYTES, len(data))
                    data = data[:begin] + self._draws.randbytes(stop - begin) + data[stop:]
                is_cut = self.kind == "cut" and is_here
                target.write(data[:begin] if is_cut else data)
                await target.drain()
                if is_cut:
                    return
            target.write_eof()
        except OSError:
            return

"""The proxy of the drills does to connections what it says, and nothing where there is no trouble."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest
from support.hostile import http, talking
from support.proxy import Proxy, Trouble

BODY = bytes(range(256)) * 2000
ANSWER = http(BODY)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with (
        talking(lambda connection, _: connection.sendall(ANSWER)) as url,
        Proxy(int(url.rpartition(":")[2])) as between,
    ):
        yield between


def asked(proxy: Proxy, timeout: float = 10) -> bytes:
    """Ask over a new connection; return what came until its end, however it ended."""
    found = b""
    with (
        contextlib.suppress(ConnectionError),
        socket.create_connection(("127.0.0.1", proxy.port), timeout) as connection,
    ):
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        while data := connection.recv(1 << 16):
            found += data
    return found


def test_without_trouble_all_comes_through(proxy: Proxy) -> None:
    assert [asked(proxy) for _ in range(3)] == [ANSWER] * 3
    proxy.trouble(Trouble("refuse"))
    proxy.trouble(None)
    assert asked(proxy) == ANSWER
    assert proxy.hit == 0


def test_a_refused_connection_brings_nothing(proxy: Proxy) -> None:
    proxy.trouble(Trouble("refuse"))
    assert asked(proxy) == b""
    assert proxy.hit == 1


@pytest.mark.parametrize("seed", range(5))
def test_a_cut_connection_ends_before_its_end(proxy: Proxy, seed: int) -> None:
    proxy.trouble(Trouble("cut", seed=seed))
    found = asked(proxy)
    assert len(found) < 100_000 < len(ANSWER)
    assert ANSWER.startswith(found)


@pytest.mark.parametrize("seed", range(5))
def test_of_a_spoiled_answer_a_few_bytes_are_others(proxy: Proxy, seed: int) -> None:
    proxy.trouble(Trouble("corrupt", seed=seed))
    found = asked(proxy)
    assert len(found) == len(ANSWER)
    different = [at for at, (one, other) in enumerate(zip(found, ANSWER, strict=True)) if one != other]
    assert 0 < len(different) <= 24
    assert different[-1] - different[0] < 24


def test_a_dead_connection_says_nothing(proxy: Proxy) -> None:
    proxy.trouble(Trouble("hang"))
    with pytest.raises(TimeoutError):
        asked(proxy, timeout=0.5)


def test_a_slow_connection_takes_its_time_and_brings_all(proxy: Proxy) -> None:
    proxy.trouble(Trouble("slow"))
    began = time.monotonic()
    assert asked(proxy) == ANSWER
    assert time.monotonic() - began > len(ANSWER) / 4000 * 0.01 * 0.9


def test_a_share_of_the_connections_is_hit_the_same_each_time(proxy: Proxy) -> None:
    def hits() -> list[bool]:
        # no kind that needs a time limit: a busy machine may hold up the others as well
        proxy.trouble(Trouble("refuse", share=0.5, seed=3))
        return [asked(proxy) != ANSWER for _ in range(12)]

    first = hits()
    assert 2 < sum(first) < 10
    assert hits() == first

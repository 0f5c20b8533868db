"""Requests that would never end, against servers that make them so."""

import gzip
import socket
import ssl
import threading
import time
import tracemalloc
import zlib

import pytest
import requests
import trustme
from support.hostile import drip, http, serving, talking

from airqino.errors import AnswerTooLargeError, SourceTimeoutError
from airqino.source.transport import BoundedAdapter, deadline, remaining

LIMIT = 1 << 20
SOON = 0.6  # seconds


def get(url: str, seconds: float = SOON, **options) -> requests.Response:
    with requests.Session() as session, deadline(seconds):
        for scheme in ("http://", "https://"):
            session.mount(scheme, BoundedAdapter(LIMIT))
        return session.get(url, timeout=(5, 5), **options)


def bomb(megabytes: int) -> bytes:
    """Gzip of so many zeros."""
    packer, zeros = zlib.compressobj(9, zlib.DEFLATED, 31), bytes(1 << 20)
    return b"".join(packer.compress(zeros) for _ in range(megabytes)) + packer.flush()


# --- deadlines

#: What would take a server well longer than the deadline, byte by byte.
WAYS = {
    "status line": (b"", b"HTTP/1.1 200 O" + b"K" * 1000 + b"\r\n"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X-Slow: and slower\r\n" * 100),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x" * 1000),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1000),
    "last": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n", b"x" * 1000),
    "without length": (b"HTTP/1.0 200 OK\r\n\r\n", b"x" * 1000),
    "redirect": (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 1000\r\n\r\n", b"x" * 1000),
    "error": (b"HTTP/1.1 500 Oh\r\nContent-Length: 1000\r\n\r\n", b"x" * 1000),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_dripping_answer_breaks_off_at_the_deadline(way):
    head, slow = WAYS[way]

    def talk(connection: socket.socket, _: bytes) -> None:
        connection.sendall(head)
        drip(connection, slow, 0.05)

    began = time.monotonic()
    with talking(talk) as url, pytest.raises(SourceTimeoutError, match=r"no whole answer within 0\.6 s"):
        get(url)
    assert SOON <= time.monotonic() - began < SOON + 2


def test_an_endless_redirect_breaks_off_at_the_deadline():
    def talk(connection: socket.socket, _: bytes) -> None:
        time.sleep(0.1)
        connection.sendall(http(b"", "302 Found", Location="/again"))

    began = time.monotonic()
    with talking(talk) as url, pytest.raises(SourceTimeoutError):
        get(url)
    assert time.monotonic() - began < SOON + 2


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority, tmp_path) -> str:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return str(tmp_path / "ca.pem")


@pytest.mark.parametrize("where", ["handshake", "body"])
def test_the_deadline_holds_for_tls_as_well(authority, trusted, where):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    stop = threading.Event()

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            if where == "handshake":
                stop.wait(5)
                return
            with context.wrap_socket(connection, server_side=True) as secure:
                secure.recv(65536)
                secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while not stop.wait(0.05):
                    secure.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        began = time.monotonic()
        with pytest.raises(SourceTimeoutError):
            get(f"https://127.0.0.1:{server.getsockname()[1]}", verify=trusted)
        assert time.monotonic() - began < SOON + 2
        stop.set()
        thread.join()


def test_what_is_whole_in_time_is_whole_and_the_connection_serves_again():
    connections, heads, body = [], [], gzip.compress(b"abc" * 100_000)

    def talk(connection: socket.socket, request: bytes) -> None:
        connections.append(connection)
        while request:
            heads.append(request)
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            request = connection.recv(65536)

    with talking(talk) as url, requests.Session() as session:
        session.mount("http://", BoundedAdapter(LIMIT))
        for _ in range(3):
            with deadline(1):
                assert session.get(url, timeout=5).content == b"abc" * 100_000
        with deadline(1):
            session.get(url, timeout=5)
            time.sleep(1.1)  # a deadline touches no connection after its request
        assert session.get(url, timeout=5).content == b"abc" * 100_000
    assert (len(heads), len(connections)) == (5, 1)


def test_after_the_deadline_nothing_is_sent():
    asked = []
    with talking(lambda _, request: asked.append(request)) as url, pytest.raises(SourceTimeoutError):
        get(url, seconds=0)
    assert asked == []


def test_without_a_deadline_the_adapter_has_its_own():
    with serving(b"", hold=5) as url, requests.Session() as session:
        session.mount("http://", BoundedAdapter(LIMIT, seconds=0.3))
        with pytest.raises(SourceTimeoutError, match=r"within 0\.3 s"):
            session.get(url, timeout=5)


def test_the_time_that_remains_is_the_threads_own():
    assert remaining() == 60
    with deadline(5):
        assert 4.5 < remaining() <= 5
        others: list[float] = []
        thread = threading.Thread(target=lambda: others.append(remaining()))
        thread.start()
        thread.join()
        assert others == [60]
    assert remaining() == 60


# --- sizes


@pytest.mark.parametrize("framing", ["length", "one chunk", "until it closes"])
def test_a_bomb_is_left_before_it_unfolds(framing):
    body = bomb(300)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
    answer = {
        "length": head + b"Content-Length: %d\r\n\r\n" % len(body) + body,
        "one chunk": head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n",
        "until it closes": head + b"\r\n" + body,
    }[framing]
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        with serving(answer) as url, pytest.raises(AnswerTooLargeError, match="more than 1048576 bytes"):
            get(url, seconds=20)
        assert tracemalloc.get_traced_memory()[1] - before < 8 * LIMIT
    finally:
        tracemalloc.stop()


def test_an_endless_body_is_left_at_the_limit():
    sent = []

    def talk(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(bytes(65536))
            sent.append(65536)

    began = time.monotonic()
    with talking(talk) as url, pytest.raises(AnswerTooLargeError):
        get(url, seconds=20)
    assert time.monotonic() - began < 10
    assert sum(sent) < 64 * LIMIT  # what the sockets hold, and no more


def test_a_body_just_of_the_limit_is_read():
    with serving(http(bytes(LIMIT))) as url:
        assert len(get(url, seconds=20).content) == LIMIT
    with serving(http(bytes(LIMIT + 1))) as url, pytest.raises(AnswerTooLargeError):
        get(url, seconds=20)


def test_of_an_endless_error_the_beginning_is_read():
    def talk(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 503 Busy\r\n\r\nout of order")
        while True:
            connection.sendall(bytes(65536))

    with talking(talk) as url:
        response = get(url, seconds=20)
    assert (response.status_code, response.content[:12]) == (503, b"out of order")
    assert len(response.content) < 4 * 65536

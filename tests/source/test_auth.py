"""Tokens against the sandbox's own token endpoint; what the client does with them is in test_client."""

import json
import socket
import time
from collections.abc import Iterator

import pytest
import requests
from support.hostile import drip, http, serving, talking
from support.threads import together

from airqino.errors import CredentialsError, ServerError, SourceError, SourceTimeoutError
from airqino.sandbox.handlers import Account as Known
from airqino.sandbox.server import Sandbox
from airqino.source.auth import Credentials, TokenAuth
from airqino.source.transport import deadline

KNOWN = Known(client_secret="Right-S3cret", password="Right-Pa55word")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(account=KNOWN) as running:
        yield running


def auth(sandbox: Sandbox, **changes: str) -> TokenAuth:
    known = vars(KNOWN) | {"token_url": sandbox.token_url} | changes
    return TokenAuth(Credentials(**known), (1, 2))


def signed(by: TokenAuth) -> str:
    return by(requests.Request("GET", "http://127.0.0.1/").prepare()).headers["Authorization"]


def test_no_token_is_fetched_before_the_first_request(sandbox):
    auth(sandbox)
    assert sandbox.stats()["token_requests"] == 0


def test_requests_carry_the_same_token_as_long_as_it_lasts(sandbox):
    by = auth(sandbox)
    first = signed(by)
    assert first.startswith("Bearer ")
    assert sandbox.tokens.accepts(first.removeprefix("Bearer "))
    assert signed(by) == first
    assert sandbox.stats()["token_requests"] == 1


def test_a_token_thrown_away_is_replaced_by_a_refresh(sandbox):
    by = auth(sandbox)
    first = signed(by)
    by.forget()
    second = signed(by)
    assert second != first
    assert sandbox.tokens.accepts(second.removeprefix("Bearer "))
    assert sandbox.stats()["token_requests"] == 2  # a refresh: the password was not sent again after a refusal


def test_threads_that_start_together_fetch_one_token(sandbox):
    by = auth(sandbox)
    got = together(8, lambda: signed(by))
    assert len(got) == 8
    assert len(set(got)) == 1
    assert sandbox.stats()["token_requests"] == 1


def test_a_refused_user_is_named_and_no_secret_is(sandbox):
    with pytest.raises(CredentialsError, match="refused user 'nobody': invalid_grant") as caught:
        signed(auth(sandbox, username="nobody"))
    assert KNOWN.password not in f"{caught.value!r}{caught.value.__cause__!r}"


def test_secrets_are_left_out_of_the_credentials_repr():
    shown = repr(Credentials("https://auth.example/token", "client", "user", "Right-S3cret", "Right-Pa55word"))
    assert "user" in shown
    assert "Right" not in shown


# --- a token endpoint that is no good one


def elsewhere(url: str) -> TokenAuth:
    return TokenAuth(Credentials(f"{url}/token", "client", "user", "Right-S3cret", "Right-Pa55word"), (1, 2))


def granted(**changes) -> bytes:
    document = {"access_token": "abc", "token_type": "Bearer", "expires_in": 300, "refresh_token": "def"} | changes
    return http(json.dumps(document).encode(), Content_Type="application/json")


@pytest.mark.parametrize(
    "token", ["a\r\nHost: evil", "a b", "", "t\u00f6ken", "a\x00", "x" * 20_000, "\u20ac", ["a"], None, {}]
)
def test_a_token_that_cannot_stand_in_a_header_is_never_sent(token):
    with serving(granted(access_token=token)) as url, pytest.raises(ServerError, match="token endpoint"):
        signed(elsewhere(url))


@pytest.mark.parametrize("life", ["soon", "300", -5, 0, 1e300, None, [], 10**400, True])
def test_a_life_of_a_token_that_makes_no_sense_is_no_crash(life):
    with serving(granted(expires_in=life)) as url:
        by = elsewhere(url)
        for _ in range(2):
            try:
                assert signed(by) == "Bearer abc"
            except SourceError as error:
                assert "token endpoint" in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    "answer",
    [http(b"[" * 500_000), http(b"\xff\xfe"), http(b"null"), http(b"[]"), http(b'{"access_token": NaN}'), http(b"")],
)
def test_an_answer_that_is_no_token_is_the_servers_fault(answer):
    with serving(answer) as url, pytest.raises(ServerError, match=r"token endpoint (answered without a|gave no) token"):
        signed(elsewhere(url))


def test_an_endless_token_is_left():
    def talk(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b'HTTP/1.1 200 OK\r\n\r\n{"access_token": "')
        while True:
            connection.sendall(b"x" * 65536)

    with talking(talk) as url, pytest.raises(SourceError, match="bytes"):
        signed(elsewhere(url))


def test_a_dripping_token_endpoint_fails_all_who_wait_for_it_at_once():
    asked: list[bytes] = []

    def talk(connection: socket.socket, request: bytes) -> None:
        asked.append(request)
        drip(connection, granted(), 0.1)

    def sign() -> str:
        with deadline(0.6), pytest.raises(SourceTimeoutError) as caught:
            signed(by)
        return str(caught.value)

    with talking(talk) as url:
        by = elsewhere(url)
        began = time.monotonic()
        outcomes = together(5, sign)
    assert time.monotonic() - began < 1.5
    assert outcomes == ["the token endpoint did not answer in time"] * 5
    assert len(asked) == 1


def test_wrong_credentials_are_sent_once_for_all_who_wait(sandbox):
    by = auth(sandbox, password="Wr0ng")

    def sign() -> str:
        with pytest.raises(CredentialsError) as caught:
            signed(by)
        return str(caught.value)

    outcomes = together(6, sign)
    assert len(outcomes) == 6
    assert sandbox.stats()["token_requests"] < 6
    with pytest.raises(CredentialsError):  # who comes later tries again
        signed(by)


def test_what_the_endpoint_says_of_a_refusal_is_told_without_secrets():
    refusal = {"error": "invalid\r\n_grant", "error_description": "Right-Pa55word is\x1b[31m wrong " + "x" * 1000}
    body = http(json.dumps(refusal).encode(), "400 Bad Request", Content_Type="application/json")
    with serving(body) as url, pytest.raises(CredentialsError, match=r"refused user 'user': .*wrong") as caught:
        signed(elsewhere(url))
    assert str(caught.value).isprintable()
    assert "Right-" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_secrets_and_tokens_are_taken_out_of_texts(sandbox):
    by = auth(sandbox)
    token = signed(by).removeprefix("Bearer ")
    text = by.redact(f"no {token}, no Right-Pa55word, no Right-S3cret, no BEARER abc.def, no eyJhbGci.eyJzdWIi.sig-1")
    assert text == "no …, no …, no …, no BEARER … no …"

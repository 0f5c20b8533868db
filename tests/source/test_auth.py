"""Tokens against the sandbox's own token endpoint; what the client does with them is in test_client."""

import threading
from collections.abc import Iterator

import pytest
import requests

from airqino.errors import CredentialsError
from airqino.sandbox.handlers import Account
from airqino.sandbox.server import Sandbox
from airqino.source.auth import Credentials, TokenAuth

KNOWN = Account(client_secret="Right-S3cret", password="Right-Pa55word")


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
    by, start, got = auth(sandbox), threading.Barrier(8), []

    def sign() -> None:
        start.wait()
        got.append(signed(by))

    threads = [threading.Thread(target=sign) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
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

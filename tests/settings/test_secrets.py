"""Secrets are masked however a library spells them, and nothing else is."""

import json
from urllib.parse import quote

import pytest

from tasks.settings import secrets
from tasks.settings.secrets import redact

SECRET = 'p@ss/w"ö%rd?'


@pytest.fixture(autouse=True)
def configured(monkeypatch):
    for name, value in {
        "AIRQINO_CLIENT_SECRET": "kundengeheimnis",
        "AIRQINO_PASSWORD": SECRET,
        "MONGODB_URI": "mongodb+srv://etl:mongo%2Fgeheim@db.example.org/air_quality?tls=true",
        "ALERT_URLS": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/ json://ops:hookgeheim@127.0.0.1:8080/alerts",
        "ALERT_HEARTBEAT_URL": "https://hc.example.org/ping/0f9a2c1e-1234-4bcd-9e10-aabbccddeeff",
        "PUSHGATEWAY_URL": "http://push:pushgeheim@127.0.0.1:9091",
    }.items():
        monkeypatch.setenv(name, value)
    secrets._secrets.cache_clear()
    yield
    secrets._secrets.cache_clear()


@pytest.mark.parametrize(
    "secret",
    [
        SECRET,
        quote(SECRET, safe=""),
        json.dumps(SECRET)[1:-1],
        "kundengeheimnis",
        "mongo/geheim",
        "mongo%2Fgeheim",
        "hookgeheim",
        "TIiajkdnlazkcOXrIdevi7FQ",
        "0f9a2c1e-1234-4bcd-9e10-aabbccddeeff",
        "pushgeheim",
    ],
)
def test_a_configured_secret_is_masked_in_every_spelling(secret):
    assert redact(f"before {secret} after") == "before **** after"


def test_a_database_password_is_masked_however_wrong_the_connection_string(monkeypatch):
    for uri in ("mongodb://etl:hunter2secret%40db:1/", "mongodb://etl:hunter2secret:db:1", "etl:hunter2secret@db:1/"):
        monkeypatch.setenv("MONGODB_URI", uri)
        secrets._secrets.cache_clear()
        assert "hunter2secret" not in redact(f"{uri}: host hunter2secret is not known")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer eyJhbGciOi.J9-x_y", "Authorization: Bearer ****"),
        ('{"access_token": "eyJhbGciOi.J9", "x": 1}', '{"access_token": "****", "x": 1}'),
        ("postgresql://who:knows@db/x", "postgresql://who:****@db/x"),
        ("grant_type=password&password=abc&x=1", "grant_type=password&password=****&x=1"),
    ],
)
def test_what_looks_like_a_secret_is_masked_too(text, masked):
    assert redact(text) == masked


def test_what_people_need_stays():
    text = (
        "MongoDB at mongodb+srv://db.example.org/air_quality cannot be reached; json at 127.0.0.1:8080 for alerts; "
        "station 283181971, 2024-09-09T10: HTTP 503 from https://hc.example.org/ping"
    )
    assert redact(text) == text

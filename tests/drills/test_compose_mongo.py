"""The compose file's MongoDB with real mongods: made, made again, and closed to whoever has no password or no TLS."""

import subprocess
from pathlib import Path

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure, ServerSelectionTimeoutError
from support.composed import COMPOSE, Members
from support.deployment import ROOT

pytestmark = pytest.mark.drill


def test_three_members_with_tls_and_a_first_user(tmp_path: Path) -> None:
    members = Members(tmp_path, "r00t-of-the-drill")
    try:
        made = members.initiate()
        assert (made.returncode, made.stderr) == (0, ""), made.stderr
        assert made.stdout.splitlines()[-1] == "user root"
        again = members.initiate()
        assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
        assert members.certificates() == "", "certificates that are there stay"

        with MongoClient(members.uri) as client:
            client.drill.things.insert_one({"_id": 1})
            states = client.admin.command("replSetGetStatus")["members"]
            assert sorted(member["stateStr"] for member in states) == ["PRIMARY", "SECONDARY", "SECONDARY"]
        with (
            MongoClient(members.of("root", "wrong")) as client,
            pytest.raises(OperationFailure, match="Authentication failed"),
        ):
            client.admin.command("ping")
        plain = {"directConnection": True, "serverSelectionTimeoutMS": 1000}
        with MongoClient("localhost", members.ports[0], **plain) as client, pytest.raises(ServerSelectionTimeoutError):
            client.admin.command("ping")
    finally:
        members.stop()


def test_a_server_certificate_that_ends_soon_is_made_again(tmp_path: Path) -> None:
    script = str(ROOT / COMPOSE["services"]["certificates"]["command"][0])
    subprocess.run([script, str(tmp_path), "mongo1"], check=True, capture_output=True)
    server, ca = (tmp_path / "server.pem"), (tmp_path / "ca.pem").read_bytes()
    assert server.stat().st_mode & 0o777 == 0o400
    # one of the same key and CA that ends in 29 days
    request = ["openssl", "req", "-new", "-key", "server.pem", "-subj", "/CN=mongo1", "-out", "csr"]
    sign = ["openssl", "x509", "-req", "-in", "csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "29", "-out", "crt"]
    for command in (request, sign):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "crt").replace(server)
    done = subprocess.run([script, str(tmp_path), "mongo1"], check=True, capture_output=True, text=True)
    assert done.stdout.startswith(f"made {server}")
    verified = subprocess.run(
        ["openssl", "verify", "-CAfile", "ca.pem", "-verify_hostname", "mongo1", "server.pem"], cwd=tmp_path
    )
    assert verified.returncode == 0
    assert (tmp_path / "ca.pem").read_bytes() == ca

"""What a person is told of a server with TLS and passwords that cannot be used; and that a good one can."""

import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from support.deployment import ROOT
from support.secured import ADMIN_PASSWORD, Certificates, ReplicaSet

from airqino.errors import MongoError
from airqino.sandbox.mongod import UNCOMPRESSED, Mongod, find_mongod, free_port
from airqino.stores import mongo, writes

SECRET = "S3cret"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    """One member that is called ``localhost``, with users that may this and that."""
    folder = tmp_path_factory.mktemp("secured")
    certificates = Certificates(folder / "tls")
    made = ReplicaSet(folder, certificates, certificates.issue("server", "localhost"), members=1)
    with made.client(made.admin_uri) as client:
        client.secured.command("createUser", "reader", pwd=SECRET, roles=["read"])
    yield made
    made.stop()


def connect(uri: str, **options: str) -> mongo.Database:
    return mongo.database(uri, "secured", 0.7, 2.0, **options)


def read_and_write(uri: str, **options: str) -> None:
    db = connect(uri, **options)
    mongo.ping(db)
    mongo.find_one(db, "loads", "x")
    writes.replace(db, "loads", [{"_id": "x", "note": SECRET}])


def refusal(uri: str, **options: str) -> str:
    """What somebody is told who asks to read and to write, on one line and without a password."""
    with pytest.raises(MongoError) as caught:
        read_and_write(uri, **options)
    told = str(caught.value)
    assert "\n" not in told
    assert SECRET not in f"{told} {caught.value.__cause__!r}"
    assert ADMIN_PASSWORD not in told
    return told


def test_with_the_right_ca_and_password_it_is_written_and_read(server: ReplicaSet) -> None:
    db = connect(server.admin_uri, tls_ca_file=str(server.ca_file))
    mongo.ping(db)
    writes.replace(db, "loads", [{"_id": "x", "n": 1}])
    assert mongo.find_one(db, "loads", "x") == {"_id": "x", "n": 1}


def test_tls_options_in_the_connection_string_do_the_same(server: ReplicaSet) -> None:
    mongo.ping(connect(f"{server.admin_uri}&tls=true&tlsCAFile={server.ca_file}"))


def test_a_client_certificate_is_shown_where_the_server_wants_one(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path / "tls")
    with tls_server(tmp_path, certificates, certificates.issue("server", "localhost")) as port:
        uri = f"mongodb://localhost:{port}/?directConnection=true"
        ours = certificates.issue("ours", "pipeline.example")
        ca = {"tls_ca_file": str(certificates.ca_file)}
        assert "a certificate of ours (MONGODB_CERTIFICATE_KEY_FILE)" in refusal(uri, **ca)
        db = mongo.database(uri, "secured", 0.8, 2.0, tls_certificate_key_file=str(ours), **ca)
        mongo.ping(db)


class tls_server:  # noqa: N801
    """A mongod that wants a certificate of its clients."""

    def __init__(self, folder: Path, certificates: Certificates, certificate: Path, *options: str) -> None:
        self.port = free_port()
        (folder / "data").mkdir()
        command = [
            *(str(find_mongod()), "--dbpath", str(folder / "data"), "--logpath", str(folder / "mongod.log")),
            *("--bind_ip", "127.0.0.1", "--port", f"{self.port}", "--nounixsocket", "--quiet", *UNCOMPRESSED, *options),
            *("--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(certificate)),
            *("--tlsCAFile", str(certificates.ca_file)),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def __enter__(self) -> int:
        for _ in range(200):
            try:
                ssl.get_server_certificate(("localhost", self.port), timeout=1)
                break
            except ssl.SSLError:
                break
            except OSError:
                threading.Event().wait(0.05)
        return self.port

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def greeter(tmp_path: Path) -> Iterator[tuple[Certificates, "Greeter"]]:
    made = Greeter()
    yield Certificates(tmp_path / "tls"), made
    made.close()


class Greeter:
    """A TLS server with any certificate: mongod itself does not start with an expired one."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def show(self, certificate: Path) -> str:
        """Greet with this certificate from now on; return the connection string."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)

        def serve() -> None:
            while True:
                try:
                    connection, _ = self.listener.accept()
                    context.wrap_socket(connection, server_side=True).close()
                except ssl.SSLError:
                    continue
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        return f"mongodb://localhost:{self.port}/?directConnection=true"

    def close(self) -> None:
        self.listener.close()


def test_an_expired_certificate_is_told(greeter: tuple[Certificates, Greeter]) -> None:
    certificates, server = greeter
    past = datetime.now(UTC) - timedelta(days=1)
    told = refusal(
        server.show(certificates.issue("old", "localhost", not_after=past)), tls_ca_file=str(certificates.ca_file)
    )
    assert told == (
        f"MongoDB at mongodb://localhost:{server.port}/secured: the server's TLS certificate has expired; renew it on "
        "the server, or set this machine's clock"
    )


def test_another_ca_is_told(server: ReplicaSet, tmp_path: Path) -> None:
    other = Certificates(tmp_path).ca_file
    told = refusal(server.admin_uri, tls_ca_file=str(other))
    assert told == (
        f"MongoDB at mongodb://localhost:{server.ports[0]}/secured: the server's TLS certificate is not signed by a CA "
        "known here; name the right one in MONGODB_CA_FILE ([mongo] tls_ca_file)"
    )
    assert "not signed by a CA" in refusal(f"{server.admin_uri}&tls=true")  # the system's


def test_another_host_name_is_told(greeter: tuple[Certificates, Greeter], server: ReplicaSet) -> None:
    certificates, other = greeter
    told = refusal(other.show(certificates.issue("other", "db.example")), tls_ca_file=str(certificates.ca_file))
    assert told.endswith(
        "the server's TLS certificate is made for another host; name the server in MONGODB_URI as its certificate "
        "does, or have one made for this name"
    )
    uri = server.admin_uri.replace("localhost", "127.0.0.1") + "&directConnection=true"
    assert "is made for another address; name the server" in refusal(uri, tls_ca_file=str(server.ca_file))


def test_a_wrong_password_is_told(server: ReplicaSet) -> None:
    uri = server.uri("reader", f"not-{SECRET}", "secured")
    assert "refused: it does not know this user with this password; check both in MONGODB_URI" in refusal(
        uri, tls_ca_file=str(server.ca_file)
    )


def test_no_password_where_one_is_wanted_is_told(server: ReplicaSet) -> None:
    told = refusal(server.uri(), tls_ca_file=str(server.ca_file))
    assert told.endswith("refused: it wants a user and a password, and MONGODB_URI names none; put them into it")


def test_what_a_user_may_not_is_told_without_what_was_sent(server: ReplicaSet) -> None:
    told = refusal(server.uri("reader", SECRET, "secured"), tls_ca_file=str(server.ca_file))
    assert told.endswith(
        "refused: the user of MONGODB_URI may not update on secured.loads; scripts/mongo-users makes users that may"
    )


def test_a_server_with_tls_asked_without_is_told(server: ReplicaSet) -> None:
    assert "the server closes the connection; it may want TLS (MONGODB_CA_FILE" in refusal(server.admin_uri)


def test_a_server_without_tls_asked_with_is_told(mongod: Mongod, server: ReplicaSet) -> None:
    told = refusal(mongod.uri.replace("127.0.0.1", "localhost"), tls_ca_file=str(server.ca_file))
    assert "the TLS handshake failed; does the server speak TLS on this port?" in told


def test_a_file_that_is_no_certificate_is_told(server: ReplicaSet, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    assert "a TLS file holds no usable certificate or key" in refusal(
        server.admin_uri, tls_ca_file=str(tmp_path / "ca.pem")
    )
    (tmp_path / "key.pem").write_bytes(trustme.CA().cert_pem.bytes())  # no key in it
    ours = {"tls_ca_file": str(server.ca_file), "tls_certificate_key_file": str(tmp_path / "key.pem")}
    assert "a TLS file holds no usable certificate or key" in refusal(server.admin_uri, **ours)


def test_tls_switched_off_and_on_at_once_is_told(server: ReplicaSet) -> None:
    told = refusal(f"{server.admin_uri}&tls=false", tls_ca_file=str(server.ca_file))
    assert told.endswith("MONGODB_URI says tls=false, yet [mongo] names a TLS file; drop one of them")


def test_a_cluster_that_the_dns_does_not_know_is_told() -> None:
    told = refusal(f"mongodb+srv://user:{SECRET}@cluster0.nosuch.invalid/")
    assert told.startswith("MongoDB: there is no such cluster in the DNS")


@pytest.mark.parametrize(
    ("variable", "option"),
    [("MONGODB_CA_FILE", "tls_ca_file"), ("MONGODB_CERTIFICATE_KEY_FILE", "tls_certificate_key_file")],
)
def test_a_missing_file_stops_a_command_before_anything_is_done(tmp_path: Path, variable: str, option: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tasks.cli", "status"],
        env={variable: f"{tmp_path}/none.pem", "STAGING_ROOT": str(tmp_path / "staging")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {variable} ([mongo] {option}) = '{tmp_path}/none.pem': the file cannot be read (No such file or "
        "directory)\n"
    )
    assert not (tmp_path / "staging").exists()

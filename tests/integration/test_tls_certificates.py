"""Certificates: which one is shown to whom, clients that show theirs, and files that change while the server runs."""

import json
import os
import signal
import ssl
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.integration.client import Cut, request_bytes
from tests.integration.harness import Server
from tests.integration.lab import PLAIN
from tests.integration.load import Load
from tests.integration.secure import (
    CERTIFICATES,
    SERVER,
    TlsClient,
    ask,
    fetched,
    s_client,
    trusting,
    typed_request,
    url,
)
from tests.integration.shared import running
from tests.integration.waiting import wait_until

NAMES = f"""
certfile = "{CERTIFICATES}/localhost.crt"
keyfile = "{CERTIFICATES}/localhost.key"
sni_certificates = {{
    "shop.example": "{CERTIFICATES}/shop.pem",
    "*.example": ["{CERTIFICATES}/wildcard.pem", "{CERTIFICATES}/wildcard.pem"],
}}
"""
WATCHED_S = 8.0  # the master looks once a second


@pytest.fixture(scope="module", params=["sync", "gthread"])
def named(request: pytest.FixtureRequest) -> Iterator[Server]:
    with running(Server, kind=request.param, config=NAMES) as server:
        yield server


def shown(server: Server, name: str = "localhost") -> str:
    """The name in the certificate. OpenSSL takes no star before a single label, so names are compared by the tests."""
    context = trusting()
    context.check_hostname = False
    with TlsClient(server.address, context=context, name=name) as client:
        assert client.get("/pid").status == 200
        return client.shown()


@pytest.mark.parametrize(
    ("name", "certificate"),
    [
        ("shop.example", "shop.example"),
        ("SHOP.example", "shop.example"),
        ("api.example", "any.example"),
        ("localhost", "localhost"),
        ("127.0.0.1", "localhost"),
    ],
)
def test_the_name_that_a_client_asks_for_chooses_the_certificate(named: Server, name: str, certificate: str) -> None:
    assert shown(named, name) == certificate


def test_a_name_that_nobody_has_gets_the_first_certificate(named: Server) -> None:
    assert shown(named, "deep.api.example") == "localhost"
    assert "localhost" in s_client(named, "-noservername", typed=typed_request("/")).text


def test_curl_says_the_name_and_the_application_sees_it(named: Server) -> None:
    assert not isinstance(named.address, str)
    port = named.address[1]
    answer = fetched("--resolve", f"shop.example:{port}:127.0.0.1", f"https://shop.example:{port}/environ")
    environ = json.loads(answer)
    assert (environ["HTTP_HOST"], environ["SSL_TLS_SNI"]) == (f"shop.example:{port}", "shop.example")


# Clients that show a certificate


@pytest.fixture(scope="module", params=[0, 1, 2], ids=["none", "optional", "required"])
def asking(request: pytest.FixtureRequest) -> Iterator[tuple[Server, int]]:
    options = ["--certfile", str(CERTIFICATES / "localhost.pem"), "--ca-certs", str(CERTIFICATES / "ca.pem")]
    kind = "sync" if request.param == 1 else "gthread"
    with running(Server, kind=kind, options=[*options, "--cert-reqs", str(request.param)]) as server:
        yield server, request.param


def environ_of(server: Server, certificate: str | None, version: ssl.TLSVersion) -> dict[str, str] | None:
    """None: no answer."""
    context = trusting(certificate, minimum_version=version, maximum_version=version)
    try:
        with TlsClient(server.address, context=context) as client:
            response = client.get("/environ")
    except (ssl.SSLError, Cut, ConnectionError):
        return None
    environ = json.loads(response.body)
    return {name: value for name, value in environ.items() if name.startswith("SSL_CLIENT_")}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_certificates_are_asked_for_as_configured(
    asking: tuple[Server, int], version: ssl.TLSVersion
) -> None:
    server, wanted = asking
    without = environ_of(server, None, version)
    with_one = environ_of(server, "client", version)
    if wanted == 2:
        assert without is None
    else:
        assert without is not None
        assert without.get("SSL_CLIENT_VERIFY", "NONE") == "NONE"
        assert "SSL_CLIENT_CERT" not in without
    assert with_one is not None
    if wanted:
        assert with_one["SSL_CLIENT_VERIFY"] == "SUCCESS"
        assert "CN=a client" in with_one["SSL_CLIENT_S_DN"]
        assert "BEGIN CERTIFICATE" in with_one["SSL_CLIENT_CERT"]
    else:
        assert "SSL_CLIENT_S_DN" not in with_one


def test_a_client_certificate_of_another_authority_is_refused(asking: tuple[Server, int], tmp_path: Path) -> None:
    """Self-signed here: nobody trusts it."""
    server, wanted = asking
    if wanted:
        ends = s_client(server, "-cert", str(self_signed(tmp_path)), typed=typed_request("/bytes/5"))
        assert "xxxxx" not in ends.text
        assert "alert" in ends.text
    assert environ_of(server, "client", ssl.TLSVersion.TLSv1_3) is not None


def self_signed(directory: Path) -> Path:
    path = directory / "self.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-subj", "/CN=nobody", "-keyout", str(directory / "key"), "-out", str(directory / "crt")]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text((directory / "crt").read_text() + (directory / "key").read_text())
    return path


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_resumed_session_still_knows_the_certificate_of_its_client(
    asking: tuple[Server, int], version: ssl.TLSVersion
) -> None:
    server, wanted = asking
    context = trusting("client", minimum_version=version, maximum_version=version)
    with TlsClient(server.address, context=context) as first:
        before = json.loads(first.get("/environ").body)
        session = first.tls.session
    with TlsClient(server.address, context=context, session=session) as second:
        assert second.tls.session_reused
        after = json.loads(second.get("/environ").body)
    assert (before["SSL_SESSION_RESUMED"], after["SSL_SESSION_RESUMED"]) == ("Initial", "Resumed")
    for name in ("SSL_CLIENT_VERIFY", "SSL_CLIENT_S_DN", "SSL_CLIENT_CERT"):
        assert after.get(name) == before.get(name)
    assert after["SSL_CLIENT_VERIFY"] == ("SUCCESS" if wanted else "NONE")


def test_forged_fields_never_look_like_a_certificate(asking: tuple[Server, int]) -> None:
    server, wanted = asking
    fields = [("SSL_CLIENT_VERIFY", "SUCCESS"), ("SSL-CLIENT-S-DN", "CN=root"), ("HTTPS", "off")]
    context = trusting("client" if wanted == 2 else None)
    with TlsClient(server.address, context=context) as client:
        environ = json.loads(client.get("/environ", fields).body)
    assert environ["HTTPS"] == "on"
    assert "root" not in environ.get("SSL_CLIENT_S_DN", "")
    assert environ.get("SSL_CLIENT_VERIFY", "NONE") == ("SUCCESS" if wanted == 2 else "NONE")


# Files that change


class Changing:
    """A server whose certificate lies in its own directory."""

    def __init__(self, server: Server, kind: str, options: Sequence[str] = (), workers: int = 2) -> None:
        self.server = server
        self.file = server.home / "site.pem"
        self.put("localhost")
        server.home.chmod(0o755)
        (server.home / "plain.py").write_text(PLAIN)
        options = ["--certfile", str(self.file), *options]
        server.start("plain:application", kind=kind, workers=workers, options=options)
        server.wait_ready()

    def put(self, name: str) -> None:
        """As certbot does it: another file, which nobody else may read, takes the place of the old one at once."""
        fresh = self.server.home / "fresh.pem"
        fresh.touch(mode=0o600)
        fresh.write_text((CERTIFICATES / f"{name}.pem").read_text())
        os.replace(fresh, self.file)

    def wait_shown(self, name: str) -> None:
        wait_until(lambda: all_shown(self.server) == {name}, f"everybody is shown {name}", WATCHED_S)


def all_shown(server: Server, count: int = 6) -> set[str]:
    """By several connections at once, so that every worker has a chance."""
    clients = [TlsClient(server.address) for _ in range(count)]
    try:
        return {client.shown() for client in clients}
    finally:
        for client in clients:
            client.close()


def test_renewed_certificate_is_shown_without_a_failed_request(make_server: Callable[..., Server], kind: str) -> None:
    changing = Changing(make_server(), kind)
    server = changing.server
    workers = server.worker_pids()
    with (
        Load(server.address, clients=3, pause_s=0.02, make=lambda: TlsClient(server.address)) as load,
        TlsClient(server.address) as kept,
    ):
        assert kept.get("/pid").status == 200
        for name in ("renewed", "rsa"):
            changing.put(name)
            changing.wait_shown(name)
            load.wait_for(20)
        assert kept.get("/pid").status == 200
    load.tally.assert_nothing_failed()
    assert server.worker_pids() == workers


def test_bad_new_certificate_is_refused_with_one_line_and_the_old_one_kept(make_server: Callable[..., Server]) -> None:
    changing = Changing(make_server(), "gthread")
    server = changing.server
    began = server.log_end()
    other_key = (CERTIFICATES / "renewed.pem").read_text().partition("-----BEGIN PRIVATE KEY-----")[0]
    other_key += (CERTIFICATES / "localhost.key").read_text()
    for content in (other_key, None):
        since = server.log_end()
        if content is None:
            changing.file.unlink()
        else:
            changing.file.write_text(content)
        server.wait_log(r"\[WARNING\].*certificate", since, deadline_s=WATCHED_S)
        assert all_shown(server) == {"localhost"}
    changing.put("renewed")
    changing.wait_shown("renewed")
    assert len([line for line in server.log(began).splitlines() if "[WARNING]" in line]) == 2


def test_reload_with_a_bad_certificate_keeps_the_old_generation(make_server: Callable[..., Server], kind: str) -> None:
    changing = Changing(make_server(), kind)
    server = changing.server
    before = server.worker_pids()
    with Load(server.address, clients=2, pause_s=0.02, make=lambda: TlsClient(server.address)) as load:
        load.wait_for(10)
        changing.file.write_text("rubbish")
        since = server.log_end()
        server.send_signal(signal.SIGHUP)
        server.wait_log("reload failed: .*certfile", since)
        load.wait_for(10)
        assert server.worker_pids() == before
        changing.put("renewed")
        since = server.log_end()
        server.send_signal(signal.SIGHUP)
        server.wait_ready(2, since)
        changing.wait_shown("renewed")
    load.tally.assert_nothing_failed()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_renewal_reaches_workers_that_may_not_read_the_key(make_server: Callable[..., Server], kind: str) -> None:
    changing = Changing(make_server(), kind, ["--user", "nobody", "--group", "nogroup"])
    server = changing.server
    assert ask(server, "/ids") == "65534 65534"
    changing.put("renewed")
    changing.wait_shown("renewed")
    since = server.log_end()
    os.kill(server.worker_pids()[0], signal.SIGKILL)
    server.wait_ready(1, since)
    assert all_shown(server) == {"renewed"}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("certfile = '/no/such/file'", "certfile: .*/no/such/file"),
        (f"keyfile = '{CERTIFICATES}/localhost.key'", "keyfile|certfile"),
        (f"certfile = '{CERTIFICATES}/localhost.crt'", "keyfile|certfile"),
        (f"certfile = '{CERTIFICATES}/localhost.crt'; keyfile = '{CERTIFICATES}/encrypted.key'", "keyfile"),
        (f"certfile = '{CERTIFICATES}/localhost.pem'; ciphers = 'NONSENSE'", "ciphers"),
        (f"certfile = '{CERTIFICATES}/localhost.pem'; ca_certs = '/no/such'", "ca_certs"),
        (f"certfile = '{CERTIFICATES}/localhost.pem'; cert_reqs = 2", "ca_certs"),
    ],
)
def test_tls_that_cannot_work_is_one_clear_line_at_the_start(
    make_server: Callable[..., Server], lines: str, said: str
) -> None:
    server = make_server()
    (server.home / "c.py").write_text(lines.replace("; ", "\n") + "\n")
    server.start("contract:application", options=["--config", "c.py"])
    assert server.wait_exit(20) == 1
    server.wait_log(f"Error: .*({said})")
    assert "Traceback" not in server.log()
    assert [line for line in server.log().splitlines() if "[INFO]" not in line] == [server.log().splitlines()[-1]]


HOOK = f"""
import os
import ssl

def ssl_context(config, default_factory):
    context = default_factory()
    with open(os.path.join(os.environ["CONTRACT_DIR"], "called"), "a") as file:
        print(os.getpid(), file=file)
    assert config.certfile.endswith("localhost.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context

certfile = "{CERTIFICATES}/localhost.pem"
"""


def test_ssl_context_hook_has_the_last_word(serve: Callable[..., Server], kind: str) -> None:
    server = serve(kind=kind, config=HOOK)
    assert s_client(server, typed=typed_request("/")).version == "TLSv1.2"
    assert s_client(server, "-tls1_3", typed=typed_request("/")).version is None
    assert set(server.notes("called")) == {str(server.master)}


def test_ciphers_choose_what_is_spoken(serve: Callable[..., Server]) -> None:
    server = serve(options=[*SERVER, "--ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384"])
    found = s_client(server, "-tls1_2", typed=typed_request("/"))
    assert "Cipher is ECDHE-ECDSA-AES256-GCM-SHA384" in found.text
    assert s_client(server, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256").version is None


def test_command_line_names_certificates(serve: Callable[..., Server]) -> None:
    parts = f"{CERTIFICATES}/wildcard.pem,{CERTIFICATES}/wildcard.pem"
    server = serve(
        options=[
            *("--certfile", str(CERTIFICATES / "localhost.crt"), "--keyfile", str(CERTIFICATES / "localhost.key")),
            *("--sni-certificate", f"shop.example={CERTIFICATES}/shop.pem"),
            *("--sni-certificate", f"*.example={parts}", "--do-handshake-on-connect", "--suppress-ragged-eofs"),
        ]
    )
    assert [shown(server, name) for name in ("shop.example", "b.example", "localhost")] == [
        "shop.example",
        "any.example",
        "localhost",
    ]
    with TlsClient(server.address) as client:
        client.send(request_bytes("GET", "/pid"))
        assert client.read_response().status == 200
    assert "https://127.0.0.1:" in server.log()
    assert fetched(url(server, "/bytes/1")) == b"x"

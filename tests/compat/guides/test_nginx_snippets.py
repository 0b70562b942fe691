"""The Nginx sites of the guides before the servers of the guides, with a real Nginx.

Changed are the paths of certificates and static files, and the ports where tests have no network of their own.
"""

import gzip
import json
import os
import re
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.compat.guides.site import Site
from tests.integration.client import Client, Response, request_bytes
from tests.integration.harness import free_port
from tests.integration.proxy import CONFIG, HTTP, Nginx, find_tool
from tests.integration.waiting import wait_until

# What a client says of itself must not be believed.
CLAIMED = [("X-Forwarded-Proto", "gopher"), ("X-Forwarded-For", "198.51.100.7"), ("X-Real-IP", "198.51.100.7")]


class Front(Nginx):
    """Nginx with the site of a guide. `ports[80]` is the port that stands for 80 here."""

    def __init__(self, site: Site, paths: dict[str, str]) -> None:
        text = site.text((site.home / "nginx.conf").read_text())
        for path, ours in paths.items():
            assert path in text
            text = text.replace(path, ours)
        self.ports: dict[int, int] = {}
        for port in map(int, re.findall(r"(?m)^    listen (\d+)\b", text)):
            self.ports[port] = port if site.apart else free_port()
            text = text.replace(f"    listen {port}", f"    listen {self.ports[port]}")
        self.address = ("127.0.0.1", self.ports[80])
        self.home = Path(tempfile.mkdtemp(prefix="ostler-nginx-"))
        user = "user root;" if os.geteuid() == 0 else ""
        http = HTTP.format(home=self.home)
        (self.home / "nginx.conf").write_text(CONFIG.format(user=user, home=self.home, modules="", blocks=http))
        (self.home / "site.conf").write_text(text)
        self.process = subprocess.Popen(
            [find_tool("nginx"), "-p", self.home, "-e", self.home / "error.log", "-c", self.home / "nginx.conf"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self.listening, "nginx listens")

    def get(self, host: str, target: str, *fields: tuple[str, str], tls: bool = False) -> Response:
        return self.ask(host, request_bytes("GET", target, fields), tls)

    def ask(self, host: str, request: bytes, tls: bool = False) -> Response:
        with Client(("127.0.0.1", self.ports[443 if tls else 80])) as client:
            if tls:
                context = ssl.create_default_context()
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE  # the certificate is the test's own
                client.socket = context.wrap_socket(client.socket, server_hostname=host)
            client.send(request.replace(b"Host: localhost", b"Host: " + host.encode(), 1))
            return client.read_response()


@pytest.fixture
def front() -> Iterator[Callable[..., Front]]:
    started: list[Front] = []

    def start(site: Site, paths: dict[str, str]) -> Front:
        started.append(Front(site, paths))
        return started[-1]

    yield start
    for nginx in started:
        nginx.stop()


def test_site_of_the_production_guide(site: Callable[..., Site], front: Callable[..., Front]) -> None:
    here = site("production")
    here.start("ostler --workers 3 --bind 0.0.0.0:8000 run:app", 3)
    (here.home / "style.css").write_text("p { color: green }")
    proxy = front(here, {"/path/to/static/": f"{here.home}/"})
    seen = json.loads(proxy.get("yourdomain.com", "/seen?a=b", *CLAIMED).body)
    assert seen["fields"] == {
        "Host": "yourdomain.com",
        "X-Real-IP": "127.0.0.1",
        "X-Forwarded-For": "198.51.100.7, 127.0.0.1",
        "X-Forwarded-Proto": "http",
    }
    assert (seen["scheme"], seen["url"], seen["peer"]) == ("http", "http://yourdomain.com/seen?a=b", "127.0.0.1")
    assert proxy.get("yourdomain.com", "/static/style.css").text == "p { color: green }"


@pytest.fixture
def flask(site: Callable[..., Site]) -> Site:
    """The guide's server behind the guide's Nginx, with a folder each for static files and uploads."""
    here = site("flask")
    here.launch("ostler wsgi:app -c gunicorn.conf.py --workers 2")
    wait_until(lambda: here.logs.joinpath("error.log").exists(), "the log is there")
    wait_until(lambda: (here.logs / "error.log").read_text().count("worker ready") == 2, "both are ready")
    for folder in ("static", "uploads"):
        (here.home / folder).mkdir()
        (here.home / folder / "file.txt").write_text(folder)
    return here


def certificate(home: Path) -> dict[str, str]:
    """The guide's paths and a certificate of the test's own in their place."""
    key, chain = home / "privkey.pem", home / "fullchain.pem"
    command = [find_tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-nodes", "-days", "1", "-subj", "/CN=midominio.com", "-keyout", str(key), "-out", str(chain)]
    subprocess.run(command, check=True, capture_output=True, timeout=20)
    said = "/etc/letsencrypt/live/midominio.com"
    return {f"{said}/fullchain.pem": str(chain), f"{said}/privkey.pem": str(key)}


def test_site_of_the_flask_guide(flask: Site, front: Callable[..., Front]) -> None:
    folders = {f"/home/ubuntu/miapp/{name}/": f"{flask.home}/{name}/" for name in ("static", "uploads")}
    proxy = front(flask, certificate(flask.home) | folders)
    host = "midominio.com"

    moved = proxy.get(host, "/seen?a=b")
    assert (moved.status, moved.field("Location")) == (301, f"https://{host}/seen?a=b")

    seen = json.loads(proxy.get(host, "/seen?a=b", *CLAIMED, tls=True).body)
    assert (seen["scheme"], seen["url"]) == ("https", f"https://{host}/seen?a=b")
    assert seen["fields"]["X-Forwarded-Proto"] == "https"
    assert seen["fields"]["X-Forwarded-For"] == "198.51.100.7, 127.0.0.1"
    assert (seen["fields"]["X-Real-IP"], seen["fields"]["Host"]) == ("127.0.0.1", host)

    for folder in ("static", "uploads"):
        file = proxy.get(host, f"/{folder}/file.txt", tls=True)
        assert (file.text, file.field("Expires") is not None) == (folder, True)

    long = proxy.get(host, "/long", ("Accept-Encoding", "gzip"), tls=True)
    assert long.field("Content-Encoding") == "gzip"
    assert len(json.loads(gzip.decompress(long.body))["lines"]) == 200

    upload = bytes(1000) * 2000
    assert proxy.ask(host, request_bytes("POST", "/size", body=upload), tls=True).text == "2000000"
    too_large = request_bytes("POST", "/size", [("Content-Length", str(17 * 1024 * 1024)), ("Connection", "close")])
    assert proxy.ask(host, too_large, tls=True).status == 413

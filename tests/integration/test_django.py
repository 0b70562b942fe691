"""Django 5 over every kind: admin, form with CSRF, static files, streaming, and an upload of 50 MB."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.client import Browser
from tests.integration.harness import APPS, Server
from tests.integration.proxy import Nginx

UPLOAD = os.urandom(1 << 20) * 50
DIGEST = f"{len(UPLOAD)} {hashlib.sha256(UPLOAD).hexdigest()}"
APP = "django_site.wsgi:application"


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database with one administrator, made once and copied for each test."""
    home = tmp_path_factory.mktemp("django")
    environment = {**os.environ, "DJANGO_SITE_DIR": str(home), "PYTHONPATH": str(APPS)}
    subprocess.run([sys.executable, "-m", "django_site.prepare"], env=environment, check=True, timeout=60)
    return home / "site.sqlite3"


@pytest.fixture
def site(make_server: Callable[..., Server], database: Path, kind: str) -> Callable[..., Server]:
    def start(transport: str = "tcp") -> Server:
        server = make_server(transport)
        shutil.copy(database, server.home)
        (server.home / "file.bin").write_bytes(UPLOAD[:3_000_000])
        server.start(APP, kind=kind)
        server.wait_ready()
        return server

    return start


def csrf_token(page: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert found, page[:500]
    return found[1]


def test_admin_lets_an_administrator_in(site: Callable[..., Server]) -> None:
    browser = Browser(site().address)
    assert browser.get("/admin/").field("Location") == "/admin/login/?next=/admin/"
    token = csrf_token(browser.get("/admin/login/").text)
    login = {"username": "admin", "password": "horse", "csrfmiddlewaretoken": token, "next": "/admin/"}
    assert browser.post_form("/admin/login/", {**login, "password": "wrong"}).status == 200
    assert browser.post_form("/admin/login/", login).field("Location") == "/admin/"
    page = browser.get("/admin/")
    assert page.status == 200
    assert "Site administration" in page.text
    assert browser.get("/static/admin/css/base.css").status == 200


def test_form_static_file_streaming_and_file_response(site: Callable[..., Server]) -> None:
    server = site()
    browser = Browser(server.address)
    assert browser.post_form("/form/", {"name": "Ada"}).status == 403  # no CSRF token yet
    token = csrf_token(browser.get("/form/").text)
    assert browser.post_form("/form/", {"name": "Ada", "csrfmiddlewaretoken": token}).status == 302
    assert browser.get("/").text == "hello Ada"
    style = browser.get("/static/site.css")
    assert (style.status, style.field("Content-Type")) == (200, "text/css")
    with server.client() as client:
        assert client.get("/stream/").text == "".join(f"line {number}\n" for number in range(1000))
        assert client.get("/file/").body == UPLOAD[:3_000_000]
        assert client.request("HEAD", "/file/").field("Content-Length") == "3000000"


def test_upload_of_50_megabytes_arrives_whole(site: Callable[..., Server], transport: str) -> None:
    answer = Browser(site(transport).address).post_file("/upload/", "file", UPLOAD)
    assert answer.text == DIGEST


def test_upload_and_admin_work_behind_nginx(site: Callable[..., Server], nginx: Callable[..., Nginx]) -> None:
    browser = Browser(nginx(site("unix").address).address)
    assert browser.post_file("/upload/", "file", UPLOAD).text == DIGEST
    assert browser.get("/file/").body == UPLOAD[:3_000_000]
    assert "csrfmiddlewaretoken" in browser.get("/admin/login/").text

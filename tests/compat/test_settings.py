"""Settings whose effect can be seen on one server: it is started once with all of them, and each test looks at one.

The settings that need a server of their own are in test_processes.py and test_logging.py.
"""

import json
from collections.abc import Iterator

import pytest

from tests.compat.command import open_files, title_of, wait_serving, wait_text
from tests.compat.conftest import begin
from tests.compat.covering import covers
from tests.integration.client import Response, request_bytes
from tests.integration.harness import Server
from tests.integration.waiting import wait_until

CONFIG = """
raw_env = ["FROM_CONFIG=two words"]
umask = 0o027
pidfile = "HOME/pid"
control_socket_disable = True
sendfile = False
tmp_upload_dir = "HOME/uploads"
permit_obsolete_folding = True
strip_header_spaces = True
permit_unconventional_http_method = True
permit_unconventional_http_version = True
casefold_http_method = True
accesslog = "HOME/access.log"
access_log_format = "json"
access_log_skip = ["/health", "/static/*"]
error_log_json = True
proc_name = "mixed"
"""
FILE_BYTES = 24 * 1024 * 1024


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One worker, with all of CONFIG."""
    server = Server()
    begin(server, "--bind", "unix:HOME/other.sock", config=CONFIG, files={"uploads/.keep": ""})
    try:
        wait_serving(server)
        yield server
        assert server.stop() == 0
        assert not (server.home / "pid").exists(), "the pid file is taken away"
    finally:
        server.kill_leftovers()
        server.hang_up()
        server.remove()


def raw(server: Server, head: str) -> Response:
    with server.client() as client:
        client.send(head.encode())
        return client.read_response()


@covers("setting:raw_env")
def test_raw_env_is_in_the_environment_of_the_application(server: Server) -> None:
    assert server.get("/variable/FROM_CONFIG").text == "two words"


@covers("setting:umask")
def test_umask_takes_rights_from_socket_files_and_from_nothing_of_the_application(server: Server) -> None:
    assert (server.home / "other.sock").stat().st_mode & 0o777 == 0o750
    assert server.get("/sleep/0").status == 200
    assert (server.home / "sleeping").stat().st_mode & 0o777 == 0o644


@covers("setting:pidfile")
def test_pidfile_has_the_pid_of_the_master(server: Server) -> None:
    assert int((server.home / "pid").read_text()) == server.master


@covers("setting:control_socket_disable")
def test_a_disabled_control_socket_is_not_there(server: Server) -> None:
    assert not list(server.runtime.iterdir())


@covers("setting:proc_name", "setting:default_proc_name")
def test_proc_name_is_in_the_titles_of_all_processes(server: Server) -> None:
    """It wins over default_proc_name, the name of the application."""
    assert "master [mixed]" in title_of(server.master)
    (worker,) = server.worker_pids()
    assert "worker [mixed]" in title_of(worker)


@covers("setting:sendfile")
def test_without_sendfile_a_file_is_closed_before_its_client_has_read_it(server: Server) -> None:
    """The kernel would need it open to the last byte; what was read is kept elsewhere until the client takes it."""
    path = server.home / "file.bin"
    path.write_bytes(bytes(FILE_BYTES))
    (worker,) = server.worker_pids()
    with server.client() as client:
        client.send(request_bytes("GET", "/file"))
        response = client.read_head()
        wait_until(lambda: str(path) not in open_files(worker), "the file is closed")
        client.read_body(response, "GET")
        assert len(response.body) == FILE_BYTES


@covers("setting:tmp_upload_dir")
def test_large_bodies_wait_in_tmp_upload_dir(server: Server) -> None:
    body = bytes(1024 * 1024)
    (worker,) = server.worker_pids()
    with server.client() as client:
        client.send(request_bytes("POST", "/digest", [("Content-Length", str(len(body)))]) + body[:-1])
        directory = str(server.home / "uploads")
        wait_until(lambda: any(name.startswith(directory) for name in open_files(worker)), "the body is there")
        client.send(body[-1:])
        assert client.read_response().text.startswith(str(len(body)))


@covers("setting:permit_obsolete_folding")
def test_folded_fields_are_joined_when_permitted(server: Server) -> None:
    shown = json.loads(raw(server, "GET /environ HTTP/1.1\r\nHost: a\r\nX-Long: one\r\n  two\r\n\r\n").body)
    assert shown["HTTP_X_LONG"] == "one two"
    assert raw(server, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n").status == 400


@covers("setting:strip_header_spaces")
def test_spaces_before_a_colon_are_dropped_when_permitted(server: Server) -> None:
    shown = json.loads(raw(server, "GET /environ HTTP/1.1\r\nHost: a\r\nX-Odd : one\r\n\r\n").body)
    assert shown["HTTP_X_ODD"] == "one"
    assert raw(server, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello").status == 400


@covers("setting:permit_unconventional_http_method", "setting:casefold_http_method")
def test_odd_methods_pass_in_upper_case_when_permitted(server: Server) -> None:
    assert raw(server, "m#x /method HTTP/1.1\r\nHost: a\r\n\r\n").text == "M#X HTTP/1.1"


@covers("setting:permit_unconventional_http_version")
def test_odd_versions_are_served_when_permitted(server: Server) -> None:
    assert raw(server, "GET /method HTTP/2.0\r\nHost: a\r\n\r\n").text == "GET HTTP/1.1"


@covers("setting:access_log_skip")
def test_paths_that_are_skipped_leave_no_line_and_others_are_one_json_object(server: Server) -> None:
    for target in ("/health", "/static/a.css", "/healthy", "/bytes/3?last"):
        server.get(target)
    text = wait_text(server.home / "access.log", lambda text: "last" in text, "the last request")
    lines = [json.loads(line) for line in text.splitlines()]
    assert all(isinstance(line, dict) for line in lines)
    assert 200 in lines[-1].values()
    assert "/healthy" in text
    assert '"/health"' not in text
    assert "/static" not in text


@covers("setting:error_log_json")
def test_lines_of_the_error_log_are_json_objects(server: Server) -> None:
    assert server.get("/raise-before").status == 500
    server.wait_log("raised before start_response")
    lines = [json.loads(line) for line in server.log().splitlines() if line]
    assert any("worker ready" in str(line) for line in lines)
    assert any("RuntimeError" in str(line) for line in lines), "a traceback is part of its object"


@covers("environ:RAW_URI", "environ:wsgi.input_terminated", "environ:SERVER_SOFTWARE", "env:SERVER_SOFTWARE")
def test_the_environ_has_what_gunicorn_adds(server: Server) -> None:
    shown = json.loads(server.get("/%65nviron?c=%20d").body)
    assert shown["RAW_URI"] == "/%65nviron?c=%20d"
    assert shown["wsgi.input_terminated"] is True
    assert shown["SERVER_SOFTWARE"].startswith("ostler/")
    assert server.get("/variable/SERVER_SOFTWARE").text == shown["SERVER_SOFTWARE"]


@covers("environ:StopIteration")
def test_an_application_that_raises_stop_iteration_ends_its_connection_and_the_log_says_so(server: Server) -> None:
    since = server.log_end()
    with server.client() as client:
        client.send(request_bytes("GET", "/stop"))
        assert client.at_end()
    assert server.get("/").status == 200
    assert "the application ended the connection (StopIteration)" in server.log(since)

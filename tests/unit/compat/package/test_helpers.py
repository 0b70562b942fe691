"""compat/package: sock.py, systemd.py, pidfile.py, reloader.py, and what of util.py writes beside the real one."""

import logging
import os
import socket
import ssl
import sys
import threading

import pytest

from ostler.compat.cfg import Config
from ostler.compat.package import pidfile, reloader, sock, systemd, util
from ostler.compat.workers.gthread import ThreadWorker

their_util = pytest.importorskip("gunicorn.util")
LOG = logging.getLogger("test_helpers")


def cfg(**values):
    made = Config()
    for name, value in values.items():
        made.set(name, value)
    made.validate()
    return made


def test_sockets_listen_where_the_cfg_says(tmp_path):
    path = str(tmp_path / "s")
    conf = cfg(bind=["127.0.0.1:0", f"unix:{path}"], backlog=7)
    tcp, unix = sock.create_sockets(conf, LOG)
    assert (type(tcp), type(unix), tcp.cfg_addr, unix.cfg_addr) == (
        sock.TCPSocket, sock.UnixSocket, ("127.0.0.1", 0), path,
    )  # fmt: skip
    host, port = tcp.getsockname()
    assert (str(tcp), str(unix), tcp.FAMILY) == (f"http://{host}:{port}", f"unix:{path}", socket.AF_INET)
    with socket.create_connection((host, port)):
        assert tcp.get_backlog() == (1 if sys.platform == "linux" else -1)
    (taken_over,) = sock.create_sockets(conf, LOG, [os.dup(tcp.fileno())])
    assert str(taken_over) == str(tcp)
    taken_over.close()
    sock.close_sockets([tcp, unix])
    assert not os.path.exists(path)
    assert tcp.sock is None


def test_an_address_that_cannot_be_bound_ends_the_process(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is not a socket"):
        sock.create_sockets(cfg(bind=[f"unix:{tmp_path}/file"]), LOG)
    with pytest.raises(SystemExit):
        sock.create_sockets(cfg(bind=["198.51.100.7:1"]), LOG)
    assert "Can't connect to ('198.51.100.7', 1)" in caplog.text


def test_tls_is_what_the_server_would_speak():
    made = []

    def hook(config, factory):
        made.append(factory())
        return made[0]

    pem = "tests/certificates/localhost.pem"
    context = sock.ssl_context(cfg(certfile=pem, ssl_context=hook))
    assert isinstance(context, ssl.SSLContext)
    assert made == [context]
    conf = cfg(certfile=pem)
    here, there = socket.socketpair()
    with here, there, sock.ssl_wrap_socket(here, conf) as wrapped:
        assert wrapped.server_side
    listening = sock.TCPSocket(("127.0.0.1", 0), conf, LOG)
    assert str(listening).startswith("https://127.0.0.1:")
    listening.close()


def test_systemd_is_heard_and_told(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "2")
    assert (systemd.listen_fds(unset_environment=False), systemd.listen_fds(), systemd.listen_fds()) == (2, 2, 0)
    assert systemd.SD_LISTEN_FDS_START == 3
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        systemd.sd_notify("READY=1", LOG, unset_environment=True)
        assert manager.recv(99) == b"READY=1"
    assert "NOTIFY_SOCKET" not in os.environ
    systemd.sd_notify("READY=1", LOG)
    monkeypatch.setenv("NOTIFY_SOCKET", "/no/such")
    with caplog.at_level(logging.DEBUG):
        systemd.sd_notify("READY=1", LOG)
    assert "does not take the notification" in caplog.text


def test_a_pid_file_names_who_lives(tmp_path):
    path = tmp_path / "pid"
    file = pidfile.Pidfile(str(path))
    assert file.validate() is None
    file.create(os.getpid())
    assert (path.read_text(), path.stat().st_mode & 0o777) == (f"{os.getpid()}\n", 0o644)
    file.create(os.getpid())
    file.rename(str(tmp_path / "other"))
    assert not path.exists()
    file.unlink()
    file.unlink()
    assert list(tmp_path.iterdir()) == []
    path.write_text(f"{os.getppid()}\n")
    with pytest.raises(RuntimeError, match=f"Already running on PID {os.getppid()} "):
        pidfile.Pidfile(str(path)).create(1)
    for stale in ("", "x", "0", str(2**40)):
        path.write_text(stale)
        assert not pidfile.Pidfile(str(path)).validate()
    with pytest.raises(RuntimeError, match=r"doesn't exist\. Can't create pidfile"):
        pidfile.Pidfile("/no/such/pid").create(1)
    somewhere = pidfile.Pidfile("")
    somewhere.create(5)
    os.unlink(somewhere.fname)


def test_a_reloader_tells_of_changed_files(tmp_path):
    assert {name: kind.engine for name, kind in reloader.reloader_engines.items()} == {
        "auto": "auto", "poll": "poll", "inotify": "inotify",
    }  # fmt: skip
    file = tmp_path / "settings.ini"
    file.write_text("a")
    changed = threading.Event()
    watcher = reloader.reloader_engines["auto"](callback=lambda name: name == str(file) and changed.set())
    watcher.add_extra_file(str(file))
    assert str(file) in watcher.get_files()
    assert __file__ in watcher.get_files()
    watcher.start()
    file.write_text("bc")
    assert changed.wait(10)
    watcher.stop()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("write", (b"abc",)), ("write", (b"abc", True)), ("write_chunk", ("",)), ("write_nonblock", (b"x", True)),
        ("write_nonblock", (b"x",)),
    ],
)  # fmt: skip
def test_what_is_written_is_what_gunicorn_writes(name, arguments):
    sent = []
    for module in (util, their_util):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            getattr(module, name)(ours, *arguments)
            ours.shutdown(socket.SHUT_WR)
            sent.append(theirs.recv(999))
    assert sent[0] == sent[1]


def test_an_error_page_shows_text_and_not_markup():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        util.write_error(ours, 400, "Bad Request", "<script>")
        page = theirs.recv(9999).decode()
        assert not ours.getblocking()
    assert page.startswith("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n")
    assert "&lt;script&gt;" in page
    assert int(page.split("Content-Length: ")[1].split("\r\n")[0]) == len(page.split("\r\n\r\n")[1])


def test_small_helpers(tmp_path, capsys):
    assert util.hop_headers == their_util.hop_headers
    assert (util.is_hoppish(" Connection"), util.is_hoppish("X")) == (True, False)
    assert util.load_class("gthread") is ThreadWorker
    with pytest.raises(KeyError):
        util.reraise(KeyError, None)
    util.check_is_writable(str(tmp_path / "log"))
    with pytest.raises(RuntimeError, match="isn't writable"):
        util.check_is_writable(str(tmp_path))
    util.warn("a\nb")
    assert capsys.readouterr().err == "!!!\nWARNING: a\nWARNING: b\n!!!\n\n"

import pytest

from ostler.config.address import (
    FdAddress,
    StatsdAddress,
    SyslogAddress,
    TcpAddress,
    UnixAddress,
    parse_address,
    parse_allow_list,
    parse_statsd_address,
    parse_syslog_address,
)
from ostler.config.parse import BadValue


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8000", TcpAddress("127.0.0.1", 8000)),
        ("localhost", TcpAddress("localhost", 8000)),
        ("LOCALHOST:1", TcpAddress("localhost", 1)),
        (":8080", TcpAddress("0.0.0.0", 8080)),
        ("0.0.0.0:0", TcpAddress("0.0.0.0", 0)),
        ("[::1]:80", TcpAddress("::1", 80)),
        ("[::]", TcpAddress("::", 8000)),
        ("[FE80::1]:65535", TcpAddress("fe80::1", 65535)),
        ("tcp://example.org:81", TcpAddress("example.org", 81)),
        ("tcp://[::1]:81", TcpAddress("::1", 81)),
        ("unix:run/app.sock", UnixAddress("run/app.sock")),
        ("unix:/run/app.sock", UnixAddress("/run/app.sock")),
        ("unix://run/app.sock", UnixAddress("run/app.sock")),
        ("unix:///run/app.sock", UnixAddress("/run/app.sock")),
        (" 127.0.0.1:1 ", TcpAddress("127.0.0.1", 1)),
        ("[fe80::1%eth0]:80", TcpAddress("fe80::1%eth0", 80)),
        ("unix:@ostler/http", UnixAddress("ostler/http", abstract=True)),
        ("unix://@ostler", UnixAddress("ostler", abstract=True)),
        ("unix:\0ostler", UnixAddress("ostler", abstract=True)),
        ("unix:./@ostler", UnixAddress("./@ostler")),
        ("fd://0", FdAddress(0)),
        ("fd://17", FdAddress(17)),
        ("fd://http", FdAddress(None, "http")),
        ("fd://my-site.socket", FdAddress(None, "my-site.socket")),
    ],
)
def test_an_address_is_read(text, expected):
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "HOST:PORT"),
        ("tcp://", "HOST:PORT"),
        ("localhost:", "port number from 0 to 65535"),
        ("localhost:http", "port number from 0 to 65535"),
        ("localhost:65536", "port number from 0 to 65535"),
        ("localhost:-1", "port number from 0 to 65535"),
        ("localhost:\N{ARABIC-INDIC DIGIT EIGHT}", "port number from 0 to 65535"),
        ("[::1]:", "port number from 0 to 65535"),
        ("8000", "write :8000"),
        ("::1", "needs brackets, e.g. [::1]:8000"),
        ("a:1:2", "HOST:PORT"),
        ("[nonsense]:80", "must hold an IPv6 address"),
        ("[::1", "HOST:PORT"),
        ("http://localhost:80", "without a scheme"),
        ("/run/app.sock", "unix:PATH"),
        ("unix:", "unix:PATH"),
        ("unix:@", "unix:@NAME"),
        ("unix:\0", "unix:@NAME"),
        ("unix:@a\0b", "unix:@NAME"),
        ("unix:/run/a\0b", "unix:PATH"),
        ("fd://", "fd://NUMBER, or fd://NAME"),
        ("fd://-1", "fd://NUMBER, or fd://NAME"),
        ("fd://12345678901", "fd://NUMBER, or fd://NAME"),
        ("fd://a:b", "fd://NUMBER, or fd://NAME"),
        ("fd://a b", "fd://NUMBER, or fd://NAME"),
        ("fd://\N{ARABIC-INDIC DIGIT EIGHT}", "fd://NUMBER, or fd://NAME"),
    ],
)
def test_what_is_no_address_is_refused_with_a_cure(text, words):
    with pytest.raises(BadValue) as caught:
        parse_address(text)
    assert words in caught.value.message("bind", "the command line")


def test_a_port_that_is_none_is_shown_with_its_host():
    with pytest.raises(BadValue) as caught:
        parse_address("localhost:port")
    assert caught.value.message("bind", "the command line") == (
        'bind: expected a port number from 0 to 65535 after the colon, got "localhost:port" (from the command line)'
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("udp://localhost:514", SyslogAddress("udp", "localhost", 514)),
        ("udp://LOGS", SyslogAddress("udp", "logs", 514)),
        ("udp://", SyslogAddress("udp", "localhost", 514)),
        ("udp://:515", SyslogAddress("udp", "localhost", 515)),
        ("tcp://10.0.0.1:601", SyslogAddress("tcp", "10.0.0.1", 601)),
        ("tcp://[::1]", SyslogAddress("tcp", "::1", 514)),
        ("tcp://[::1]:601", SyslogAddress("tcp", "::1", 601)),
        ("unix:///dev/log", SyslogAddress("unix", path="/dev/log")),
        ("unix:///dev/log#dgram", SyslogAddress("unix-dgram", path="/dev/log")),
        ("unix:///dev/log#stream", SyslogAddress("unix", path="/dev/log")),
        ("unix://run/log", SyslogAddress("unix", path="run/log")),
    ],
)
def test_an_address_of_syslog_is_read(text, expected):
    assert parse_syslog_address(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "udp://HOST:PORT"),
        ("localhost:514", "udp://HOST:PORT"),
        ("http://localhost", "udp://HOST:PORT"),
        ("unix:/dev/log", "udp://HOST:PORT"),
        ("unix://", "udp://HOST:PORT"),
        ("unix://#dgram", "udp://HOST:PORT"),
        ("udp://localhost:syslog", "port number from 0 to 65535"),
        ("udp://localhost:", "port number from 0 to 65535"),
        ("udp://::1", "needs brackets"),
        ("tcp://[x]:1", "must hold an IPv6 address"),
    ],
)
def test_what_is_no_address_of_syslog_is_refused(text, words):
    with pytest.raises(BadValue) as caught:
        parse_syslog_address(text)
    assert words in caught.value.message("syslog_addr", "the command line")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost:8125", StatsdAddress("localhost", 8125)),
        ("METRICS", StatsdAddress("metrics", 8125)),
        (":9125", StatsdAddress("localhost", 9125)),
        ("[::1]:9125", StatsdAddress("::1", 9125)),
        ("tcp://metrics:1", StatsdAddress("metrics", 1)),
        ("unix:8125", StatsdAddress("unix", 8125)),
        ("unix:///run/statsd.sock", StatsdAddress(path="/run/statsd.sock")),
        ("unix:/run/statsd.sock", StatsdAddress(path="/run/statsd.sock")),
        ("unix://run/statsd.sock", StatsdAddress(path="run/statsd.sock")),
    ],
)
def test_an_address_of_statsd_is_read(text, expected):
    assert parse_statsd_address(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "HOST:PORT or unix://PATH"),
        ("unix:", "HOST:PORT or unix://PATH"),
        ("unix://", "HOST:PORT or unix://PATH"),
        ("udp://metrics:1", "without a scheme"),
        ("fd://3", "without a scheme"),
        ("metrics:port", "port number from 0 to 65535"),
        ("::1", "needs brackets"),
    ],
)
def test_what_is_no_address_of_statsd_is_refused(text, words):
    with pytest.raises(BadValue) as caught:
        parse_statsd_address(text)
    assert words in caught.value.message("statsd_host", "the command line")


@pytest.mark.parametrize(
    "text", ["udp://localhost:514", "tcp://[::1]:601", "unix:///dev/log", "unix:///dev/log#dgram"]
)
def test_an_address_of_syslog_prints_as_it_is_written(text):
    assert str(parse_syslog_address(text)) == text


@pytest.mark.parametrize("text", ["localhost:8125", "[::1]:8125", "unix:///run/statsd.sock"])
def test_an_address_of_statsd_prints_as_it_is_written(text):
    assert str(parse_statsd_address(text)) == text


def test_an_address_prints_as_it_is_written():
    assert str(TcpAddress("127.0.0.1", 80)) == "127.0.0.1:80"
    assert str(TcpAddress("::1", 80)) == "[::1]:80"
    assert str(UnixAddress("/run/a.sock")) == "unix:/run/a.sock"
    assert str(UnixAddress("a", abstract=True)) == "unix:@a"
    assert str(FdAddress(3)) == "fd://3"
    assert str(FdAddress(None, "http")) == "fd://http"


@pytest.mark.parametrize(
    ("text", "host", "expected"),
    [
        ("127.0.0.1,::1", "127.0.0.1", True),
        ("127.0.0.1,::1", "::1", True),
        ("127.0.0.1,::1", "127.0.0.2", False),
        ("127.0.0.1", "::ffff:127.0.0.1", True),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1", True),
        ("10.0.0.0/8", "10.255.0.1", True),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("fe80::/10", "fe80::1%eth0", True),
        ("10.0.0.0/8", "fe80::1", False),
        ("*", "anything", True),
        ("10.0.0.1,*", "11.0.0.1", True),
        ("", "127.0.0.1", False),
        ("127.0.0.1", "", False),
        ("127.0.0.1", "not an address", False),
    ],
)
def test_an_allow_list_knows_its_peers(text, host, expected):
    assert parse_allow_list(text).allows(host) is expected


def test_an_allow_list_prints_as_it_was_given():
    assert str(parse_allow_list(" 10.0.0.0/8 , ::1,")) == "10.0.0.0/8,::1"


def test_a_network_with_host_bits_is_refused_and_the_meant_one_named():
    with pytest.raises(BadValue, match="host bits") as caught:
        parse_allow_list("192.168.1.1/24")
    assert caught.value.cure == 'it has host bits set; did you mean "192.168.1.0/24"?'


def test_a_name_is_no_network():
    with pytest.raises(BadValue):
        parse_allow_list("proxy.example.org")

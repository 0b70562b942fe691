import pytest

from ostler.config.address import TcpAddress, UnixAddress, parse_address, parse_allow_list
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
        ("unix:@name", "abstract sockets are not built yet"),
        ("unix:\0name", "abstract sockets are not built yet"),
        ("unix:/run/a\0b", "unix:PATH"),
        ("fd://3", "fd://) are not built yet"),
    ],
)
def test_what_is_no_address_is_refused_with_a_cure(text, words):
    with pytest.raises(BadValue) as caught:
        parse_address(text)
    assert words in caught.value.message("bind", "the command line")


def test_an_address_prints_as_it_is_written():
    assert str(TcpAddress("127.0.0.1", 80)) == "127.0.0.1:80"
    assert str(TcpAddress("::1", 80)) == "[::1]:80"
    assert str(UnixAddress("/run/a.sock")) == "unix:/run/a.sock"


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

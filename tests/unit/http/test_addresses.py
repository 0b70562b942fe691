"""`http/addresses.py`: one spelling for each address, and no number with two."""

from ipaddress import IPv6Address

import pytest

from ostler.http.addresses import ipv4, ipv6, ipv6_text, port


@pytest.mark.parametrize("text", ["0.0.0.0", "192.0.2.1", "255.255.255.255"])
def test_an_ipv4_address_is_itself(text: str) -> None:
    assert ipv4(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "192.0.2", "192.0.2.1.1", "192.0.2.256", "192.0.2.01", " 192.0.2.1", "192.0.2.1/32", "::1", "1", "\xb9"],
)
def test_what_is_no_ipv4_address(text: str) -> None:
    assert ipv4(text) is None


@pytest.mark.parametrize(
    ("text", "usual"),
    [
        ("::", "::"),
        ("::1", "::1"),
        ("2001:DB8::A", "2001:db8::a"),
        ("2001:0db8:0:0:0:0:0:1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ("::FFFF:c000:201", "::ffff:192.0.2.1"),
        ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
    ],
)
def test_an_ipv6_address_has_one_spelling(text: str, usual: str) -> None:
    assert ipv6(text) == usual
    assert ipv6_text(IPv6Address(text)) == usual


@pytest.mark.parametrize("text", ["", ":", "1", "192.0.2.1", "[::1]", "fe80::1%eth0", "1::2::3", "::12345", "::1/128"])
def test_what_is_no_ipv6_address(text: str) -> None:
    assert ipv6(text) is None


def test_ports() -> None:
    assert [port(text) for text in ("0", "1", "443", "65535")] == [0, 1, 443, 65535]
    for text in ("", "00", "01", "65536", "100000", "+1", "-1", "0x1", "1 ", "\u0661", "\xb2"):
        assert port(text) is None

"""Settings about proxies: who is believed, how far, and in which protocol."""

import pytest

from ostler.config.address import AllowList, parse_allow_list
from ostler.config.parse import BadValue
from ostler.config.sections.proxies import read_allow_list, read_proxy_mode, read_trusted_hops
from ostler.config.settings import Settings


def test_by_default_nothing_is_believed_but_the_connection():
    settings = Settings.defaults()
    assert (settings.remote_addr_from, settings.trusted_hops) == ("peer", 1)
    assert (settings.proxy_protocol, settings.protocol) == ("off", "http")
    for allowed in (settings.proxy_allow_ips, settings.uwsgi_allow_ips, settings.forwarded_allow_ips):
        assert allowed.allows("127.0.0.1")
        assert allowed.allows("::1")
        assert not allowed.allows("10.0.0.1")


def test_nobody_is_in_an_empty_list():
    assert read_allow_list("") == read_allow_list(None) == AllowList()
    with pytest.raises(BadValue):
        read_allow_list(["10.0.0.1"])


@pytest.mark.parametrize(("raw", "count"), [(1, 1), (2, 2), ("3", 3), (" 4 ", 4)])
def test_hops_can_be_counted(raw, count):
    assert read_trusted_hops(raw) == count


def test_hops_can_be_networks():
    assert read_trusted_hops("10.0.0.0/8, 192.0.2.7,fd00::/8") == parse_allow_list("10.0.0.0/8,192.0.2.7,fd00::/8")


@pytest.mark.parametrize("raw", [0, -1, "0", "-1", 1.5, True, None, "", " ", ",", "ten", "10.0.0.1/8", ["10.0.0.1"]])
def test_what_is_neither(raw):
    with pytest.raises(BadValue, match="a number of proxies of 1 or more"):
        read_trusted_hops(raw)


def test_a_network_with_host_bits_is_mended():
    with pytest.raises(BadValue, match="a number of proxies") as caught:
        read_trusted_hops("10.0.0.1/8")
    assert "did you mean" in caught.value.message("trusted_hops", "a file")


@pytest.mark.parametrize("raw", ["*", "10.0.0.1,*"])
def test_believing_every_hop_is_believing_the_client(raw):
    with pytest.raises(BadValue, match="a number of proxies") as caught:
        read_trusted_hops(raw)
    assert "say how many proxies there are" in caught.value.message("trusted_hops", "a file")


@pytest.mark.parametrize(
    ("mode", "spellings"),
    [
        ("off", [None, False, "off", "OFF", "false", "0", "none"]),
        ("auto", [True, "auto", " Auto ", "true", "1"]),
        ("v1", ["v1", "V1"]),
        ("v2", ["v2"]),
    ],
)
def test_modes_of_the_proxy_protocol_in_every_spelling_of_gunicorn(mode, spellings):
    assert [read_proxy_mode(raw) for raw in spellings] == [mode] * len(spellings)


@pytest.mark.parametrize("raw", ["", "v3", "on", "yes", 0, 1, 2, []])
def test_what_is_no_mode(raw):
    with pytest.raises(BadValue, match="off, v1, v2 or auto"):
        read_proxy_mode(raw)

"""The chapter "TLS": names with their files, in every spelling."""

import ssl

import pytest

from ostler.config.parse import BadValue
from ostler.config.sections import ENTRIES
from ostler.config.sections.tls import read_named_certificates

BY_NAME = {entry.name: entry for entry in ENTRIES}


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (None, {}),
        ("", {}),
        ([], {}),
        ({}, {}),
        ({"shop.example": "both.pem"}, {"shop.example": ("both.pem", None)}),
        ({"Shop.Example.": ["cert.pem", "key.pem"]}, {"shop.example": ("cert.pem", "key.pem")}),
        ({"*.example": ("both.pem",)}, {"*.example": ("both.pem", None)}),
        ({"bücher.example": "b.pem"}, {"xn--bcher-kva.example": ("b.pem", None)}),
        ("a.example=cert.pem,key.pem", {"a.example": ("cert.pem", "key.pem")}),
        (["a=one.pem", "*.b=two.pem, key.pem"], {"a": ("one.pem", None), "*.b": ("two.pem", "key.pem")}),
    ],
)
def test_names_and_their_files(raw, found):
    assert read_named_certificates(raw) == found


@pytest.mark.parametrize(
    "raw",
    [
        5,
        "cert.pem",
        ["=cert.pem"],
        ["a="],
        ["a=cert,"],
        [5],
        {"": "a.pem"},
        {"*": "a.pem"},
        {"*.": "a.pem"},
        {"*.*.example": "a.pem"},
        {"a..b": "a.pem"},
        {"-a": "a.pem"},
        {"a b": "a.pem"},
        {"x" * 64: "a.pem"},
        {5: "a.pem"},
        {"a": ""},
        {"a": []},
        {"a": ["1", "2", "3"]},
        {"a": None},
        {"a": "1", "A": "2"},
        ["a=1", "a=2"],
    ],
)
def test_what_is_neither_a_name_nor_a_file_is_refused(raw):
    with pytest.raises(BadValue):
        read_named_certificates(raw)


def test_what_clients_need_is_the_ssl_modules_number():
    read = BY_NAME["cert_reqs"].read
    assert [read(value) for value in (ssl.CERT_NONE, ssl.CERT_OPTIONAL, "2")] == [0, 1, 2]
    for value in (3, -1, None, "required"):
        with pytest.raises(BadValue):
            read(value)

"""What a server must make of a client's frames: one row a case, with the section of RFC 6455 (or 7692) that says so.

A row is section, name, bytes of the client, events. `Closed(code, ...)` at a row's end: with `by_client` the client
closed and is answered; without, it broke a rule and is told so with that code. Every row is read whole, byte by byte
and with garbage behind it (tests/websocket/test_cases.py).
"""

from dataclasses import dataclass

from ostler.http.websocket_deflate import DeflateTerms
from ostler.http.websocket_events import Binary, Closed, Event, Ping, Pong, Text
from tests.websocket.wire import binary, close, frame, last, more, ping, pong, squeeze, text


@dataclass(frozen=True)
class Case:
    """One row."""

    section: str
    name: str
    sent: bytes
    events: tuple[Event, ...]
    limit: int = 0
    terms: DeflateTerms | None = None

    @property
    def id(self) -> str:
        return f"{self.section}: {self.name}"


def left(code: int, reason: str = "") -> Closed:
    """The client closed."""
    return Closed(code, reason, by_client=True)


def fails(code: int) -> Closed:
    """The client broke a rule; the reason is ours, and not compared."""
    return Closed(code, "")


KOSME = "κόσμε"
EURO = "€".encode()
SMILE = "😀".encode()
DEFLATE = DeflateTerms()
BITS = tuple(range(256))

FRAMES = (
    # -- messages in one frame -----------------------------------------------------------------------------------
    Case("5.6", "an empty text", text(""), (Text(""),)),
    Case("5.6", "an empty binary", binary(b""), (Binary(b""),)),
    Case("5.6", "a text", text("Hello"), (Text("Hello"),)),
    Case("5.7", "the masked text of the RFC's examples", bytes.fromhex("818537fa213d7f9f4d5158"), (Text("Hello"),)),
    Case("5.6", "a binary with every byte", binary(bytes(BITS)), (Binary(bytes(BITS)),)),
    Case("5.6", "a text with a NUL", text("a\0b"), (Text("a\0b"),)),
    Case("5.6", "a text that looks like JSON is a text", text('{"a": 1}'), (Text('{"a": 1}'),)),
    Case("5.6", "a binary that is UTF-8 is a binary", binary(b"Hello"), (Binary(b"Hello"),)),
    Case("5.6", "a binary that is not UTF-8", binary(b"\xff\xfe"), (Binary(b"\xff\xfe"),)),
    Case("5.2", "125 bytes, the most in 7 bits", text("*" * 125), (Text("*" * 125),)),
    Case("5.2", "126 bytes, the least in 16 bits", text("*" * 126), (Text("*" * 126),)),
    Case("5.2", "127 bytes", text("*" * 127), (Text("*" * 127),)),
    Case("5.2", "128 bytes", text("*" * 128), (Text("*" * 128),)),
    Case("5.2", "65535 bytes, the most in 16 bits", binary(b"*" * 65535), (Binary(b"*" * 65535),)),
    Case("5.2", "65536 bytes, the least in 64 bits", binary(b"*" * 65536), (Binary(b"*" * 65536),)),
    Case("5.2", "a binary of 125 bytes", binary(b"\xfe" * 125), (Binary(b"\xfe" * 125),)),
    Case("5.2", "a binary of 126 bytes", binary(b"\xfe" * 126), (Binary(b"\xfe" * 126),)),
    Case("5.6", "two messages", text("a") + binary(b"b"), (Text("a"), Binary(b"b"))),
    Case("5.6", "an empty message between two", text("a") + text("") + text("b"), (Text("a"), Text(""), Text("b"))),
    # -- masking -------------------------------------------------------------------------------------------------
    Case("5.3", "a mask of zeros", frame(0x81, b"Hello", mask=bytes(4)), (Text("Hello"),)),
    Case("5.3", "a mask of ones", frame(0x81, b"Hello", mask=b"\xff" * 4), (Text("Hello"),)),
    Case("5.3", "a mask for each frame", frame(0x81, b"a", mask=b"1234") + frame(0x81, b"b"), (Text("a"), Text("b"))),
    Case("5.3", "a payload of one byte", frame(0x82, b"x", mask=b"1234"), (Binary(b"x"),)),
    Case("5.3", "a payload of two bytes", frame(0x82, b"xy", mask=b"1234"), (Binary(b"xy"),)),
    Case("5.3", "a payload of three bytes", frame(0x82, b"xyz", mask=b"1234"), (Binary(b"xyz"),)),
    Case("5.3", "a payload of 4095 bytes", frame(0x82, b"xyz" * 1365, mask=b"1234"), (Binary(b"xyz" * 1365),)),
    Case("5.3", "a payload of 4097 bytes", frame(0x82, b"x" * 4097, mask=b"1234"), (Binary(b"x" * 4097),)),
    Case("5.1", "a text without a mask", frame(0x81, b"Hello", mask=None), (fails(1002),)),
    Case("5.1", "an empty text without a mask", frame(0x81, mask=None), (fails(1002),)),
    Case("5.1", "a binary without a mask", frame(0x82, b"x", mask=None), (fails(1002),)),
    Case("5.1", "a ping without a mask", frame(0x89, mask=None), (fails(1002),)),
    Case("5.1", "a pong without a mask", frame(0x8A, b"x", mask=None), (fails(1002),)),
    Case("5.1", "a close without a mask", frame(0x88, b"\x03\xe8", mask=None), (fails(1002),)),
    Case("5.1", "a continuation without a mask", text("a", False) + frame(0x80, b"b", mask=None), (fails(1002),)),
    Case("5.1", "a message before one without a mask", text("a") + frame(0x81, mask=None), (Text("a"), fails(1002))),
    Case("5.1", "a large frame without a mask", frame(0x82, b"*" * 300, mask=None), (fails(1002),)),
    # -- lengths -------------------------------------------------------------------------------------------------
    Case("5.2", "0 bytes said in 16 bits", frame(0x82, wide=2), (fails(1002),)),
    Case("5.2", "125 bytes said in 16 bits", frame(0x82, b"*" * 125, wide=2), (fails(1002),)),
    Case("5.2", "0 bytes said in 64 bits", frame(0x82, wide=8), (fails(1002),)),
    Case("5.2", "126 bytes said in 64 bits", frame(0x82, b"*" * 126, wide=8), (fails(1002),)),
    Case("5.2", "65535 bytes said in 64 bits", frame(0x82, length=65535, wide=8), (fails(1002),)),
    Case("5.2", "a length with its highest bit set", frame(0x82, length=1 << 63), (fails(1002),)),
    Case("5.2", "the largest number as a length", frame(0x82, length=(1 << 64) - 1), (fails(1002),)),
    Case("5.2", "a continuation whose length is not shortest", text("a", False) + frame(0x80, wide=2), (fails(1002),)),
    # -- reserved bits -------------------------------------------------------------------------------------------
    Case("5.2", "RSV1 on a text", frame(0xC1, b"x"), (fails(1002),)),
    Case("5.2", "RSV2 on a text", frame(0xA1, b"x"), (fails(1002),)),
    Case("5.2", "RSV3 on a text", frame(0x91, b"x"), (fails(1002),)),
    Case("5.2", "RSV1 and RSV2 on a text", frame(0xE1, b"x"), (fails(1002),)),
    Case("5.2", "RSV1 and RSV3 on a text", frame(0xD1, b"x"), (fails(1002),)),
    Case("5.2", "RSV2 and RSV3 on a text", frame(0xB1, b"x"), (fails(1002),)),
    Case("5.2", "all reserved bits on a text", frame(0xF1, b"x"), (fails(1002),)),
    Case("5.2", "RSV1 on a binary", frame(0xC2, b"x"), (fails(1002),)),
    Case("5.2", "RSV2 on a binary", frame(0xA2, b"x"), (fails(1002),)),
    Case("5.2", "RSV3 on a binary", frame(0x92, b"x"), (fails(1002),)),
    Case("5.2", "RSV1 on an empty text", frame(0xC1), (fails(1002),)),
    Case("5.2", "RSV1 on a ping", frame(0xC9), (fails(1002),)),
    Case("5.2", "RSV2 on a ping", frame(0xA9), (fails(1002),)),
    Case("5.2", "RSV3 on a ping", frame(0x99), (fails(1002),)),
    Case("5.2", "RSV1 on a pong", frame(0xCA), (fails(1002),)),
    Case("5.2", "RSV2 on a pong", frame(0xAA), (fails(1002),)),
    Case("5.2", "RSV3 on a pong", frame(0x9A), (fails(1002),)),
    Case("5.2", "RSV1 on a close", frame(0xC8), (fails(1002),)),
    Case("5.2", "RSV2 on a close", frame(0xA8), (fails(1002),)),
    Case("5.2", "RSV3 on a close", frame(0x98), (fails(1002),)),
    Case("5.2", "RSV1 on a continuation", text("a", False) + frame(0xC0, b"b"), (fails(1002),)),
    Case("5.2", "RSV2 on a continuation", text("a", False) + frame(0xA0, b"b"), (fails(1002),)),
    Case("5.2", "RSV3 on a continuation", text("a", False) + frame(0x90, b"b"), (fails(1002),)),
    Case("5.2", "a good message, then RSV1", text("a") + frame(0xC1, b"x"), (Text("a"), fails(1002))),
    # -- opcodes -------------------------------------------------------------------------------------------------
    Case("5.2", "opcode 3", frame(0x83), (fails(1002),)),
    Case("5.2", "opcode 4", frame(0x84, b"x"), (fails(1002),)),
    Case("5.2", "opcode 5", frame(0x85), (fails(1002),)),
    Case("5.2", "opcode 6", frame(0x86, b"x"), (fails(1002),)),
    Case("5.2", "opcode 7", frame(0x87), (fails(1002),)),
    Case("5.2", "opcode 11", frame(0x8B), (fails(1002),)),
    Case("5.2", "opcode 12", frame(0x8C, b"x"), (fails(1002),)),
    Case("5.2", "opcode 13", frame(0x8D), (fails(1002),)),
    Case("5.2", "opcode 14", frame(0x8E, b"x"), (fails(1002),)),
    Case("5.2", "opcode 15", frame(0x8F), (fails(1002),)),
    Case("5.2", "opcode 3 without FIN", frame(0x03), (fails(1002),)),
    Case("5.2", "opcode 11 without FIN", frame(0x0B), (fails(1002),)),
    Case("5.2", "opcode 3 after a message", text("a") + frame(0x83), (Text("a"), fails(1002))),
    Case("5.2", "opcode 11 between fragments", text("a", False) + frame(0x8B) + last("b"), (fails(1002),)),
    Case("5.2", "opcode 3 between fragments", text("a", False) + frame(0x83) + last("b"), (fails(1002),)),
    # -- fragmentation -------------------------------------------------------------------------------------------
    Case("5.4", "a text in two fragments", text("Hel", False) + last("lo"), (Text("Hello"),)),
    Case("5.4", "a binary in two fragments", binary(b"Hel", False) + last(b"lo"), (Binary(b"Hello"),)),
    Case("5.4", "a text in three fragments", text("a", False) + more("b") + last("c"), (Text("abc"),)),
    Case("5.4", "a binary in three fragments", binary(b"a", False) + more(b"b") + last(b"c"), (Binary(b"abc"),)),
    Case("5.4", "all fragments are empty", text("", False) + more("") + last(""), (Text(""),)),
    Case("5.4", "the first fragment is empty", text("", False) + last("a"), (Text("a"),)),
    Case("5.4", "the last fragment is empty", text("a", False) + last(""), (Text("a"),)),
    Case("5.4", "only the middle one is not empty", text("", False) + more("a") + last(""), (Text("a"),)),
    Case("5.4", "an empty binary in two fragments", binary(b"", False) + last(b""), (Binary(b""),)),
    Case("5.4", "a hundred fragments", text("", False) + more("a") * 98 + last("b"), (Text("a" * 98 + "b"),)),
    Case("5.4", "a large fragment", binary(b"a" * 70000, False) + last(b"b"), (Binary(b"a" * 70000 + b"b"),)),
    Case("5.4", "two fragmented messages", (text("a", False) + last("b")) * 2, (Text("ab"), Text("ab"))),
    Case("5.4", "a fragmented one, a whole one", text("a", False) + last("b") + text("c"), (Text("ab"), Text("c"))),
    Case("5.4", "a continuation of nothing", more("a"), (fails(1002),)),
    Case("5.4", "a last continuation of nothing", last("a"), (fails(1002),)),
    Case("5.4", "an empty continuation of nothing", last(""), (fails(1002),)),
    Case("5.4", "a continuation after a whole message", text("a") + last("b"), (Text("a"), fails(1002))),
    Case("5.4", "a continuation after the last one", text("a", False) + last("b") * 2, (Text("ab"), fails(1002))),
    Case("5.4", "a text inside a text", text("a", False) + text("b"), (fails(1002),)),
    Case("5.4", "a binary inside a text", text("a", False) + binary(b"b"), (fails(1002),)),
    Case("5.4", "a text inside a binary", binary(b"a", False) + text("b"), (fails(1002),)),
    Case("5.4", "a fragmented text inside a text", text("a", False) + text("b", False), (fails(1002),)),
    Case("5.4", "a text after a continuation", text("a", False) + more("b") + text("c"), (fails(1002),)),
    Case("5.4", "a ping between fragments", text("a", False) + ping(b"?") + last("b"), (Ping(b"?"), Text("ab"))),
    Case("5.4", "a pong between fragments", text("a", False) + pong(b"!") + last("b"), (Pong(b"!"), Text("ab"))),
    Case(
        "5.4",
        "pings between all fragments",
        text("a", False) + ping(b"1") + more("b") + ping(b"2") + more("c") + ping(b"3") + last("d"),
        (Ping(b"1"), Ping(b"2"), Ping(b"3"), Text("abcd")),
    ),
    Case(
        "5.4",
        "a ping between empty fragments",
        binary(b"", False) + ping() + more(b"") + ping() + last(b""),
        (Ping(b""), Ping(b""), Binary(b"")),
    ),
    Case("5.4", "a close between fragments", text("a", False) + close(1000) + last("b"), (left(1000),)),
    # -- ping and pong -------------------------------------------------------------------------------------------
    Case("5.5.2", "a ping", ping(), (Ping(b""),)),
    Case("5.5.2", "a ping with a payload", ping(b"Hello"), (Ping(b"Hello"),)),
    Case("5.5.2", "a ping with bytes that are no text", ping(b"\0\xff\xfe"), (Ping(b"\0\xff\xfe"),)),
    Case("5.5.2", "a ping of 125 bytes", ping(b"\xfe" * 125), (Ping(b"\xfe" * 125),)),
    Case("5.5.2", "ten pings", b"".join(ping(b"%d" % n) for n in range(10)), tuple(Ping(b"%d" % n) for n in range(10))),
    Case("5.5.2", "a ping and a message", ping(b"x") + text("a"), (Ping(b"x"), Text("a"))),
    Case("5.5.3", "a pong that nobody asked for", pong(), (Pong(b""),)),
    Case("5.5.3", "a pong with a payload that nobody asked for", pong(b"Hello"), (Pong(b"Hello"),)),
    Case("5.5.3", "a pong of 125 bytes", pong(b"x" * 125), (Pong(b"x" * 125),)),
    Case("5.5.3", "a pong, then a ping", pong(b"a") + ping(b"b"), (Pong(b"a"), Ping(b"b"))),
    Case("5.5", "a ping of 126 bytes", ping(b"x" * 126), (fails(1002),)),
    Case("5.5", "a pong of 126 bytes", pong(b"x" * 126), (fails(1002),)),
    Case("5.5", "a close of 126 bytes", close(1000, "x" * 124), (fails(1002),)),
    Case("5.5", "a ping whose length is said in 16 bits", frame(0x89, b"x", wide=2), (fails(1002),)),
    Case("5.5", "a ping whose length is said in 64 bits", frame(0x89, b"x", wide=8), (fails(1002),)),
    Case("5.5", "a ping that says to be huge", frame(0x89, length=1 << 40), (fails(1002),)),
    Case("5.5", "a fragmented ping", frame(0x09, b"a") + last("b"), (fails(1002),)),
    Case("5.5", "a fragmented pong", frame(0x0A, b"a") + last("b"), (fails(1002),)),
    Case("5.5", "a fragmented close", frame(0x08, b"\x03\xe8"), (fails(1002),)),
    Case("5.5", "a fragmented ping inside a message", text("a", False) + frame(0x09), (fails(1002),)),
    # -- close ---------------------------------------------------------------------------------------------------
    Case("7.1.5", "a close without a code", close(), (left(1005),)),
    Case("5.5.1", "a close with a code", close(1000), (left(1000),)),
    Case("5.5.1", "a close with a reason", close(1000, "bye"), (left(1000, "bye"),)),
    Case("5.5.1", "a close with a reason in UTF-8", close(1000, KOSME), (left(1000, KOSME),)),
    Case("5.5.1", "a close with the longest reason", close(1000, "x" * 123), (left(1000, "x" * 123),)),
    Case("5.5.1", "a close with one byte", frame(0x88, b"\x03"), (fails(1002),)),
    Case("5.5.1", "what follows a close is not read", close(1000) + text("a") + frame(0xFF), (left(1000),)),
    Case("5.5.1", "a ping after a close is not answered", close(1000) + ping(b"x"), (left(1000),)),
    Case("5.5.1", "a second close is not answered", close(1000) * 2, (left(1000),)),
    Case("5.5.1", "a message, then a close", text("a") + close(1001), (Text("a"), left(1001))),
    Case("8.1", "a close with a reason that is no UTF-8", close(1000, b"\xff"), (fails(1007),)),
    Case("8.1", "a close whose reason is cut off", close(1000, EURO[:2]), (fails(1007),)),
    Case("8.1", "a close with a surrogate in its reason", close(1000, b"\xed\xa0\x80"), (fails(1007),)),
    Case("7.4.1", "1000, normal", close(1000, "a"), (left(1000, "a"),)),
    Case("7.4.1", "1001, going away", close(1001), (left(1001),)),
    Case("7.4.1", "1002, protocol error", close(1002), (left(1002),)),
    Case("7.4.1", "1003, cannot accept", close(1003), (left(1003),)),
    Case("7.4.1", "1007, inconsistent data", close(1007), (left(1007),)),
    Case("7.4.1", "1008, policy", close(1008), (left(1008),)),
    Case("7.4.1", "1009, too big", close(1009), (left(1009),)),
    Case("7.4.1", "1010, extension expected", close(1010), (left(1010),)),
    Case("7.4.1", "1011, unexpected condition", close(1011), (left(1011),)),
    Case("11.7", "1012, service restart", close(1012), (left(1012),)),
    Case("11.7", "1013, try again later", close(1013), (left(1013),)),
    Case("11.7", "1014, bad gateway", close(1014), (left(1014),)),
    Case("7.4.2", "3000, the first of libraries", close(3000), (left(3000),)),
    Case("7.4.2", "3999, the last of libraries", close(3999), (left(3999),)),
    Case("7.4.2", "4000, the first of applications", close(4000), (left(4000),)),
    Case("7.4.2", "4999, the last of applications", close(4999), (left(4999),)),
    Case("7.4.2", "0", close(0), (fails(1002),)),
    Case("7.4.2", "1", close(1), (fails(1002),)),
    Case("7.4.2", "999", close(999), (fails(1002),)),
    Case("7.4.1", "1004, reserved", close(1004), (fails(1002),)),
    Case("7.4.1", "1005, no code, must not be sent", close(1005), (fails(1002),)),
    Case("7.4.1", "1006, abnormal, must not be sent", close(1006), (fails(1002),)),
    Case("7.4.1", "1015, TLS failed, must not be sent", close(1015), (fails(1002),)),
    Case("7.4.2", "1016, not registered", close(1016), (fails(1002),)),
    Case("7.4.2", "1100, not registered", close(1100), (fails(1002),)),
    Case("7.4.2", "2000, not registered", close(2000), (fails(1002),)),
    Case("7.4.2", "2999, not registered", close(2999), (fails(1002),)),
    Case("7.4.2", "5000, in no range", close(5000), (fails(1002),)),
    Case("7.4.2", "65535, in no range", close(65535), (fails(1002),)),
    Case("7.4.2", "a wrong code with a reason", close(1005, "bye"), (fails(1002),)),
    # -- UTF-8 ---------------------------------------------------------------------------------------------------
    Case("8.1", "Greek", text(KOSME), (Text(KOSME),)),
    Case("8.1", "the last of one byte, U+007F", text("\x7f"), (Text("\x7f"),)),
    Case("8.1", "the first of two bytes, U+0080", text("\x80"), (Text("\x80"),)),
    Case("8.1", "the last of two bytes, U+07FF", text("\u07ff"), (Text("\u07ff"),)),
    Case("8.1", "the first of three bytes, U+0800", text("\u0800"), (Text("\u0800"),)),
    Case("8.1", "the last of three bytes, U+FFFF", text("\uffff"), (Text("\uffff"),)),
    Case("8.1", "the first of four bytes, U+10000", text("\U00010000"), (Text("\U00010000"),)),
    Case("8.1", "the last code point, U+10FFFF", text("\U0010ffff"), (Text("\U0010ffff"),)),
    Case("8.1", "the last before the surrogates, U+D7FF", text("\ud7ff"), (Text("\ud7ff"),)),
    Case("8.1", "the first after the surrogates, U+E000", text("\ue000"), (Text("\ue000"),)),
    Case("8.1", "the replacement character", text("\ufffd"), (Text("\ufffd"),)),
    Case("8.1", "a noncharacter, U+FFFE", text("\ufffe"), (Text("\ufffe"),)),
    Case("8.1", "a byte order mark is kept", text("\ufeffa"), (Text("\ufeffa"),)),
    Case("8.1", "a euro cut after its first byte", text(EURO[:1], False) + last(EURO[1:]), (Text("€"),)),
    Case("8.1", "a euro cut after its second byte", text(EURO[:2], False) + last(EURO[2:]), (Text("€"),)),
    Case("8.1", "a smile cut everywhere", text(SMILE[:1], False) + more(SMILE[1:2]) + last(SMILE[2:]), (Text("😀"),)),
    Case(
        "8.1",
        "a euro cut, with a ping inside",
        text(EURO[:1], False) + ping(b"x") + last(EURO[1:]),
        (Ping(b"x"), Text("€")),
    ),
    Case("8.1", "an empty fragment inside a euro", text(EURO[:1], False) + more("") + last(EURO[1:]), (Text("€"),)),
    Case("8.1", "a lone continuation byte, 80", text(b"\x80"), (fails(1007),)),
    Case("8.1", "a lone continuation byte, BF", text(b"\xbf"), (fails(1007),)),
    Case("8.1", "FE, which is in no character", text(b"a\xfe"), (fails(1007),)),
    Case("8.1", "FF, which is in no character", text(b"a\xffb"), (fails(1007),)),
    Case("8.1", "C0 AF, an overlong slash", text(b"\xc0\xaf"), (fails(1007),)),
    Case("8.1", "E0 80 AF, an overlong slash", text(b"\xe0\x80\xaf"), (fails(1007),)),
    Case("8.1", "F0 80 80 AF, an overlong slash", text(b"\xf0\x80\x80\xaf"), (fails(1007),)),
    Case("8.1", "C0 80, an overlong NUL", text(b"\xc0\x80"), (fails(1007),)),
    Case("8.1", "C1 BF, the largest overlong of two bytes", text(b"\xc1\xbf"), (fails(1007),)),
    Case("8.1", "E0 9F BF, the largest overlong of three", text(b"\xe0\x9f\xbf"), (fails(1007),)),
    Case("8.1", "F0 8F BF BF, the largest overlong of four", text(b"\xf0\x8f\xbf\xbf"), (fails(1007),)),
    Case("8.1", "ED A0 80, the first surrogate", text(b"\xed\xa0\x80"), (fails(1007),)),
    Case("8.1", "ED BF BF, the last surrogate", text(b"\xed\xbf\xbf"), (fails(1007),)),
    Case("8.1", "a pair of surrogates", text(b"\xed\xa0\xbd\xed\xb8\x80"), (fails(1007),)),
    Case("8.1", "F4 90 80 80, the first beyond Unicode", text(b"\xf4\x90\x80\x80"), (fails(1007),)),
    Case("8.1", "F5, a lead of what is beyond Unicode", text(b"\xf5\x80\x80\x80"), (fails(1007),)),
    Case("8.1", "F8, a lead of five bytes", text(b"\xf8\x88\x80\x80\x80"), (fails(1007),)),
    Case("8.1", "a character cut off at the end", text(b"a" + EURO[:2]), (fails(1007),)),
    Case("8.1", "a lead at the end", text(b"a\xf0"), (fails(1007),)),
    Case("8.1", "a lead followed by no continuation", text(b"\xc3("), (fails(1007),)),
    Case("8.1", "a character cut off by the last fragment", text(EURO[:1], False) + last(EURO[1:2]), (fails(1007),)),
    Case("8.1", "a character cut off by an empty last fragment", text(EURO[:1], False) + last(""), (fails(1007),)),
    Case("8.1", "a cut character does not reach the next message", text(EURO[:2]) + text(EURO[2:]), (fails(1007),)),
    Case("8.1", "bad bytes in the first fragment fail at once", text(b"\xff", False), (fails(1007),)),
    Case("8.1", "bad bytes in a middle fragment fail at once", text("a", False) + more(b"\xff"), (fails(1007),)),
    Case("8.1", "a bad character fails before it is complete", text(b"\xf4\x90", False), (fails(1007),)),
    Case("8.1", "a bad second byte in the next fragment", text(EURO[:1], False) + more(b"a"), (fails(1007),)),
    Case("8.1", "a binary is not looked at", binary(EURO[:1], False) + last(b"\xff"), (Binary(EURO[:1] + b"\xff"),)),
    # -- limits --------------------------------------------------------------------------------------------------
    Case("7.4.1", "a message of the limit", text("x" * 100), (Text("x" * 100),), limit=100),
    Case("7.4.1", "a message above the limit", text("x" * 101), (fails(1009),), limit=100),
    Case("7.4.1", "a header above the limit is enough", frame(0x82, length=1 << 50), (fails(1009),), limit=100),
    Case("7.4.1", "a text counts in bytes", text("€" * 34), (fails(1009),), limit=100),
    Case("7.4.1", "fragments of the limit", text("x" * 50, False) + last("x" * 50), (Text("x" * 100),), limit=100),
    Case("7.4.1", "fragments above the limit", text("x" * 50, False) + last("x" * 51), (fails(1009),), limit=100),
    Case("7.4.1", "a first fragment above the limit", text("x" * 101, False), (fails(1009),), limit=100),
    Case("7.4.1", "two messages below the limit", text("x" * 60) * 2, (Text("x" * 60), Text("x" * 60)), limit=100),
    Case("7.4.1", "a control frame above the limit", ping(b"x" * 20), (Ping(b"x" * 20),), limit=10),
    Case("7.4.1", "an empty fragment at the limit", text("x" * 9, False) + last(""), (Text("x" * 9),), limit=9),
)

ABCD = b"abcd" * 1000
THOUSAND = squeeze(bytes(1000))

_DEFLATED = (
    Case("7.2.3.1", "the RFC's example", frame(0xC1, bytes.fromhex("f248cdc9c90700")), (Text("Hello"),)),
    Case(
        "7.2.3.1",
        "the RFC's example in two fragments",
        frame(0x41, bytes.fromhex("f248cd")) + last(bytes.fromhex("c9c90700")),
        (Text("Hello"),),
    ),
    Case(
        "7.2.3.2",
        "the RFC's example with a shared window",
        frame(0xC1, bytes.fromhex("f248cdc9c90700")) + frame(0xC1, bytes.fromhex("f200110000")),
        (Text("Hello"), Text("Hello")),
    ),
    Case(
        "7.2.3.3",
        "the RFC's example with a stored block",
        frame(0xC1, bytes.fromhex("000500faff48656c6c6f00")),
        (Text("Hello"),),
    ),
    Case("7.2.3.4", "the RFC's final block", frame(0xC1, bytes.fromhex("f348cdc9c9070000")), (Text("Hello"),)),
    Case(
        "7.2.3.4",
        "a message after a final block",
        frame(0xC1, bytes.fromhex("f348cdc9c9070000")) + frame(0xC1, bytes.fromhex("f248cdc9c90700")),
        (Text("Hello"), Text("Hello")),
    ),
    Case(
        "7.2.3.5",
        "the RFC's two blocks in one message",
        frame(0xC1, bytes.fromhex("f248050000 00ffffcac9c90700".replace(" ", ""))),
        (Text("Hello"),),
    ),
    Case("7.2.3.6", "an empty message", frame(0xC1, b"\x00"), (Text(""),)),
    Case("7.2.3.6", "an empty binary", frame(0xC2, b"\x00"), (Binary(b""),)),
    Case("7.2.2", "a payload of no bytes at all", frame(0xC1), (Text(""),)),
    Case("7.2.2", "a larger message", frame(0xC2, squeeze(ABCD)), (Binary(ABCD),)),
    Case("7.2.2", "a message with a final block of zlib's", frame(0xC2, squeeze(ABCD, final=True)), (Binary(ABCD),)),
    Case("6", "a message that is not compressed", text("Hello"), (Text("Hello"),)),
    Case(
        "6",
        "both kinds in turn",
        text("a") + frame(0xC1, squeeze(b"b")) + text("c"),
        (Text("a"), Text("b"), Text("c")),
    ),
    Case(
        "6.1",
        "RSV1 on the first fragment only",
        frame(0x42, squeeze(ABCD)[:7]) + more(squeeze(ABCD)[7:9]) + last(squeeze(ABCD)[9:]),
        (Binary(ABCD),),
    ),
    Case(
        "6.1",
        "a ping between compressed fragments",
        frame(0x42, squeeze(ABCD)[:7]) + ping(b"x") + last(squeeze(ABCD)[7:]),
        (Ping(b"x"), Binary(ABCD)),
    ),
    Case("6.1", "empty fragments around", frame(0x42) + more(squeeze(ABCD)) + last(b""), (Binary(ABCD),)),
    Case("6.1", "RSV1 on a continuation", frame(0x41, squeeze(b"ab")[:2]) + frame(0xC0, b"x"), (fails(1002),)),
    Case("6.1", "RSV1 on a later fragment of a plain one", text("a", False) + frame(0xC0, b"b"), (fails(1002),)),
    Case("6.1", "RSV1 on a ping", frame(0xC9, b"x"), (fails(1002),)),
    Case("6.1", "RSV1 on a close", frame(0xC8, b"\x03\xe8"), (fails(1002),)),
    Case("6.1", "RSV2 beside RSV1", frame(0xE1, squeeze(b"a")), (fails(1002),)),
    Case("6.1", "RSV3 beside RSV1", frame(0xD1, squeeze(b"a")), (fails(1002),)),
    Case("6.1", "RSV2 alone", frame(0xA1, b"a"), (fails(1002),)),
    Case("7.2.2", "what is no deflate stream", frame(0xC1, b"\xff\xff\xff\xff"), (fails(1007),)),
    Case("7.2.2", "a block of the reserved kind", frame(0xC2, b"\x07"), (fails(1007),)),
    Case("7.2.2", "a stored block with a wrong length", frame(0xC2, b"\x00\x05\x00\x00\x00Hello"), (fails(1007),)),
    Case("7.2.2", "a reference behind the beginning", frame(0xC2, bytes.fromhex("f200110000")), (fails(1007),)),
    Case("8.1", "a text that is no UTF-8 once inflated", frame(0xC1, squeeze(b"a\xff")), (fails(1007),)),
    Case("8.1", "a text cut off once inflated", frame(0xC1, squeeze(EURO[:2])), (fails(1007),)),
    Case("8.1", "a compressed text in UTF-8", frame(0xC1, squeeze(KOSME.encode())), (Text(KOSME),)),
    Case("8", "a message of the limit once inflated", frame(0xC2, THOUSAND), (Binary(bytes(1000)),), limit=1000),
    Case("8", "a message above the limit once inflated", frame(0xC2, THOUSAND), (fails(1009),), limit=999),
    Case("8", "a bomb", frame(0xC2, squeeze(bytes(10_000_000))), (fails(1009),), limit=1000),
    Case("8", "a bomb in fragments", frame(0x42, THOUSAND[:5]) + last(THOUSAND[5:]), (fails(1009),), limit=999),
    Case(
        "8",
        "payloads longer than their message",
        frame(0xC2, b"\x00\x00\x00\xff\xff" * 9 + squeeze(b"ab")),
        (Binary(b"ab"),),
        limit=20,
    ),
    Case("8", "many final blocks", frame(0xC2, b"\x03\x00" * 40), (fails(1007),)),
)
DEFLATED = tuple(
    Case(f"RFC 7692 {case.section}", case.name, case.sent, case.events, case.limit, DEFLATE) for case in _DEFLATED
)

CASES = FRAMES + DEFLATED

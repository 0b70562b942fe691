"""How inputs are changed: libFuzzer's own ways, and ways that know where words of a protocol end.

libFuzzer changes bytes anywhere; most faults of a parser stand where two words meet. Most changes are therefore made
there: a mark or a token is put in, a word taken out, written twice, moved or exchanged; lines are put together anew. A
change is a function of its seed.
"""

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

_DICTIONARY: Final = Path(__file__).with_name("tokens.dict")
_ENTRY: Final = re.compile(r'^\w+="(.*)"$', re.MULTILINE)
_WORD: Final = re.compile(rb"\r\n|[0-9]+|[A-Za-z]+|[^0-9A-Za-z]", re.DOTALL)
_MARKS: Final = tuple(bytes((byte,)) for byte in b'+-_ \t;,:="\\\r\n\0/#%\x7f\xa0')
_NUMBER: Final = re.compile(rb"[0-9]+")


def tokens() -> list[bytes]:
    """The words of tokens.dict, which has libFuzzer's format."""
    return [
        entry.encode("latin-1").decode("unicode_escape").encode("latin-1")
        for entry in _ENTRY.findall(_DICTIONARY.read_text("ascii"))
    ]


class Mutator:
    """Changes inputs whose first `settings_bytes` are no words."""

    def __init__(self, settings_bytes: int, plain: Callable[[bytes, int], bytes], words: list[bytes]) -> None:
        """`plain` is libFuzzer's mutation."""
        self._settings_bytes = settings_bytes
        self._plain = plain
        self._words = words
        self._lines = [word for word in words if word.endswith(b"\r\n") and len(word) > 2]

    def __call__(self, data: bytes, max_size: int, seed: int) -> bytes:
        """An input made of `data`, of at most `max_size` bytes."""
        choice = random.Random(seed)
        if choice.random() < 0.3 or len(data) <= self._settings_bytes:
            return self._plain(data, max_size)
        settings, rest = bytearray(data[: self._settings_bytes]), data[self._settings_bytes :]
        if choice.random() < 0.2:
            at = choice.choice((0, choice.randrange(len(settings))))  # the first byte matters most in every target
            settings[at] = choice.choice((*range(8), choice.randrange(256)))
        for _ in range(choice.choice((0, 1, 1, 1, 2, 2, 3))):
            rest = self._line(rest, choice) if choice.random() < 0.3 else self._word(rest, choice)
        return bytes(settings + rest)[:max_size]

    def _word(self, text: bytes, choice: random.Random) -> bytes:
        words: list[bytes] = _WORD.findall(text)
        at = choice.randrange(len(words) + 1)
        span = choice.choice((1, 1, 2, 4, 8))
        match choice.randrange(10):
            case 0:
                words.insert(at, choice.choice(_MARKS))
            case 1:
                words.insert(at, choice.choice(self._words))
            case 2:
                words.append(choice.choice(self._words))
            case 3:
                words[at : at + span] = [choice.choice(self._words)]
            case 4:
                del words[at : at + span]
            case 5:
                to = choice.randrange(len(words) + 1)
                words[to:to] = words[at : at + span]
            case 6:
                words[at : at + 1] = [choice.choice(_MARKS)]
            case 7:
                words[at:at] = words[at : at + span] * choice.choice((1, 3, 9, 30))
            case _:
                numbers = [index for index, word in enumerate(words) if _NUMBER.fullmatch(word)]
                if numbers:
                    index = choice.choice(numbers)
                    words[index] = _number(words[index], choice)
        return b"".join(words)

    def _line(self, text: bytes, choice: random.Random) -> bytes:
        """A line put in, taken out, written twice, begun with a mark, or in the other case."""
        lines = text.split(b"\r\n")
        at = choice.randrange(len(lines))
        match choice.randrange(7):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, lines[choice.randrange(len(lines))])
            case 2 | 3:
                lines.insert(at, choice.choice(self._lines).removesuffix(b"\r\n"))
            case 4:
                lines[at] = choice.choice(_MARKS) + lines[at]
            case 5:
                del lines[at + 1 : at + choice.choice((2, 3, 4))]
            case _:
                lines[at] = lines[at].swapcase()
        return b"\r\n".join(lines)


def _number(digits: bytes, choice: random.Random) -> bytes:
    """Another number, or the same one written in another way."""
    match choice.randrange(6):
        case 0:
            return b"0" + digits
        case 1:
            return choice.choice((b"+", b"-", b"0x", b" ")) + digits
        case 2:
            return digits * choice.choice((2, 5, 20))
        case 3:
            return b"%d" % (int(digits[:18]) + choice.choice((-1, 1)))
        case _:
            return b"%d" % choice.choice((0, 1, 5, choice.randrange(20), choice.randrange(300)))

"""The text of lists, line by line or JSON value by JSON value, in UTF-8 and in bounded memory."""

import codecs
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

MAX_ROW_BYTES = 2**20
"""Bytes of one line of text, and characters of one object of JSON."""

_PIECE_BYTES = 64 * 1024


class ListError(ValueError):
    """A list that cannot be read; the message says which, where, and what would do."""


def lines_of(file: BinaryIO, name: str) -> Iterator[str]:
    """Yield the lines of UTF-8 text, ends included, without the byte order mark.

    Raises:
        ListError: a line is longer than `MAX_ROW_BYTES` or not UTF-8.
    """
    number = 0
    while line := file.readline(MAX_ROW_BYTES + 1):
        number += 1
        if len(line) > MAX_ROW_BYTES:
            raise ListError(f"{name}, line {number}: longer than {MAX_ROW_BYTES} bytes; see that lines end with \\n")
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _not_utf8(error, name, number) from error


def _not_utf8(error: UnicodeDecodeError, name: str, line: int) -> ListError:
    byte = error.object[error.start]
    return ListError(f"{name}, line {line}: byte 0x{byte:02x} is not UTF-8; save the list as UTF-8")


def no_number(constant: str) -> None:
    """Return None for NaN and infinities, which Python's JSON knows and JSON does not."""


class JsonText:
    """JSON, decoded value by value from a file of any length."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name
        self._decode = codecs.getincrementaldecoder("utf-8-sig")()
        self._parse = json.JSONDecoder(parse_constant=no_number).raw_decode
        self._text, self._at, self._line, self._ended = "", 0, 1, False

    def next_character(self) -> str:
        """Return the next character that is no white space, "" at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in " \t\r\n":
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                return ""
            self._read(_PIECE_BYTES)

    def skip(self, character: str) -> bool:
        """Return whether the character comes next, which is then passed."""
        found = self.next_character() == character
        self._at += found
        return found

    def expect(self, character: str) -> None:
        """Pass the character; "" is the end."""
        if self.next_character() != character:
            raise ListError(f"{self._place()}: {character or 'the end'!r} should come here; is the file cut off?")
        self._at += len(character)

    def value(self, max_chars: int) -> Any:  # noqa: ANN401 - any JSON value
        """Return the value that comes next."""
        self.next_character()
        while True:
            left = len(self._text) - self._at
            try:
                value, end = self._parse(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if self._ended or left > max_chars:
                    raise ListError(f"{self._place()}: no JSON value of at most {max_chars} characters") from error
            else:
                if end < len(self._text) or self._ended:  # else a number might go on
                    self._at = end
                    return value
            self._read(max(_PIECE_BYTES, left))

    def _read(self, num_bytes: int) -> None:
        data = self._file.read(num_bytes)
        self._line += self._text.count("\n", 0, self._at)
        self._text, self._at, self._ended = self._text[self._at :], 0, not data
        try:
            self._text += self._decode.decode(data, final=not data)
        except UnicodeDecodeError as error:
            line = self._line + self._text.count("\n") + error.object.count(b"\n", 0, error.start)
            raise _not_utf8(error, self._name, line) from error

    def _place(self) -> str:
        return f"{self._name}, line {self._line + self._text.count(chr(10), 0, self._at)}"

"""Text of an expression to tokens, literals decoded. Source: the CEL language definition, section on syntax."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from kai_sched.devices.cel.values import INT_MAX, UINT_MAX, CompileError, Uint
from kai_sched.model.integers import int_of_digits

_TOKEN: Final = re.compile(
    r"(?P<space>[ \t\r\n\f]+|//[^\n]*)"
    r"|(?P<string>(?:[rR][bB]?|[bB][rR]?)?(?:\"\"\"|'''|\"|'))"
    r"|(?P<double>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)"
    r"|(?P<int>0[xX][0-9a-fA-F]+[uU]?|\d+[uU]?)"
    r"|(?P<ident>[_a-zA-Z][_a-zA-Z0-9]*|`[a-zA-Z0-9_.\-/ ]+`)"
    r"|(?P<op>&&|\|\||==|!=|<=|>=|\.\?|\[\?|[-+*/%!<>?:.,()\[\]{}])",
    re.ASCII,
)
_ESCAPES: Final = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
    "'": "'",
    '"': '"',
    "`": "`",
    "?": "?",
}
_HEX_DIGITS: Final = {"x": 2, "X": 2, "u": 4, "U": 8}


class Token(NamedTuple):
    """``kind`` is literal, ident, op or end; ``text`` the operator or name, ``value`` the decoded literal."""

    kind: str
    text: str
    at: int
    value: object = None


def syntax_error(source: str, at: int, what: str) -> CompileError:
    """A syntax error with line and column, as the reference prints it."""
    line = source.count("\n", 0, at) + 1
    column = at - (source.rfind("\n", 0, at) + 1) + 1
    return CompileError(f"ERROR: <input>:{line}:{column}: Syntax error: {what}")


def tokenize(source: str) -> list[Token]:
    """All tokens and an ``end``."""
    tokens: list[Token] = []
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            raise syntax_error(source, at, f"token recognition error at: {source[at]!r}")
        kind, text = match.lastgroup or "", match.group()
        if kind == "string":
            token, at = _string(source, at, text)
            tokens.append(token)
            continue
        if kind != "space":
            tokens.append(_token(source, at, kind, text))
        at = match.end()
    tokens.append(Token("end", "<EOF>", at))
    return tokens


def _token(source: str, at: int, kind: str, text: str) -> Token:
    if kind == "int":
        return Token("literal", text, at, _integer(source, at, text))
    if kind == "double":
        return Token("literal", text, at, float(text))
    if kind == "ident" and text in {"true", "false"}:
        return Token("literal", text, at, text == "true")
    if kind == "ident" and text == "null":
        return Token("literal", text, at, None)
    return Token(kind, text, at)


def _integer(source: str, at: int, text: str) -> int:
    digits = text.rstrip("uU") if text[-1] in "uU" else text
    number = int(digits, 16) if digits[:2] in {"0x", "0X"} else int_of_digits(digits)
    if text[-1] in "uU":
        if number > UINT_MAX:
            raise syntax_error(source, at, "invalid uint literal")
        return Uint(number)
    # One more than the largest: the minus in front of it is folded in by the parser.
    if number > INT_MAX + 1:
        raise syntax_error(source, at, "invalid int literal")
    return number


def _string(source: str, at: int, opening: str) -> tuple[Token, int]:
    quote = opening.lstrip("rRbB")
    prefix = opening[: len(opening) - len(quote)].lower()
    start = at + len(opening)
    position = start
    while True:
        if position >= len(source) or (len(quote) == 1 and source[position] in "\n\r"):
            raise syntax_error(source, at, "unterminated string literal")
        if source.startswith(quote, position):
            break
        position += 2 if source[position] == "\\" and "r" not in prefix else 1
    body = source[start:position]
    as_bytes = "b" in prefix
    value: object
    if "r" in prefix:
        value = body.encode() if as_bytes else body
    elif as_bytes:
        value = b"".join(_decoded(source, start, body, as_bytes=True))
    else:
        value = "".join(part.decode() for part in _decoded(source, start, body, as_bytes=False))
    return Token("literal", body, at, value), position + len(quote)


def _decoded(source: str, offset: int, body: str, *, as_bytes: bool) -> list[bytes]:
    parts: list[bytes] = []
    at = 0
    while at < len(body):
        char = body[at]
        if char != "\\":
            parts.append(char.encode())
            at += 1
            continue
        part, used = _escape(body[at + 1 : at + 10], as_bytes=as_bytes)
        if not used:
            raise syntax_error(source, offset + at, "invalid escape sequence")
        parts.append(part)
        at += 1 + used
    return parts


def _escape(tail: str, *, as_bytes: bool) -> tuple[bytes, int]:
    """(decoded, characters used after the backslash); 0 used: not an escape."""
    kind = tail[:1]
    if kind in _ESCAPES:
        return _ESCAPES[kind].encode(), 1
    if kind in _HEX_DIGITS:
        width = _HEX_DIGITS[kind]
        digits, base, used = tail[1 : 1 + width], 16, 1 + width
        if as_bytes and width > 2:
            return b"", 0
    else:
        width = 3
        digits, base, used = tail[:3], 8, 3
    try:
        code = int(digits, base)
    except ValueError:
        return b"", 0
    if len(digits) != width or "_" in digits or (base == 8 and code > 0o377):
        return b"", 0
    if as_bytes:
        return bytes([code]), used
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        return b"", 0
    return chr(code).encode(), used

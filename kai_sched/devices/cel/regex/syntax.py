"""RE2 patterns to a tree: what the pattern may contain, decoded once.

Node forms: ("char", ranges), ("category", (name, negated)), ("any", with newline), ("assert", kind), ("cat", nodes), ("alt", nodes),
("repeat", node, least, most or None, is_lazy).
"""

from __future__ import annotations

import re
import sys
from typing import Any, Final

from kai_sched.devices.cel.stack import MAX_PATTERN_NESTING
from kai_sched.model.integers import int_of_digits

Ranges = tuple[tuple[int, int], ...]
Tree = tuple[Any, ...]

MAX_REPEAT: Final = 1000
_DIGIT: Final[Ranges] = ((48, 57),)
_SPACE: Final[Ranges] = ((9, 10), (12, 13), (32, 32))
_WORD: Final[Ranges] = ((48, 57), (65, 90), (95, 95), (97, 122))
_CLASSES: Final = {"d": _DIGIT, "s": _SPACE, "w": _WORD}
_POSIX: Final[dict[str, Ranges]] = {
    "alnum": ((48, 57), (65, 90), (97, 122)),
    "alpha": ((65, 90), (97, 122)),
    "ascii": ((0, 127),),
    "blank": ((9, 9), (32, 32)),
    "cntrl": ((0, 31), (127, 127)),
    "digit": _DIGIT,
    "graph": ((33, 126),),
    "lower": ((97, 122),),
    "print": ((32, 126),),
    "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": ((9, 13), (32, 32)),
    "upper": ((65, 90),),
    "word": _WORD,
    "xdigit": ((48, 57), (65, 70), (97, 102)),
}
_CATEGORY: Final = re.compile(r"[CLMNPSZ][a-z]?")
_ESCAPES: Final = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_ASSERTIONS: Final = {"A": "start", "z": "end", "b": "word", "B": "not word"}


class BadPattern(Exception):
    """The pattern is not one that RE2 takes."""


def complement(ranges: Ranges) -> Ranges:
    """Everything else."""
    kept: list[tuple[int, int]] = []
    following = 0
    for low, high in sorted(ranges):
        if low > following:
            kept.append((following, low - 1))
        following = max(following, high + 1)
    if following <= sys.maxunicode:
        kept.append((following, sys.maxunicode))
    return tuple(kept)


def folded(ranges: Ranges) -> Ranges:
    """With the other case of ASCII letters."""
    extra: list[tuple[int, int]] = []
    for low, high in ranges:
        for first, last, shift in ((65, 90, 32), (97, 122, -32)):
            a, b = max(low, first), min(high, last)
            if a <= b:
                extra.append((a + shift, b + shift))
    return (*ranges, *extra)


def parse_pattern(text: str) -> Tree:
    """The tree of a pattern.

    Raises:
        BadPattern: back references, look-around and whatever else RE2 refuses.
    """
    parser = _Parser(text)
    tree = parser.alternatives("")
    if not parser.at_end():
        raise BadPattern("unexpected )")
    return tree


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._nesting = 0

    def at_end(self) -> bool:
        return self._at >= len(self._text)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        char = self._peek()
        if not char:
            raise BadPattern("pattern ends too early")
        self._at += 1
        return char

    def _accept(self, text: str) -> bool:
        if self._text.startswith(text, self._at):
            self._at += len(text)
            return True
        return False

    def alternatives(self, flags: str) -> Tree:
        self._nesting += 1
        if self._nesting > MAX_PATTERN_NESTING:
            raise BadPattern("expression nests too deeply")
        branches: list[Tree] = []
        branch: list[Tree] = []
        while not self.at_end() and self._peek() != ")":
            if self._accept("|"):
                branches.append(("cat", tuple(branch)))
                branch = []
                continue
            node, flags = self._item(flags)
            if node is not None:
                branch.append(self._repeated(node))
        branches.append(("cat", tuple(branch)))
        self._nesting -= 1
        return branches[0] if len(branches) == 1 else ("alt", tuple(branches))

    def _item(self, flags: str) -> tuple[Tree | None, str]:
        char = self._next()
        if char == "(":
            return self._group(flags)
        if char in "*+?":
            raise BadPattern(f"missing argument to repetition operator: {char}")
        if char == "[":
            return ("char", self._bracket(flags)), flags
        if char == ".":
            return ("any", "s" in flags), flags
        if char == "^":
            return ("assert", "line start" if "m" in flags else "start"), flags
        if char == "$":
            return ("assert", "line end" if "m" in flags else "end"), flags
        if char == "\\":
            return self._escaped(flags), flags
        return ("char", self._literal(ord(char), flags)), flags

    def _literal(self, code: int, flags: str) -> Ranges:
        ranges = ((code, code),)
        return folded(ranges) if "i" in flags else ranges

    def _group(self, flags: str) -> tuple[Tree | None, str]:
        inner = flags
        if self._accept("?"):
            if self._accept("P<") or (
                self._peek() == "<" and self._text[self._at + 1 : self._at + 2] not in "=!"
            ):
                end = self._text.find(">", self._at)
                if end < 0:
                    raise BadPattern("invalid named capture")
                self._at = end + 1
            else:
                inner, is_group = self._flags(flags)
                if not is_group:
                    return None, inner
        tree = self.alternatives(inner)
        if not self._accept(")"):
            raise BadPattern("missing closing )")
        return tree, flags

    def _flags(self, flags: str) -> tuple[str, bool]:
        """(flags, whether a group body follows)."""
        kept = set(flags)
        is_adding = True
        while True:
            char = self._next()
            if char == ")":
                return "".join(sorted(kept)), False
            if char == ":":
                return "".join(sorted(kept)), True
            if char == "-" and is_adding:
                is_adding = False
            elif char in "imsU":
                if char == "U":
                    raise BadPattern("flag U is not supported")
                (kept.add if is_adding else kept.discard)(char)
            else:
                raise BadPattern("invalid or unsupported Perl syntax")

    def _repeated(self, node: Tree) -> Tree:
        count = 0
        while True:
            bounds = self._bounds()
            if bounds is None:
                return node
            count += 1
            if count > 1:
                raise BadPattern("invalid nested repetition operator")
            is_lazy = self._accept("?")
            node = ("repeat", node, *bounds, is_lazy)

    def _bounds(self) -> tuple[int, int | None] | None:
        if self._accept("*"):
            return 0, None
        if self._accept("+"):
            return 1, None
        if self._accept("?"):
            return 0, 1
        if self._peek() != "{":
            return None
        end = self._text.find("}", self._at)
        body = self._text[self._at + 1 : end] if end > 0 else ""
        low, separator, high = body.partition(",")
        if not (_is_number(low) and (not high or _is_number(high))):
            # RE2 takes a brace that opens no repetition literally.
            return None
        least = int_of_digits(low)
        most = (int_of_digits(high) if high else None) if separator else least
        if least > MAX_REPEAT or (most is not None and (most > MAX_REPEAT or most < least)):
            raise BadPattern("invalid repeat count")
        self._at = end + 1
        return least, most

    def _escaped(self, flags: str) -> Tree:
        char = self._next()
        if char in _ASSERTIONS:
            return ("assert", _ASSERTIONS[char])
        if char == "Q":
            end = self._text.find("\\E", self._at)
            body = self._text[self._at :] if end < 0 else self._text[self._at : end]
            self._at = len(self._text) if end < 0 else end + 2
            return ("cat", tuple(("char", self._literal(ord(part), flags)) for part in body))
        if char in "pP":
            return self._category(is_negated=char == "P")
        ranges = self._class_escape(char)
        if ranges is not None:
            return ("char", ranges)
        return ("char", self._literal(self._code(char), flags))

    def _category(self, *, is_negated: bool) -> Tree:
        name = self._next()
        if name == "{":
            end = self._text.find("}", self._at)
            name = self._text[self._at : max(end, self._at)]
            self._at = end + 1
            is_negated ^= name.startswith("^")
            name = name.removeprefix("^")
        if not _CATEGORY.fullmatch(name):
            raise BadPattern("only Unicode categories are supported in device selectors, no scripts")
        return ("category", (name, is_negated))

    def _class_escape(self, char: str) -> Ranges | None:
        if char.lower() in _CLASSES:
            ranges = _CLASSES[char.lower()]
            return complement(ranges) if char.isupper() else ranges
        if char in "pP":
            raise BadPattern("Unicode classes are not supported inside brackets in device selectors")
        return None

    def _code(self, char: str) -> int:
        if char in _ESCAPES:
            return _ESCAPES[char]
        if char == "x":
            if self._accept("{"):
                end = self._text.find("}", self._at)
                digits = self._text[self._at : max(end, self._at)]
                self._at = end + 1
            else:
                digits = self._text[self._at : self._at + 2]
                self._at += 2
            try:
                code = int(digits, 16)
            except ValueError:
                raise BadPattern("invalid escape sequence") from None
            if code > sys.maxunicode:
                raise BadPattern("invalid escape sequence")
            return code
        if char == "0":
            return 0
        if char.isalnum() or ord(char) > 127:
            raise BadPattern(f"invalid escape sequence: \\{char}")
        return ord(char)

    def _bracket(self, flags: str) -> Ranges:
        is_negated = self._accept("^")
        ranges: list[tuple[int, int]] = []
        is_first = True
        while is_first or self._peek() != "]":
            is_first = False
            if self._accept("[:"):
                ranges += self._posix()
                continue
            low, classes = self._member()
            if classes is not None:
                ranges += classes
                continue
            high = low
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in {"]", ""}:
                self._at += 1
                high, classes = self._member()
                if classes is not None or high < low:
                    raise BadPattern("invalid character class range")
            ranges.append((low, high))
        self._at += 1
        result = folded(tuple(ranges)) if "i" in flags else tuple(ranges)
        return complement(result) if is_negated else result

    def _member(self) -> tuple[int, Ranges | None]:
        char = self._next()
        if char != "\\":
            return ord(char), None
        char = self._next()
        classes = self._class_escape(char)
        return (0, classes) if classes is not None else (self._code(char), None)

    def _posix(self) -> Ranges:
        end = self._text.find(":]", self._at)
        name = self._text[self._at : end] if end >= 0 else ""
        ranges = _POSIX.get(name.removeprefix("^"))
        if ranges is None:
            raise BadPattern("invalid character class range")
        self._at = end + 2
        return complement(ranges) if name.startswith("^") else ranges


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()

"""Tokens to a syntax tree: a Pratt parser with limits of nesting, so that hostile input ends in a clean error."""

from __future__ import annotations

from typing import Final

from kai_sched.devices.cel.macros import expand_macro
from kai_sched.devices.cel.stack import MAX_DEPTH, MAX_NESTING
from kai_sched.devices.cel.tokens import Token, syntax_error, tokenize
from kai_sched.devices.cel.tree import (
    Call,
    Choice,
    Ident,
    Index,
    ListLiteral,
    Literal,
    Logic,
    MapLiteral,
    Node,
    Select,
    deeper,
)
from kai_sched.devices.cel.values import INT_MAX, CompileError

MAX_LENGTH: Final = 10 * 1024
"""Bytes of an expression; the API server's own limit."""

_BINDING: Final = {
    "?": 1,
    "||": 2,
    "&&": 3,
    "==": 4,
    "!=": 4,
    "<": 4,
    "<=": 4,
    ">": 4,
    ">=": 4,
    "in": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "%": 6,
}
_RESERVED: Final = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)
_POSTFIX: Final = frozenset({".", ".?", "[", "[?"})


def parse(source: str) -> Node:
    """The tree of an expression.

    Raises:
        CompileError: not an expression, or too long or nested too deeply.
    """
    if len(source.encode()) > MAX_LENGTH:
        raise CompileError(f"expression is longer than {MAX_LENGTH} bytes")
    return _Parser(source).whole()


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = tokenize(source)
        self._at = 0
        self._nesting = 0

    def whole(self) -> Node:
        node = self._expression(0)
        self._expect("end", "<EOF>")
        return node

    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _accept(self, text: str) -> bool:
        token = self._tokens[self._at]
        if token.text == text and token.kind == "op":
            self._at += 1
            return True
        return False

    def _expect(self, kind: str, text: str) -> Token:
        token = self._next()
        if token.kind != kind or token.text != text:
            raise self._unexpected(token)
        return token

    def _unexpected(self, token: Token) -> CompileError:
        return syntax_error(self._source, token.at, f"unexpected {token.text!r}")

    def _limited(self, node: Node) -> Node:
        if node.depth > MAX_DEPTH:
            raise CompileError(f"expression is a tree of more than {MAX_DEPTH} levels")
        return node

    def _expression(self, floor: int) -> Node:
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise CompileError(f"expression is nested deeper than {MAX_NESTING} levels")
        left = self._unary()
        while True:
            token = self._peek()
            binding = _BINDING.get(token.text, 0) if token.kind in {"op", "ident"} else 0
            if binding == 0 or binding <= floor:
                break
            self._at += 1
            left = self._limited(self._infix(left, token.text, binding))
        self._nesting -= 1
        return left

    def _infix(self, left: Node, operator: str, binding: int) -> Node:
        if operator == "?":
            yes = self._expression(1)
            self._expect("op", ":")
            # Right-associative: the tail may be a choice itself.
            no = self._expression(0)
            return Choice(left, yes, no, deeper(left, yes, no))
        right = self._expression(binding)
        if operator in {"&&", "||"}:
            is_and = operator == "&&"
            # Flat, because chains of hundreds of terms are ordinary.
            parts = list(left.parts) if isinstance(left, Logic) and left.is_and == is_and else [left]
            parts.append(right)
            while self._accept(operator):
                parts.append(self._expression(binding))
            return Logic(is_and, tuple(parts), deeper(*parts))
        name = "@in" if operator == "in" else f"_{operator}_"
        return Call(name, None, (left, right), deeper(left, right))

    def _unary(self) -> Node:
        token = self._peek()
        if token.kind == "op" and token.text in {"!", "-"}:
            count = 0
            while self._accept(token.text):
                count += 1
            return self._negated(token, count)
        node = self._member()
        if isinstance(node, Literal) and type(node.value) is int and node.value > INT_MAX:
            raise syntax_error(self._source, token.at, "invalid int literal")
        return node

    def _negated(self, token: Token, count: int) -> Node:
        if self._peek().kind == "op" and self._peek().text in {"!", "-"}:
            raise self._unexpected(self._peek())
        following = self._peek()
        if token.text == "-" and following.kind == "literal" and type(following.value) in {int, float}:
            # The sign belongs to the literal, or -9223372036854775808 could not be written.
            self._at += 1
            node = self._postfix(Literal(-following.value))  # type: ignore[operator]
            count -= 1
        else:
            node = self._member()
        if count % 2:
            name = "!_" if token.text == "!" else "-_"
            node = self._limited(Call(name, None, (node,), deeper(node)))
        return node

    def _member(self) -> Node:
        return self._postfix(self._primary())

    def _postfix(self, node: Node) -> Node:
        while True:
            token = self._peek()
            if token.kind != "op" or token.text not in _POSTFIX:
                return node
            if self._accept("."):
                node = self._dotted(node)
            elif self._accept(".?"):
                node = Select(node, self._field(), deeper(node), is_optional=True)
            elif self._accept("[?"):
                node = self._indexed(node, is_optional=True)
            else:
                self._at += 1
                is_optional = self._accept("?")
                node = self._indexed(node, is_optional=is_optional)
            self._limited(node)

    def _indexed(self, node: Node, *, is_optional: bool) -> Node:
        key = self._expression(0)
        self._expect("op", "]")
        return Index(node, key, deeper(node, key), is_optional)

    def _field(self) -> str:
        token = self._next()
        if token.kind == "ident" or token.text in {"true", "false", "null"}:
            return token.text.strip("`")
        raise self._unexpected(token)

    def _dotted(self, node: Node) -> Node:
        name = self._field()
        if self._accept("("):
            return self._call(name, node)
        return Select(node, name, deeper(node))

    def _call(self, name: str, target: Node | None) -> Node:
        args = tuple(self._items(")"))
        macro = expand_macro(name, target, args)
        return macro if macro is not None else Call(name, target, args, deeper(target, *args))

    def _items(self, closing: str) -> list[Node]:
        items: list[Node] = []
        while not self._accept(closing):
            items.append(self._expression(0))
            if not self._accept(","):
                self._expect("op", closing)
                break
        return items

    def _primary(self) -> Node:
        token = self._next()
        if token.kind == "literal":
            return Literal(token.value)
        if token.kind == "ident":
            return self._named(token)
        if token.kind == "op":
            if token.text == "(":
                node = self._expression(0)
                self._expect("op", ")")
                return node
            if token.text in {"[", "[?"}:
                return self._list(token)
            if token.text == "{":
                return self._map()
            if token.text == ".":
                return self._named(self._next())
        raise self._unexpected(token)

    def _named(self, token: Token) -> Node:
        if token.kind != "ident" or token.text in _RESERVED or token.text == "in":
            raise self._unexpected(token)
        if self._accept("("):
            return self._call(token.text, None)
        return Ident(token.text)

    def _list(self, opening: Token) -> Node:
        items: list[Node] = []
        optional: set[int] = set()
        is_optional = opening.text == "[?"
        while is_optional or not self._accept("]"):
            if is_optional or self._accept("?"):
                optional.add(len(items))
                is_optional = False
            items.append(self._expression(0))
            if not self._accept(","):
                self._expect("op", "]")
                break
        return self._limited(ListLiteral(tuple(items), frozenset(optional), deeper(*items)))

    def _map(self) -> Node:
        keys: list[Node] = []
        values: list[Node] = []
        optional: set[int] = set()
        while not self._accept("}"):
            if self._accept("?"):
                optional.add(len(keys))
            keys.append(self._expression(0))
            self._expect("op", ":")
            values.append(self._expression(0))
            if not self._accept(","):
                self._expect("op", "}")
                break
        depth = deeper(*keys, *values)
        return self._limited(MapLiteral(tuple(keys), tuple(values), frozenset(optional), depth))

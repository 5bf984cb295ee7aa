"""The syntax tree of an expression. Every node knows its depth, so that nothing downstream can run out of stack."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant."""

    value: object
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Ident:
    """A name."""

    name: str
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Select:
    """``operand.field``; ``is_test`` inside ``has()``, ``is_optional`` for ``.?``."""

    operand: Node
    field: str
    depth: int
    is_test: bool = False
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Index:
    """``operand[key]``; ``is_optional`` for ``[?key]``."""

    operand: Node
    key: Node
    depth: int
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """``function(args)`` or ``target.function(args)``; operators are calls of names like ``_+_``."""

    function: str
    target: Node | None
    args: tuple[Node, ...]
    depth: int


@dataclass(frozen=True, slots=True)
class Logic:
    """A chain of ``&&`` or ``||``, kept flat."""

    is_and: bool
    parts: tuple[Node, ...]
    depth: int


@dataclass(frozen=True, slots=True)
class Choice:
    """``condition ? yes : no``."""

    condition: Node
    yes: Node
    no: Node
    depth: int


@dataclass(frozen=True, slots=True)
class ListLiteral:
    """``[a, ?b]``; ``optional`` holds the indices of ``?`` elements."""

    items: tuple[Node, ...]
    optional: frozenset[int]
    depth: int


@dataclass(frozen=True, slots=True)
class MapLiteral:
    """``{k: v, ?k: v}``."""

    keys: tuple[Node, ...]
    values: tuple[Node, ...]
    optional: frozenset[int]
    depth: int


@dataclass(frozen=True, slots=True)
class Loop:
    """A macro that walks a list or map. ``kind`` as written; ``second`` is "" for one-variable forms."""

    kind: str
    source: Node
    first: str
    second: str
    condition: Node | None
    """The filter of three-argument forms."""
    body: Node
    depth: int


@dataclass(frozen=True, slots=True)
class Bind:
    """``cel.bind(name, value, body)``."""

    name: str
    value: Node
    body: Node
    depth: int


@dataclass(frozen=True, slots=True)
class OptionalMap:
    """``x.optMap(name, body)`` and ``x.optFlatMap(name, body)``."""

    source: Node
    name: str
    body: Node
    is_flat: bool
    depth: int


Node = (
    Literal
    | Ident
    | Select
    | Index
    | Call
    | Logic
    | Choice
    | ListLiteral
    | MapLiteral
    | Loop
    | Bind
    | OptionalMap
)


def deeper(*nodes: Node | None) -> int:
    """The depth of a node above these."""
    return 1 + max((node.depth for node in nodes if node is not None), default=0)

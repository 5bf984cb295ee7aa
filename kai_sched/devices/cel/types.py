"""Static types and overloads: what the checker knows, and by what an overload is chosen at run time.

A type is a tuple: its name, then its parameters. ``dyn`` fits everywhere; single capital letters are type variables;
``?`` is what nothing has decided yet, such as the items of an empty list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from kai_sched.devices.cel.values import (
    CelMap,
    CelType,
    Cidr,
    Duration,
    Ip,
    NamedFormat,
    OptionalValue,
    Quantity,
    Semver,
    Timestamp,
    Uint,
    Url,
)

Type = tuple[Any, ...]

DYN: Final[Type] = ("dyn",)
OPEN: Final[Type] = ("?",)
BOOL: Final[Type] = ("bool",)
INT: Final[Type] = ("int",)
STRING: Final[Type] = ("string",)
NULL: Final[Type] = ("null",)
TYPE: Final[Type] = ("type",)

PYTHON_TYPES: Final[dict[str, type]] = {
    "bool": bool,
    "int": int,
    "uint": Uint,
    "double": float,
    "string": str,
    "bytes": bytes,
    "null": type(None),
    "list": list,
    "map": CelMap,
    "type": CelType,
    "optional": OptionalValue,
    "quantity": Quantity,
    "semver": Semver,
    "duration": Duration,
    "timestamp": Timestamp,
    "url": Url,
    "ip": Ip,
    "cidr": Cidr,
    "format": NamedFormat,
}
TYPE_IDENTS: Final = {
    "bool": "bool",
    "int": "int",
    "uint": "uint",
    "double": "double",
    "string": "string",
    "bytes": "bytes",
    "null_type": "null_type",
    "list": "list",
    "map": "map",
    "type": "type",
    "optional_type": "optional_type",
}


def list_of(item: Type) -> Type:
    return ("list", item)


def map_of(key: Type, value: Type) -> Type:
    return ("map", key, value)


def optional_of(item: Type) -> Type:
    return ("optional", item)


def type_text(kind: Type) -> str:
    """As the reference writes types in its errors."""
    if len(kind) == 1:
        return str(kind[0])
    return f"{kind[0]}({', '.join(type_text(part) for part in kind[1:])})"


def is_variable(kind: Type) -> bool:
    return len(kind[0]) == 1


def unify(parameter: Type, argument: Type, bound: dict[str, Type]) -> bool:
    """Whether an argument fits a parameter; binds type variables on the way, to the most general argument."""
    if is_variable(parameter):
        name = parameter[0]
        known = bound.get(name, OPEN)
        if not unify_closed(known, argument):
            return False
        bound[name] = merged(known, argument)
        return True
    if DYN in (parameter, argument) or is_variable(argument):
        return True
    if parameter[0] != argument[0] or len(parameter) != len(argument):
        return False
    return all(unify(a, b, bound) for a, b in zip(parameter[1:], argument[1:], strict=True))


def unify_closed(first: Type, second: Type) -> bool:
    """Whether two types without variables go together."""
    return is_variable(first) or unify(first, second, {})


def merged(first: Type, second: Type) -> Type:
    """The more general of two types that go together; what is open takes what the other has decided."""
    if second in {first, OPEN}:
        return first
    if first == OPEN:
        return second
    if DYN in (first, second) or len(first) != len(second):
        return DYN
    return (first[0], *(merged(a, b) for a, b in zip(first[1:], second[1:], strict=True)))


def substituted(kind: Type, bound: dict[str, Type]) -> Type:
    """The type with its variables filled in; unknown ones are open."""
    if is_variable(kind):
        return bound.get(kind[0], OPEN)
    return (kind[0], *(substituted(part, bound) for part in kind[1:]))


def is_same(first: Type, second: Type) -> bool:
    """Whether two types are equal where both are decided."""
    if OPEN in (first, second):
        return True
    return (
        first[0] == second[0]
        and len(first) == len(second)
        and all(is_same(a, b) for a, b in zip(first[1:], second[1:], strict=True))
    )


def joined(kinds: list[Type]) -> Type:
    """The one type of several values, dyn if they differ."""
    if not kinds:
        return OPEN
    result = kinds[0]
    for kind in kinds[1:]:
        result = merged(result, kind) if is_same(result, kind) else DYN
    return result


Implementation = Callable[..., object]
"""Called with the evaluation's budget and the argument values."""


@dataclass(frozen=True, slots=True)
class Overload:
    """One way to call a function. ``python`` are the run-time types of the arguments, None for any."""

    name: str
    is_member: bool
    parameters: tuple[Type, ...]
    result: Type
    call: Implementation
    python: tuple[type | None, ...]


@lru_cache(maxsize=1024)
def parse_type(text: str) -> Type:
    """``map(string, list(T))`` as a type."""
    text = text.strip()
    if "(" not in text:
        return (text,)
    name, inner = text[:-1].split("(", 1)
    parts: list[str] = []
    depth = 0
    current = ""
    for char in inner:
        depth += {"(": 1, ")": -1}.get(char, 0)
        if char == "," and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += char
    parts.append(current)
    return (name, *(parse_type(part) for part in parts))


def overload(signature: str, call: Implementation) -> Overload:
    """From a line such as ``string:split(string, int) -> list(string)``; a receiver before the colon makes it a member."""
    head, result = (part.strip() for part in signature.rsplit("->", 1))
    receiver, is_member, rest = head.rpartition(":")
    name, arguments = rest[:-1].split("(", 1)
    parameters = parse_type(f"x({arguments})")[1:] if arguments.strip() else ()
    if is_member:
        parameters = (parse_type(receiver), *parameters)
    python = tuple(PYTHON_TYPES.get(kind[0]) for kind in parameters)
    return Overload(name, bool(is_member), parameters, parse_type(result), call, python)

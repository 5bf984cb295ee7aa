"""All functions an expression may call, by name: the libraries put together."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from kai_sched.devices.cel.library import (
    formats,
    lists,
    network,
    operators,
    optionals,
    quantities,
    standard,
    strings,
    times,
    versions,
)
from kai_sched.devices.cel.tree import Call, Ident, Node, Select
from kai_sched.devices.cel.types import Overload


def _by_name(groups: Iterable[Iterable[Overload]]) -> dict[str, tuple[Overload, ...]]:
    table: dict[str, list[Overload]] = {}
    for group in groups:
        for entry in group:
            table.setdefault(entry.name, []).append(entry)
    return {name: tuple(entries) for name, entries in table.items()}


FUNCTIONS: Final = _by_name(
    library.OVERLOADS
    for library in (
        operators,
        standard,
        strings,
        lists,
        quantities,
        versions,
        network,
        formats,
        optionals,
        times,
    )
)


@lru_cache(maxsize=1024)
def overloads_of(name: str, arity: int, *, is_member: bool) -> tuple[Overload, ...]:
    """The overloads that a call of this shape may mean."""
    return tuple(
        entry
        for entry in FUNCTIONS.get(name, ())
        if entry.is_member == is_member and len(entry.parameters) == arity
    )


def qualified_name(node: Call) -> str | None:
    """``sets.contains`` and the like: a function whose name has dots, written as if it had a receiver."""
    path = _path(node.target)
    if path is None:
        return None
    name = f"{path}.{node.function}"
    return name if name in FUNCTIONS else None


def _path(node: Node | None) -> str | None:
    if isinstance(node, Ident):
        return node.name
    if isinstance(node, Select) and not node.is_test and not node.is_optional:
        inner = _path(node.operand)
        return None if inner is None else f"{inner}.{node.field}"
    return None

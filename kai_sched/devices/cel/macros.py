"""Calls that are not calls: ``has``, ``all``, ``exists``, ``map``, ``cel.bind`` and the like, by shape of their arguments."""

from __future__ import annotations

from typing import Final

from kai_sched.devices.cel.tree import Bind, Call, Ident, Loop, Node, OptionalMap, Select, deeper
from kai_sched.devices.cel.values import CompileError

_ONE_VARIABLE: Final = frozenset({"all", "exists", "exists_one", "existsOne", "filter", "map", "sortBy"})
_TWO_VARIABLES: Final = frozenset({"all", "exists", "exists_one", "existsOne"})
_TRANSFORMS: Final = frozenset({"transformList", "transformMap", "transformMapEntry"})


def expand_macro(name: str, target: Node | None, args: tuple[Node, ...]) -> Node | None:
    """The macro's node, or None where the call is an ordinary one."""
    if target is None:
        return _has(args) if name == "has" and len(args) == 1 else None
    if name == "bind" and isinstance(target, Ident) and target.name == "cel" and len(args) == 3:
        return Bind(_variable(args[0]), args[1], args[2], deeper(args[1], args[2]))
    if name in {"optMap", "optFlatMap"} and len(args) == 2:
        is_flat = name == "optFlatMap"
        return OptionalMap(target, _variable(args[0]), args[1], is_flat, deeper(target, args[1]))
    if name in _ONE_VARIABLE and len(args) == 2:
        return Loop(name, target, _variable(args[0]), "", None, args[1], deeper(target, args[1]))
    if name == "map" and len(args) == 3:
        return Loop(name, target, _variable(args[0]), "", args[1], args[2], deeper(target, *args))
    if name in _TWO_VARIABLES and len(args) == 3:
        first, second = _variable(args[0]), _variable(args[1])
        return Loop(name, target, first, second, None, args[2], deeper(target, args[2]))
    if name in _TRANSFORMS and len(args) in {3, 4}:
        return _transform(name, target, args)
    return None


def _transform(name: str, target: Node, args: tuple[Node, ...]) -> Node:
    condition = args[2] if len(args) == 4 else None
    first, second = _variable(args[0]), _variable(args[1])
    return Loop(name, target, first, second, condition, args[-1], deeper(target, *args))


def _has(args: tuple[Node, ...]) -> Node:
    node = args[0]
    if not isinstance(node, Select) or node.is_optional:
        raise CompileError("ERROR: <input>: invalid argument to has() macro")
    return Select(node.operand, node.field, node.depth, is_test=True)


def _variable(node: Node) -> str:
    if isinstance(node, Ident):
        return node.name
    if isinstance(node, Call):
        raise CompileError("ERROR: <input>: argument must be a simple name, got a call")
    raise CompileError("ERROR: <input>: argument must be a simple name")

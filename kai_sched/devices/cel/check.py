"""The static check: undeclared names, calls that no overload takes, and a result that cannot be bool.

Attributes of devices are dyn, so most of an expression is judged only at run time, as in the reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kai_sched.devices.cel.budget import Budget
from kai_sched.devices.cel.functions import FUNCTIONS, overloads_of, qualified_name
from kai_sched.devices.cel.regex.program import compile_pattern
from kai_sched.devices.cel.regex.syntax import BadPattern
from kai_sched.devices.cel.tree import (
    Bind,
    Call,
    Choice,
    Ident,
    Index,
    ListLiteral,
    Literal,
    Logic,
    Loop,
    MapLiteral,
    Node,
    OptionalMap,
    Select,
)
from kai_sched.devices.cel.types import (
    BOOL,
    DYN,
    INT,
    OPEN,
    PYTHON_TYPES,
    STRING,
    TYPE,
    TYPE_IDENTS,
    Type,
    is_same,
    joined,
    list_of,
    map_of,
    merged,
    optional_of,
    parse_type,
    substituted,
    type_text,
    unify,
)
from kai_sched.devices.cel.values import CelError, CompileError

DEVICE_FIELDS: Final[dict[str, Type]] = {
    "driver": STRING,
    "allowMultipleAllocations": BOOL,
    "attributes": parse_type("map(string, map(string, dyn))"),
    "capacity": parse_type("map(string, map(string, quantity))"),
}
_LITERAL_NAMES: Final = {python: name for name, python in PYTHON_TYPES.items()}
_MIXED: Final = "mixed literals"
"""Marks a scope in which literals may be mixed; no name of an expression has a space."""
_CONVERSIONS: Final = frozenset({"int", "uint", "double", "bool", "bytes", "string", "duration", "timestamp"})
_MOST_FOLDS: Final = 16
"""Conversions in conversions that are worked out here; what is wrong further inside was found there, or is when run."""
_ITERABLE: Final = frozenset({"list", "map", "dyn"})


def check_selector(node: Node) -> None:
    """Refuse what the reference refuses before it evaluates anything.

    Raises:
        CompileError: with the reference's wording.
    """
    result = _type_of(node, {"device": ("device",)})
    if result not in {BOOL, DYN}:
        raise CompileError(f"must evaluate to bool or the unknown type, not {type_text(result)}")


def _type_of(node: Node, scope: Mapping[str, Type]) -> Type:
    return _decided(_kind_of(node, scope))


def _kind_of(node: Node, scope: Mapping[str, Type]) -> Type:  # noqa: C901, PLR0911 — one case a node kind
    match node:
        case Literal():
            return (_LITERAL_NAMES[type(node.value)],)
        case Ident():
            return _ident(node.name, scope)
        case Select():
            return _select(node, scope)
        case Index():
            return _index(node, scope)
        case Call():
            return _call(node, scope)
        case Logic():
            for part in node.parts:
                _expect_bool(part, scope, "_&&_" if node.is_and else "_||_")
            return BOOL
        case Choice():
            _expect_bool(node.condition, scope, "_?_:_")
            yes, no = _type_of(node.yes, scope), _type_of(node.no, scope)
            if not unify(yes, no, {}):
                raise _mismatch("_?_:_", (BOOL, yes, no))
            return merged(yes, no)
        case ListLiteral():
            return _list(node, scope)
        case MapLiteral():
            return _map(node, scope)
        case Loop() | Bind() | OptionalMap():
            return _scoped(node, scope)


def _ident(name: str, scope: Mapping[str, Type]) -> Type:
    if name in scope:
        return scope[name]
    if name in TYPE_IDENTS:
        return TYPE
    raise CompileError(f"undeclared reference to '{name}' (in container '')")


def _expect_bool(node: Node, scope: Mapping[str, Type], operator: str) -> None:
    kind = _type_of(node, scope)
    if kind not in {BOOL, DYN}:
        raise _mismatch(operator, (kind,))


def _mismatch(function: str, kinds: tuple[Type, ...]) -> CompileError:
    text = ", ".join(type_text(kind) for kind in kinds)
    return CompileError(f"found no matching overload for '{function}' applied to '({text})'")


def _decided(kind: Type) -> Type:
    return DYN if kind == OPEN else kind


def _select(node: Select, scope: Mapping[str, Type]) -> Type:
    operand = _type_of(node.operand, scope)
    is_optional = node.is_optional or operand[0] == "optional"
    if operand[0] == "optional":
        operand = _decided(operand[1])
    if operand[0] == "device":
        if node.field not in DEVICE_FIELDS:
            raise CompileError(f"undefined field '{node.field}'")
        result = DEVICE_FIELDS[node.field]
    elif operand[0] == "map":
        if not unify(operand[1], STRING, {}):
            raise CompileError(f"type '{type_text(operand)}' does not support field selection")
        result = operand[2]
    elif operand == DYN:
        result = DYN
    else:
        raise CompileError(f"type '{type_text(operand)}' does not support field selection")
    if node.is_test:
        return BOOL
    return optional_of(result) if is_optional else result


def _index(node: Index, scope: Mapping[str, Type]) -> Type:
    operand, key = _type_of(node.operand, scope), _type_of(node.key, scope)
    is_optional = node.is_optional or operand[0] == "optional"
    if operand[0] == "optional":
        operand = _decided(operand[1])
    wanted, result = INT, DYN
    if operand[0] == "list":
        result = operand[1]
    elif operand[0] == "map":
        wanted, result = operand[1], operand[2]
    elif operand == DYN:
        wanted = DYN
    else:
        raise _mismatch("_[_]", (operand, key))
    if not unify(wanted, key, {}):
        raise _mismatch("_[_]", (operand, key))
    return optional_of(result) if is_optional else result


def _call(node: Call, scope: Mapping[str, Type]) -> Type:
    qualified = qualified_name(node)
    if qualified is not None and qualified.split(".", 1)[0] not in scope:
        name, target, is_member = qualified, None, False
    else:
        name, target, is_member = node.function, node.target, node.target is not None
    if name not in FUNCTIONS:
        raise CompileError(f"undeclared reference to '{name}' (in container '')")
    parts = ((target,) if target is not None else ()) + node.args
    inner = {**scope, _MIXED: DYN} if name == "format" else scope
    kinds = tuple(_type_of(part, inner) for part in parts)
    results: list[Type] = []
    for candidate in overloads_of(name, len(kinds), is_member=is_member):
        bound: dict[str, Type] = {}
        if all(unify(p, k, bound) for p, k in zip(candidate.parameters, kinds, strict=True)):
            results.append(substituted(candidate.result, bound))
    if not results:
        raise _mismatch(name, kinds)
    _check_literals(name, parts)
    return joined(results)


def _check_literals(name: str, parts: tuple[Node, ...]) -> None:
    """Patterns and conversions of literals fail when compiled, not when run."""
    last = parts[-1] if parts else None
    try:
        if name == "matches" and isinstance(last, Literal) and isinstance(last.value, str):
            compile_pattern(last.value)
        elif name in _CONVERSIONS and len(parts) == 1:
            _converted(name, parts[0])
    except BadPattern as error:
        assert isinstance(last, Literal)
        raise CompileError(
            f"invalid matches argument: error parsing regexp: {error}: `{last.value}`"
        ) from None
    except CelError as error:
        raise CompileError(str(error)) from None


def _converted(name: str, argument: Node, folds: int = _MOST_FOLDS) -> Literal | None:
    """A conversion of a literal, or of such a conversion, as the literal that it is; None where it is none."""
    if isinstance(argument, Call) and argument.target is None and argument.function in _CONVERSIONS:
        if len(argument.args) != 1 or not folds:
            return None
        inner = _converted(argument.function, argument.args[0], folds - 1)
    else:
        inner = argument if isinstance(argument, Literal) else None
    if inner is None:
        return None
    for candidate in overloads_of(name, 1, is_member=False):
        if candidate.python[0] is type(inner.value):
            return Literal(candidate.call(Budget(), inner.value))
    return None


def _list(node: ListLiteral, scope: Mapping[str, Type]) -> Type:
    kinds = [_type_of(item, scope) for item in node.items]
    for index in node.optional:
        if kinds[index][0] not in {"optional", "dyn"}:
            raise CompileError(f"expected type 'optional_type(T)' but found '{type_text(kinds[index])}'")
        kinds[index] = kinds[index][1] if kinds[index][0] == "optional" else DYN
    return list_of(_homogeneous(kinds, scope))


def _map(node: MapLiteral, scope: Mapping[str, Type]) -> Type:
    keys = [_type_of(key, scope) for key in node.keys]
    values = [_type_of(value, scope) for value in node.values]
    for index in node.optional:
        values[index] = values[index][1] if values[index][0] == "optional" else DYN
    return map_of(_homogeneous(keys, scope), _homogeneous(values, scope))


def _homogeneous(kinds: list[Type], scope: Mapping[str, Type]) -> Type:
    """The type of a literal's elements, which must be one; only the arguments of ``format`` may be mixed."""
    for kind in kinds[1:]:
        if _MIXED not in scope and not is_same(kind, kinds[0]):
            raise CompileError(f"expected type '{type_text(kinds[0])}' but found '{type_text(kind)}'")
    return joined(kinds)


def _scoped(node: Loop | Bind | OptionalMap, scope: Mapping[str, Type]) -> Type:
    match node:
        case Bind():
            return _type_of(node.body, {**scope, node.name: _type_of(node.value, scope)})
        case OptionalMap():
            source = _type_of(node.source, scope)
            if source[0] not in {"optional", "dyn"}:
                raise _mismatch("optMap", (source,))
            inner = source[1] if source[0] == "optional" else DYN
            body = _type_of(node.body, {**scope, node.name: inner})
            return body if node.is_flat else optional_of(body)
        case Loop():
            return _loop(node, scope)


def _loop(node: Loop, scope: Mapping[str, Type]) -> Type:
    source = _type_of(node.source, scope)
    if source[0] not in _ITERABLE:
        raise CompileError(
            f"expression of type '{type_text(source)}' cannot be range of a comprehension"
            " (must be list, map, or dynamic)"
        )
    inner = {**scope, **_loop_variables(node, source)}
    if node.condition is not None:
        _expect_bool(node.condition, inner, "_&&_")
    if node.kind in {"all", "exists", "exists_one", "existsOne", "filter"}:
        _expect_bool(node.body, inner, "_&&_")
        return list_of(inner[node.first]) if node.kind == "filter" else BOOL
    body = _type_of(node.body, inner)
    match node.kind:
        case "map" | "transformList":
            return list_of(body)
        case "transformMap":
            return map_of(inner[node.first], body)
        case "transformMapEntry":
            return body if body[0] == "map" else map_of(DYN, DYN)
        case _:
            return source


def _loop_variables(node: Loop, source: Type) -> dict[str, Type]:
    if source[0] == "list":
        first = INT if node.second else source[1]
        second = source[1]
    elif source[0] == "map":
        first, second = source[1], source[2]
    else:
        first = second = DYN
    return {node.first: first, node.second: second} if node.second else {node.first: first}

"""A checked tree to closures: each node becomes a function of the evaluation's state.

Errors of ``&&``, ``||``, ``all`` and ``exists`` are absorbed where the other operands decide, as CEL defines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from kai_sched.devices.cel.binding import LazySlot, compile_bind, compile_optional_map, load_lazily
from kai_sched.devices.cel.budget import Budget
from kai_sched.devices.cel.device_view import DeviceValue
from kai_sched.devices.cel.functions import overloads_of, qualified_name
from kai_sched.devices.cel.loops import compile_loop
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
from kai_sched.devices.cel.types import TYPE_IDENTS, Overload
from kai_sched.devices.cel.values import (
    NOTHING,
    CelError,
    CelMap,
    CelType,
    OptionalValue,
    Uint,
    equal,
    no_overload,
    strictly_equal,
)


class Evaluation:
    """State of one evaluation: the device, variables by slot, the budget."""

    __slots__ = ("budget", "device", "slots")

    def __init__(self, device: DeviceValue, budget: Budget, slots: int) -> None:
        self.device = device
        self.budget = budget
        self.slots: list[object] = [None] * slots


Closure = Callable[[Evaluation], object]
Scope = Mapping[str, int]
"""Variable to slot; ``device`` is not in it."""


def compile_node(node: Node, scope: Scope) -> Closure:  # noqa: C901, PLR0911 — one case a node kind
    """The closure of a node. Slots of inner variables follow those of the scope."""
    match node:
        case Literal():
            return _constant(node.value)
        case Ident():
            return _ident(node.name, scope)
        case Select():
            return _select(node, scope)
        case Index():
            return _index(node, scope)
        case Call():
            return _call(node, scope)
        case Logic():
            return _logic(node, scope)
        case Choice():
            return _choice(node, scope)
        case ListLiteral():
            return _list(node, scope)
        case MapLiteral():
            return _map(node, scope)
        case Loop():
            return compile_loop(node, scope, compile_node)
        case Bind():
            return compile_bind(node, scope, compile_node)
        case OptionalMap():
            return compile_optional_map(node, scope, compile_node)


def _constant(value: object) -> Closure:
    return lambda _state: value


def _ident(name: str, scope: Scope) -> Closure:
    if name in scope:
        slot = scope[name]
        if isinstance(slot, LazySlot):
            return load_lazily(slot)

        def load(state: Evaluation) -> object:
            state.budget.left -= 1
            return state.slots[slot]

        return load
    if name == "device":
        return lambda state: state.device
    return _constant(CelType(TYPE_IDENTS[name]))


def _field(value: object, key: object) -> tuple[bool, object]:
    """(found, value) of a map's or the device's entry."""
    if isinstance(value, CelMap | DeviceValue):
        return value.find(key)
    raise no_overload("select", value)


def _field_if_any(value: object, key: object) -> tuple[bool, object]:
    """The same for tests, where a value without fields just has none."""
    return value.find(key) if isinstance(value, CelMap | DeviceValue) else (False, None)


def _select(node: Select, scope: Scope) -> Closure:
    operand, name = compile_node(node.operand, scope), node.field

    def test(state: Evaluation) -> object:
        value = operand(state)
        if isinstance(value, OptionalValue):
            return value.is_present and _field_if_any(value.value, name)[0]
        return _field_if_any(value, name)[0]

    def select(state: Evaluation) -> object:
        state.budget.left -= 1
        value = operand(state)
        if isinstance(value, OptionalValue):
            return _optional_entry(value, name)
        found, entry = _field(value, name)
        if not found:
            raise CelError(f"no such key: {name}")
        return entry

    def select_optional(state: Evaluation) -> object:
        state.budget.left -= 1
        return _optional_entry(operand(state), name)

    if node.is_test:
        return test
    return select_optional if node.is_optional else select


def _optional_entry(value: object, key: object) -> OptionalValue:
    if isinstance(value, OptionalValue):
        if not value.is_present:
            return value
        value = value.value
    found, entry = _element(value, key) if isinstance(value, list) else _field_if_any(value, key)
    return OptionalValue(is_present=True, value=entry) if found else NOTHING


def _element(items: list[object], key: object) -> tuple[bool, object]:
    if isinstance(key, bool) or not isinstance(key, int | float) or key != int(key):
        raise no_overload("_[_]", items, key)
    index = int(key)
    return (True, items[index]) if 0 <= index < len(items) else (False, None)


def _index(node: Index, scope: Scope) -> Closure:
    operand, key_of = compile_node(node.operand, scope), compile_node(node.key, scope)

    def index(state: Evaluation) -> object:
        state.budget.left -= 1
        value, key = operand(state), key_of(state)
        if isinstance(value, OptionalValue):
            return _optional_entry(value, key)
        if isinstance(value, list):
            found, entry = _element(value, key)
            if not found:
                raise CelError(f"index out of bounds: {key}")
            return entry
        found, entry = _field(value, key)
        if not found:
            raise CelError(f"no such key: {key}")
        return entry

    def index_optional(state: Evaluation) -> object:
        state.budget.left -= 1
        return _optional_entry(operand(state), key_of(state))

    return index_optional if node.is_optional else index


def _call(node: Call, scope: Scope) -> Closure:
    qualified = qualified_name(node)
    if qualified is not None and qualified.split(".", 1)[0] not in scope:
        name, parts, is_member = qualified, node.args, False
    else:
        name = node.function
        is_member = node.target is not None
        parts = node.args if node.target is None else (node.target, *node.args)
    closures = tuple(compile_node(part, scope) for part in parts)
    if name in {"_==_", "_!=_"}:
        return _equality(closures, is_equal=name == "_==_")
    return _dispatch(name, closures, overloads_of(name, len(closures), is_member=is_member))


def _equality(closures: tuple[Closure, ...], *, is_equal: bool) -> Closure:
    first, second = closures

    def compare(state: Evaluation) -> object:
        left, right = first(state), second(state)
        cost = 1
        if isinstance(left, str | list) and isinstance(right, str | list):
            cost += min(len(left), len(right)) // 10
        state.budget.take(cost)
        return strictly_equal(left, right) if is_equal else not equal(left, right)

    return compare


def _dispatch(name: str, closures: tuple[Closure, ...], candidates: tuple[Overload, ...]) -> Closure:
    """Call the first overload whose parameters have the arguments' run-time types."""
    by_types: dict[tuple[type, ...], Callable[..., object]] = {}

    def resolve(kinds: tuple[type, ...], args: tuple[object, ...]) -> Callable[..., object]:
        for candidate in candidates:
            if all(
                wanted is None or wanted is kind or (wanted is CelMap and issubclass(kind, CelMap))
                for wanted, kind in zip(candidate.python, kinds, strict=True)
            ):
                by_types[kinds] = candidate.call
                return candidate.call
        raise no_overload(name, *args)

    def call(state: Evaluation) -> object:
        args = tuple([closure(state) for closure in closures])
        kinds = tuple([type(arg) for arg in args])
        state.budget.take(1)
        implementation = by_types.get(kinds) or resolve(kinds, args)
        return implementation(state.budget, *args)

    return call


def _logic(node: Logic, scope: Scope) -> Closure:
    closures = tuple(compile_node(part, scope) for part in node.parts)
    deciding = not node.is_and
    name = "_&&_" if node.is_and else "_||_"

    def logic(state: Evaluation) -> object:
        failure: CelError | None = None
        for closure in closures:
            try:
                value = closure(state)
            except CelError as error:
                failure = failure or error
                continue
            if value is deciding:
                return deciding
            if value is not node.is_and and failure is None:
                failure = no_overload(name, value)
        if failure is not None:
            raise failure
        return node.is_and

    return logic


def _choice(node: Choice, scope: Scope) -> Closure:
    condition, yes, no = (compile_node(part, scope) for part in (node.condition, node.yes, node.no))

    def choose(state: Evaluation) -> object:
        state.budget.left -= 1
        value = condition(state)
        if value is True:
            return yes(state)
        if value is False:
            return no(state)
        raise no_overload("_?_:_", value)

    return choose


def _list(node: ListLiteral, scope: Scope) -> Closure:
    closures = tuple(compile_node(item, scope) for item in node.items)
    if not node.optional and all(isinstance(item, Literal) for item in node.items):
        # Constant, so built once; the step of making it is still paid.
        constant: list[object] = [item.value for item in node.items if isinstance(item, Literal)]

        def load(state: Evaluation) -> object:
            state.budget.take(10)
            return constant

        return load

    def build(state: Evaluation) -> object:
        state.budget.take(10 + len(closures))
        items: list[object] = []
        for index, closure in enumerate(closures):
            value = closure(state)
            if index not in node.optional:
                items.append(value)
            elif not isinstance(value, OptionalValue):
                raise CelError("cannot initialize optional list element from non-optional value")
            elif value.is_present:
                items.append(value.value)
        return items

    return build


def _map(node: MapLiteral, scope: Scope) -> Closure:
    pairs = tuple(
        (compile_node(key, scope), compile_node(value, scope))
        for key, value in zip(node.keys, node.values, strict=True)
    )

    def entries(state: Evaluation) -> Iterator[tuple[object, object]]:
        for index, (key_of, value_of) in enumerate(pairs):
            key, value = key_of(state), value_of(state)
            if type(key) not in {bool, int, Uint, str}:
                raise CelError(f"unsupported key type: {type(key).__name__}")
            if index not in node.optional:
                yield key, value
            elif not isinstance(value, OptionalValue):
                raise CelError("cannot initialize optional entry from non-optional value")
            elif value.is_present:
                yield key, value.value

    def build(state: Evaluation) -> object:
        state.budget.take(30 + len(pairs))
        return CelMap(entries(state))

    return build

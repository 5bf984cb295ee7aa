"""The macros that walk a list or a map, compiled: ``all``, ``exists``, ``filter``, ``map``, the transforms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from kai_sched.devices.cel.library.lists import sorted_by
from kai_sched.devices.cel.tree import Loop, Node
from kai_sched.devices.cel.values import CelError, CelMap, no_overload, reference_type_name

if TYPE_CHECKING:
    from kai_sched.devices.cel.evaluate import Closure, Evaluation

Compile = Callable[[Node, Mapping[str, int]], "Closure"]
Step = Callable[["Evaluation"], object]
Walk = Callable[["Evaluation"], Iterator[object]]

_ITERATION_STEPS = 3
"""What one turn of a loop costs beside its body: test, step and variable, as in the reference."""


def compile_loop(node: Loop, scope: Mapping[str, int], compile_node: Compile) -> Closure:
    """The closure of a loop macro."""
    first = max(scope.values(), default=-1) + 1
    second = first + 1
    inner = {**scope, node.first: first}
    if node.second:
        inner[node.second] = second
    walk = _walk(compile_node(node.source, scope), first, second if node.second else None)
    body = compile_node(node.body, inner)
    condition = None if node.condition is None else _boolean(compile_node(node.condition, inner))
    match node.kind:
        case "all" | "exists":
            return _quantified(walk, body, is_all=node.kind == "all")
        case "exists_one" | "existsOne":
            return _exists_one(walk, _boolean(body))
        case "filter":
            return _filtered(walk, _boolean(body), first)
        case "map" | "transformList":
            return _mapped(walk, body, condition)
        case "sortBy":
            return _sorted(walk, body, first)
        case _:
            return _transformed(walk, body, condition, first if node.kind == "transformMap" else None)


def _walk(source: Closure, first: int, second: int | None) -> Walk:
    """Sets the variables and yields once a turn: the element, or the entry's key."""

    def walk(state: Evaluation) -> Iterator[object]:
        value = source(state)
        slots, budget = state.slots, state.budget
        if isinstance(value, list):
            for index, item in enumerate(value):
                budget.take(_ITERATION_STEPS)
                if second is None:
                    slots[first] = item
                else:
                    slots[first], slots[second] = index, item
                yield item
        elif isinstance(value, CelMap):
            for key in value.keys():  # noqa: SIM118 — CelMap is no dict
                budget.take(_ITERATION_STEPS)
                slots[first] = key
                if second is not None:
                    slots[second] = value.find(key)[1]
                yield key
        else:
            raise CelError(f"got '{reference_type_name(value)}', expected iterable type")

    return walk


def _boolean(body: Closure) -> Callable[[Evaluation], bool]:
    def test(state: Evaluation) -> bool:
        value = body(state)
        if isinstance(value, bool):
            return value
        raise no_overload("_?_:_", value)

    return test


def _quantified(walk: Walk, body: Closure, *, is_all: bool) -> Closure:
    deciding = not is_all

    def run(state: Evaluation) -> object:
        failure: CelError | None = None
        for _ in walk(state):
            try:
                value = body(state)
            except CelError as error:
                failure = failure or error
                continue
            if value is deciding:
                return deciding
            if value is not is_all and failure is None:
                failure = no_overload("_&&_" if is_all else "_||_", value)
        if failure is not None:
            raise failure
        return is_all

    return run


def _exists_one(walk: Walk, test: Callable[[Evaluation], bool]) -> Closure:
    return lambda state: sum(1 for _ in walk(state) if test(state)) == 1


def _filtered(walk: Walk, test: Callable[[Evaluation], bool], first: int) -> Closure:
    return lambda state: [state.slots[first] for _ in walk(state) if test(state)]


def _mapped(walk: Walk, body: Closure, condition: Callable[[Evaluation], bool] | None) -> Closure:
    def run(state: Evaluation) -> object:
        items: list[object] = []
        for _ in walk(state):
            if condition is None or condition(state):
                state.budget.take(1)
                items.append(body(state))
        return items

    return run


def _sorted(walk: Walk, body: Closure, first: int) -> Closure:
    def run(state: Evaluation) -> object:
        pairs = [(state.slots[first], body(state)) for _ in walk(state)]
        state.budget.take(1 + len(pairs) * max(1, len(pairs).bit_length()))
        return sorted_by([item for item, _ in pairs], [key for _, key in pairs])

    return run


def _transformed(
    walk: Walk, body: Closure, condition: Callable[[Evaluation], bool] | None, key_slot: int | None
) -> Closure:
    """``transformMap`` keeps the keys; ``transformMapEntry`` (no key slot) takes them from the body's map."""

    def run(state: Evaluation) -> object:
        pairs: list[tuple[object, object]] = []
        for _ in walk(state):
            if condition is not None and not condition(state):
                continue
            value: Any = body(state)
            if key_slot is not None:
                pairs.append((state.slots[key_slot], value))
            elif isinstance(value, CelMap):
                pairs += [(key, value.find(key)[1]) for key in value.keys()]  # noqa: SIM118 — no dict
            else:
                raise no_overload("transformMapEntry", value)
        result = CelMap(pairs)
        if result.size() != len(pairs):
            raise CelError("insert failed: key already exists")
        return result

    return run

"""Variables that hold one value: ``cel.bind``, worked out when first read, and the macros of optional values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kai_sched.devices.cel.tree import Bind, Node, OptionalMap
from kai_sched.devices.cel.values import CelError, OptionalValue, no_overload

if TYPE_CHECKING:
    from kai_sched.devices.cel.evaluate import Closure, Evaluation

Compile = Callable[[Node, Mapping[str, int]], "Closure"]
_STEPS_TO_CHANGE_PLACE = 10


class LazySlot(int):
    """A slot whose value is worked out when it is first read: what is bound and never used cannot fail."""

    __slots__ = ()


class _Pending:
    """What such a slot holds before that, and for ever if it fails."""

    __slots__ = ("failure", "value_of")

    def __init__(self, value_of: Closure) -> None:
        self.value_of = value_of
        self.failure: CelError | None = None

    def value(self, state: Evaluation) -> object:
        """The value. Its own variables use slots that the reader uses too, so those are put back."""
        if self.failure is not None:
            raise self.failure
        kept = list(state.slots)
        state.budget.take(_STEPS_TO_CHANGE_PLACE)
        try:
            return self.value_of(state)
        except CelError as error:
            self.failure = error
            raise
        finally:
            state.slots[:] = kept


def load_lazily(slot: int) -> Closure:
    """The closure of a variable bound so."""

    def load(state: Evaluation) -> object:
        state.budget.left -= 1
        value = state.slots[slot]
        if isinstance(value, _Pending):
            value = state.slots[slot] = value.value(state)
        return value

    return load


def compile_bind(node: Bind, scope: Mapping[str, int], compile_node: Compile) -> Closure:
    """The closure of ``cel.bind``."""
    slot = next_slot(scope)
    value_of = compile_node(node.value, scope)
    body = compile_node(node.body, {**scope, node.name: LazySlot(slot)})

    def bind(state: Evaluation) -> object:
        state.budget.take(1)
        state.slots[slot] = _Pending(value_of)
        return body(state)

    return bind


def compile_optional_map(node: OptionalMap, scope: Mapping[str, int], compile_node: Compile) -> Closure:
    """The closure of ``optMap`` and ``optFlatMap``."""
    slot = next_slot(scope)
    source = compile_node(node.source, scope)
    body = compile_node(node.body, {**scope, node.name: slot})

    def apply(state: Evaluation) -> object:
        state.budget.take(1)
        value: Any = source(state)
        if not isinstance(value, OptionalValue):
            raise no_overload("optMap", value)
        if not value.is_present:
            return value
        state.slots[slot] = value.value
        result = body(state)
        return result if node.is_flat else OptionalValue(is_present=True, value=result)

    return apply


def next_slot(scope: Mapping[str, int]) -> int:
    """The first slot that no variable of the scope uses."""
    return max(scope.values(), default=-1) + 1

"""matchAttribute and distinctAttribute: states that devices are added to and taken from in stack order."""

from __future__ import annotations

from typing import Final, Protocol

from kai_sched.devices.pools import PooledDevice
from kai_sched.model.devices import AttributeValue, DeviceConstraint

Values = frozenset[tuple[str, object]]
_LISTS: Final = {"bools": "bool", "ints": "int", "strings": "string", "versions": "version"}
_SCALARS: Final = frozenset(_LISTS.values())


class ConstraintState(Protocol):
    """One constraint of a claim during a search."""

    def add(self, request: str, entry: PooledDevice) -> bool:
        """Take a device in; False: it violates the constraint and was not taken."""

    def remove(self, request: str) -> None:
        """Undo the last successful ``add``."""


def constraint_state(
    constraint: DeviceConstraint, *, has_lists: bool, bug_compatible: bool
) -> ConstraintState:
    """The state of a constraint with no device yet. Unknown constraints are refused before this is called."""
    scope = _Scope(
        constraint.requests, constraint.match_attribute or constraint.distinct_attribute, has_lists=has_lists
    )
    if constraint.match_attribute:
        return _MatchOfTable(scope) if bug_compatible else _Match(scope)
    return _DistinctOfTable(scope) if bug_compatible else _Distinct(scope)


def attribute_values(entry: PooledDevice, name: str) -> AttributeValue | None:
    """The attribute of a fully qualified name: under that very name, else without the driver's domain."""
    domain, separator, identifier = name.partition("/")
    short: AttributeValue | None = None
    for key, value in entry.device.attributes:
        if key == name:
            return value
        if separator and key == identifier and domain == entry.driver:
            short = value
    return short


def values_of(attribute: AttributeValue) -> Values:
    """The values of an attribute: a scalar is a list of one (KEP-5491)."""
    kind, value = attribute
    if kind in _SCALARS:
        return frozenset({(kind, value)})
    if kind in _LISTS and isinstance(value, tuple):
        return frozenset((_LISTS[kind], item) for item in value)
    return frozenset()


class _Scope:
    """Which requests a constraint is about, and a device's values under it."""

    def __init__(self, requests: tuple[str, ...], attribute: str, *, has_lists: bool) -> None:
        self._requests = frozenset(requests)
        self._attribute = attribute
        self._has_lists = has_lists

    def covers(self, request: str) -> bool:
        """``request`` is ``main`` or ``main/sub``; a constraint may name either."""
        return not self._requests or request in self._requests or request.split("/", 1)[0] in self._requests

    def values(self, entry: PooledDevice) -> Values | None:
        """None: no such attribute. Empty: a value that nothing equals."""
        attribute = attribute_values(entry, self._attribute)
        if attribute is None:
            return None
        values = values_of(attribute) if self._has_lists or attribute[0] in _SCALARS else frozenset()
        return None if self._has_lists and not values else values


class _Match:
    """All devices share a value: the intersection of their values is not empty."""

    def __init__(self, scope: _Scope) -> None:
        self._scope = scope
        self._shared: list[Values] = []

    def add(self, request: str, entry: PooledDevice) -> bool:
        if not self._scope.covers(request):
            return True
        values = self._scope.values(entry)
        if values is None:
            return False
        shared = values & self._shared[-1] if self._shared else values
        if self._shared and not shared:
            return False
        self._shared.append(shared)
        return True

    def remove(self, request: str) -> None:
        if self._scope.covers(request):
            self._shared.pop()


class _MatchOfTable:
    """The same with bug 5 of the table's commit: a narrowed intersection stays narrow when a device leaves."""

    def __init__(self, scope: _Scope) -> None:
        self._scope = scope
        self._shared: Values = frozenset()
        self._count = 0

    def add(self, request: str, entry: PooledDevice) -> bool:
        if not self._scope.covers(request):
            return True
        values = self._scope.values(entry)
        if values is None:
            return False
        if self._count:
            values &= self._shared
            if not values:
                return False
        self._shared = values
        self._count += 1
        return True

    def remove(self, request: str) -> None:
        if self._scope.covers(request):
            self._count -= 1


class _Distinct:
    """No two devices share a value."""

    def __init__(self, scope: _Scope) -> None:
        self._scope = scope
        self._values: list[Values] = []

    def add(self, request: str, entry: PooledDevice) -> bool:
        if not self._scope.covers(request):
            return True
        values = self._scope.values(entry)
        if values is None or (not values and self._values) or any(values & other for other in self._values):
            return False
        self._values.append(values)
        return True

    def remove(self, request: str) -> None:
        if self._scope.covers(request):
            self._values.pop()


class _DistinctOfTable:
    """The same with bug 4 of the table's commit: one value is kept a request, the last one."""

    def __init__(self, scope: _Scope) -> None:
        self._scope = scope
        self._by_request: dict[str, Values] = {}

    def add(self, request: str, entry: PooledDevice) -> bool:
        if not self._scope.covers(request):
            return True
        values = self._scope.values(entry)
        if values is None or (not values and self._by_request):
            return False
        if any(values & other for other in self._by_request.values()):
            return False
        self._by_request[request] = values
        return True

    def remove(self, request: str) -> None:
        if self._scope.covers(request):
            self._by_request.pop(request, None)

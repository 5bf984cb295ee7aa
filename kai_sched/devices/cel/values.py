"""What a CEL expression computes with, and the errors it can end in.

bool, int, str, float, bytes, list and None are Python's own; the rest is here. ``Uint`` is an int by value, so
that 1 == 1u as CEL wants, and a type of its own, so that 1 + 1u finds no overload.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1
UINT_MAX: Final = 2**64 - 1


class CompileError(Exception):
    """The expression is not valid; the text is what a user sees."""


class CelError(Exception):
    """Evaluation failed. ``&&``, ``||``, ``all`` and ``exists`` absorb it where the other side decides."""


class CostExceeded(Exception):
    """The step budget of one evaluation is used up; nothing absorbs it."""


class Uint(int):
    """An unsigned integer."""

    __slots__ = ()


class CelMap:
    """A map. Bool keys are kept apart from the integers 0 and 1, which Python would take for equal."""

    __slots__ = ("_entries",)

    def __init__(self, pairs: Iterable[tuple[object, object]] = ()) -> None:
        self._entries: dict[object, tuple[object, object]] = {}
        for key, value in pairs:
            self._entries[_hashed(key)] = (key, value)

    def find(self, key: object) -> tuple[bool, object]:
        """(found, value)."""
        try:
            entry = self._entries.get(_hashed(key))
        except TypeError:
            entry = None
        return (False, None) if entry is None else (True, entry[1])

    def has(self, key: object) -> bool:
        """Whether ``key in map``."""
        return self.find(key)[0]

    def keys(self) -> Iterator[object]:
        return (key for key, _ in self._entries.values())

    def size(self) -> int:
        return len(self._entries)


def _hashed(key: object) -> object:
    return ("bool", key) if isinstance(key, bool) else key


@dataclass(frozen=True, slots=True)
class CelType:
    """A type as a value: what ``type(x)`` gives."""

    name: str


@dataclass(frozen=True, slots=True)
class OptionalValue:
    """``optional``: a value or nothing."""

    is_present: bool
    value: object = None


NOTHING: Final = OptionalValue(is_present=False)


@dataclass(frozen=True, slots=True, order=True)
class Quantity:
    """resource.Quantity by value.

    ``scale``: the power of ten in which the reference holds the amount, None beyond its short form. It tells integers
    by that, so that neither "5000m" nor "100Ti" is one.
    """

    value: Fraction
    scale: int | None = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Semver:
    """Semantic version 2.0.0; ``order`` ignores build metadata and is what equality and comparison look at."""

    core: tuple[int, int, int]
    order: tuple[object, ...]
    text: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Semver) and self.order == other.order

    def __hash__(self) -> int:
        return hash(self.order)


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A span of time."""

    nanoseconds: int


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """An instant: nanoseconds since 1970, UTC."""

    nanoseconds: int


@dataclass(frozen=True, slots=True)
class Url:
    """A parsed URL."""

    text: str
    scheme: str
    host: str
    hostname: str
    port: str
    escaped_path: str
    query: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Ip:
    """An IP address."""

    address: IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Cidr:
    """An address with its network."""

    address: IPv4Address | IPv6Address
    network: IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class NamedFormat:
    """A named string format of the Kubernetes library."""

    name: str


_GO_NAMES: Final[dict[type, str]] = {
    bool: "types.Bool",
    int: "types.Int",
    Uint: "types.Uint",
    float: "types.Double",
    str: "types.String",
    bytes: "types.Bytes",
    type(None): "types.Null",
    Quantity: "cel.Quantity",
    Semver: "cel.Semver",
}

_TYPE_NAMES: Final[dict[type, str]] = {
    bool: "bool",
    int: "int",
    Uint: "uint",
    float: "double",
    str: "string",
    bytes: "bytes",
    type(None): "null_type",
    list: "list",
    CelType: "type",
    OptionalValue: "optional_type",
    Quantity: "kubernetes.Quantity",
    Semver: "kubernetes.Semver",
    Duration: "google.protobuf.Duration",
    Timestamp: "google.protobuf.Timestamp",
    Url: "kubernetes.URL",
    Ip: "net.IP",
    Cidr: "net.CIDR",
    NamedFormat: "kubernetes.NamedFormat",
}


def type_name(value: object) -> str:
    """CEL's name of a value's type."""
    return _TYPE_NAMES.get(type(value), "map")


def reference_type_name(value: object) -> str:
    """How the reference names the type in "expected iterable" errors, which users search for."""
    return _GO_NAMES.get(type(value), type_name(value))


def no_overload(function: str, *args: object) -> CelError:
    """The error of a call that no overload takes."""
    kinds = ", ".join(type_name(arg) for arg in args)
    return CelError(f"no such overload: {function}({kinds})")


_NUMBERS: Final = frozenset({int, Uint, float})
_STRICT: Final = frozenset({Quantity, Semver, Url, Ip, Cidr})
"""Types of the Kubernetes libraries: on the left of ``==`` they take their own kind only, not even to say false."""


def equal(left: object, right: object) -> bool:
    """CEL equality: numbers by value across types, other types never equal each other."""
    kind, other = type(left), type(right)
    if kind is other:
        if kind is list:
            return _equal_lists(left, right)  # type: ignore[arg-type]
        if isinstance(left, CelMap):
            return _equal_maps(left, right)  # type: ignore[arg-type]
        if isinstance(left, OptionalValue) and isinstance(right, OptionalValue):
            return left.is_present == right.is_present and equal(left.value, right.value)
        return left == right
    if kind in _NUMBERS and other in _NUMBERS:
        if float in {kind, other} and isinstance(left, int | float) and isinstance(right, int | float):
            # Rounded to doubles first, as the reference does.
            return float(left) == float(right)
        return left == right
    if isinstance(left, CelMap) and isinstance(right, CelMap):
        return _equal_maps(left, right)
    return False


def strictly_equal(left: object, right: object) -> bool:
    """What the operator ``==`` says.

    Raises:
        CelError: the left side does not compare with the right one.
    """
    if type(left) in _STRICT and type(left) is not type(right) and right is not None:
        raise no_overload("_==_", left, right)
    return equal(left, right)


def _equal_lists(left: list[object], right: list[object]) -> bool:
    return len(left) == len(right) and all(equal(a, b) for a, b in zip(left, right, strict=True))


def _equal_maps(left: CelMap, right: CelMap) -> bool:
    if left.size() != right.size():
        return False
    for key in left.keys():  # noqa: SIM118 — CelMap is no dict
        found, value = right.find(key)
        if not found or not equal(left.find(key)[1], value):
            return False
    return True


def as_int(value: int) -> int:
    """The value, if it fits int64."""
    if INT_MIN <= value <= INT_MAX:
        return value
    raise CelError("integer overflow")


def as_uint(value: int) -> Uint:
    """The value as unsigned, if it fits uint64."""
    if 0 <= value <= UINT_MAX:
        return Uint(value)
    raise CelError("unsigned integer overflow")

"""A device as an expression sees it, and a record of what was looked at.

Everything an expression can read is a *fact*: a path and a hashable value. The record of (path, value) pairs is what
verdicts are memoised by: a device with the same facts on that path gets the same verdict without evaluation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from kai_sched.devices.cel.library.quantities import scale_of
from kai_sched.devices.cel.library.versions import parse_semver
from kai_sched.devices.cel.values import CelMap, Quantity
from kai_sched.model.devices import AttributeValue, Device, DeviceCapacity

Path = tuple[str, ...]

_ATTRIBUTES: Final = "attributes"
_CAPACITY: Final = "capacity"
_QUANTITY: Final = "quantity"
_PLAIN_KINDS: Final = frozenset({"bool", "int", "string", "bools", "ints", "strings"})


class DeviceFacts:
    """All facts of one device, gathered when first asked for. ``problem``: why no expression can be evaluated on it."""

    __slots__ = ("_device", "_driver", "_facts", "_problem")

    def __init__(self, driver: str, device: Device) -> None:
        self._driver = driver
        self._device = device
        self._facts: dict[Path, object] | None = None
        self._problem = ""

    @property
    def facts(self) -> dict[Path, object]:
        """Path to value."""
        return self._facts if self._facts is not None else self._gathered()

    @property
    def problem(self) -> str:
        if self._facts is None:
            self._gathered()
        return self._problem

    def _gathered(self) -> dict[Path, object]:
        device, driver = self._device, self._driver
        facts: dict[Path, object] = {
            ("driver",): driver,
            ("allowMultipleAllocations",): device.allow_multiple_allocations,
        }
        for name, attribute in device.attributes:
            fault = _fault(attribute)
            if fault:
                self._problem = self._problem or f"attribute {name}: {fault}"
        _add(facts, _ATTRIBUTES, driver, device.attributes)
        _add(facts, _CAPACITY, driver, [(name, _amount(capacity)) for name, capacity in device.capacity])
        self._facts = facts
        return facts


def _add(facts: dict[Path, object], kind: str, driver: str, entries: Iterable[tuple[str, object]]) -> None:
    ids_by_domain: dict[str, list[str]] = {}
    for name, value in entries:
        domain, separator, identifier = name.partition("/")
        if not separator:
            domain, identifier = driver, name
        ids_by_domain.setdefault(domain, []).append(identifier)
        facts[kind, domain, identifier] = value
    facts[(kind,)] = tuple(ids_by_domain)
    for domain, ids in ids_by_domain.items():
        facts[kind, domain] = tuple(ids)


def _amount(capacity: DeviceCapacity) -> tuple[str, object]:
    """What is published as text counts by that text: the reference tells integers by how they are written."""
    scale = scale_of(capacity.text) if capacity.text else 0
    return _QUANTITY, (capacity.value, scale)


def _fault(attribute: AttributeValue) -> str:
    kind, value = attribute
    if kind in _PLAIN_KINDS:
        return ""
    match kind:
        case "version" | "versions":
            texts = (value,) if kind == "version" else value
            assert isinstance(texts, tuple)
            if all(isinstance(text, str) and parse_semver(text) is not None for text in texts):
                return ""
            return "parse semantic version: invalid"
        case _:
            return "unsupported attribute value"


class Recorder:
    """Looks facts up and remembers which."""

    __slots__ = ("_facts", "reads")

    def __init__(self, facts: DeviceFacts) -> None:
        self._facts = facts.facts
        self.reads: list[tuple[Path, object]] = []

    def read(self, path: Path) -> object:
        """The fact, None if the device has none there."""
        value = self._facts.get(path)
        self.reads.append((path, value))
        return value


class DeviceValue:
    """The variable ``device``."""

    __slots__ = ("_recorder",)

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def find(self, name: object) -> tuple[bool, object]:
        """A field of the device."""
        match name:
            case "driver" | "allowMultipleAllocations":
                return True, self._recorder.read((str(name),))
            case "attributes" | "capacity":
                return True, DomainsMap(self._recorder, str(name))
            case _:
                return False, None


class DomainsMap(CelMap):
    """``device.attributes``: an unknown domain is an empty map, but is not ``in`` it."""

    __slots__ = ("_kind", "_recorder")

    def __init__(self, recorder: Recorder, kind: str) -> None:
        self._recorder = recorder
        self._kind = kind

    def find(self, key: object) -> tuple[bool, object]:
        if not isinstance(key, str):
            return False, None
        return True, IdsMap(self._recorder, self._kind, key)

    def has(self, key: object) -> bool:
        """Whether a domain is really there."""
        return isinstance(key, str) and self._recorder.read((self._kind, key)) is not None

    def keys(self) -> Iterator[object]:
        domains = self._recorder.read((self._kind,))
        return iter(domains if isinstance(domains, tuple) else ())

    def size(self) -> int:
        return len(list(self.keys()))


class IdsMap(CelMap):
    """``device.attributes[domain]`` and ``device.capacity[domain]``."""

    __slots__ = ("_domain", "_kind", "_recorder")

    def __init__(self, recorder: Recorder, kind: str, domain: str) -> None:
        self._recorder = recorder
        self._kind = kind
        self._domain = domain

    def find(self, key: object) -> tuple[bool, object]:
        if not isinstance(key, str):
            return False, None
        value = self._recorder.read((self._kind, self._domain, key))
        if value is None:
            return False, None
        return True, _converted(value)

    def keys(self) -> Iterator[object]:
        ids = self._recorder.read((self._kind, self._domain))
        return iter(ids if isinstance(ids, tuple) else ())

    def size(self) -> int:
        return len(list(self.keys()))


def _converted(fact: object) -> object:
    """An attribute or a capacity as CEL value."""
    assert isinstance(fact, tuple)
    kind, value = fact
    match kind:
        case "quantity":
            return Quantity(*value)
        case "version":
            return parse_semver(value)
        case "versions":
            return [parse_semver(text) for text in value]
        case "bools" | "ints" | "strings":
            return list(value)
        case _:
            return value

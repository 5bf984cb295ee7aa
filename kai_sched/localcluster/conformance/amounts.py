"""Quantities and pod requests, read from plain documents."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

Document = Mapping[str, Any]
Amounts = dict[str, Fraction]

_FORM = re.compile(r"([+-]?[0-9.]+)([eE][+-]?[0-9]+|[a-zA-Z]*)")
_FACTORS = {
    "": Fraction(1),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    **{unit: Fraction(1000) ** power for power, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": Fraction(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
}


def quantity(value: str | int) -> Fraction:
    """The exact value of ``500m``, ``64Gi``, ``1e3``."""
    match = _FORM.fullmatch(str(value))
    if match is None:
        raise ValueError(f"{value!r} is not a quantity")
    number, unit = match.groups()
    if unit and unit[0] in "eE" and unit not in {"E", "Ei"}:
        return Fraction(f"{number}{unit}")
    return Fraction(number) * _FACTORS[unit]


def amounts_of(resources: Document | None) -> Amounts:
    """A resource list as amounts."""
    return {name: quantity(value) for name, value in (resources or {}).items()}


def pod_requests(pod: Document) -> Amounts:
    """What a pod takes of its node: its containers together, or its greediest init container, plus overhead."""
    spec = pod["spec"]
    running = _total(_requests(container) for container in spec.get("containers", ()))
    highest: Amounts = {}
    sidecars: Amounts = {}
    for container in spec.get("initContainers", ()):
        own = _requests(container)
        if container.get("restartPolicy") == "Always":
            sidecars = _total([sidecars, own])
            own = {}
        highest = _larger(highest, _total([sidecars, own]))
    needed = _larger(_total([running, sidecars]), highest)
    # Requests of the pod as a whole stand in place of its containers' sum.
    needed |= amounts_of(spec.get("resources", {}).get("requests"))
    return _total([needed, amounts_of(spec.get("overhead")), {"pods": Fraction(1)}])


def _requests(container: Document) -> Amounts:
    resources = container.get("resources", {})
    return {**amounts_of(resources.get("limits")), **amounts_of(resources.get("requests"))}


def _total(parts: Iterable[Amounts]) -> Amounts:
    result: Amounts = {}
    for part in parts:
        for name, amount in part.items():
            result[name] = result.get(name, Fraction(0)) + amount
    return result


def _larger(one: Amounts, other: Amounts) -> Amounts:
    zero = Fraction(0)
    return {name: max(one.get(name, zero), other.get(name, zero)) for name in {*one, *other}}

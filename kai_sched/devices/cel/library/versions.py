"""Semantic versions: the Kubernetes semver library, and how a version attribute is read."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from kai_sched.devices.cel.budget import Budget
from kai_sched.devices.cel.types import overload
from kai_sched.devices.cel.values import UINT_MAX, CelError, Semver
from kai_sched.model.integers import int_of_digits

_SEMVER: Final = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?(?:\+([0-9A-Za-z.-]+))?", re.ASCII
)


@lru_cache(maxsize=4096)
def parse_semver(text: str) -> Semver | None:
    """The version, None if the text is not strictly one."""
    match = _SEMVER.fullmatch(text)
    if match is None:
        return None
    core = (int_of_digits(match[1]), int_of_digits(match[2]), int_of_digits(match[3]))
    if max(core) > UINT_MAX:
        return None
    labels = match[4].split(".") if match[4] is not None else []
    builds = match[5].split(".") if match[5] is not None else []
    if not all(labels) or not all(builds) or any(_is_no_number(label) for label in labels):
        return None
    return Semver(core, (core, _precedence(labels)), text)


def _is_no_number(label: str) -> bool:
    """Whether digits have a leading zero, or do not fit 64 bits."""
    return label.isdigit() and ((len(label) > 1 and label[0] == "0") or int_of_digits(label) > UINT_MAX)


def _precedence(labels: list[str]) -> tuple[object, ...]:
    """A release sorts after its pre-releases, numbers before words."""
    if not labels:
        return (1,)
    return (0, tuple((0, int_of_digits(label), "") if label.isdigit() else (1, 0, label) for label in labels))


def _normalized(text: str) -> str:
    """Without a leading v, three numbers, no leading zeros."""
    text = text.removeprefix("v")
    parts = text.split(".", 2)
    for index, part in enumerate(parts):
        match = re.match(r"0*(\d.*)", part, re.ASCII | re.DOTALL)
        if match is not None and len(part) > 1:
            parts[index] = match[1]
    if len(parts) < 3:
        if re.search(r"[+-]", parts[-1]):
            return text
        parts += ["0"] * (3 - len(parts))
    return ".".join(parts)


def _semver(_budget: Budget, text: str, normalize: bool = False) -> Semver:  # noqa: FBT001, FBT002 — CEL's own argument
    version = parse_semver(_normalized(text) if normalize else text)
    if version is None:
        raise CelError(f"{text!r} is not a semantic version")
    return version


def _is_semver(_budget: Budget, text: str, normalize: bool = False) -> bool:  # noqa: FBT001, FBT002 — CEL's own argument
    return parse_semver(_normalized(text) if normalize else text) is not None


def _compare(_budget: Budget, left: Semver, right: Semver) -> int:
    if left.order == right.order:
        return 0
    return 1 if left.order > right.order else -1


OVERLOADS: Final = (
    overload("semver(string) -> semver", _semver),
    overload("semver(string, bool) -> semver", _semver),
    overload("isSemver(string) -> bool", _is_semver),
    overload("isSemver(string, bool) -> bool", _is_semver),
    overload("semver:isGreaterThan(semver) -> bool", lambda b, x, y: _compare(b, x, y) > 0),
    overload("semver:isLessThan(semver) -> bool", lambda b, x, y: _compare(b, x, y) < 0),
    overload("semver:compareTo(semver) -> int", _compare),
    overload("semver:major() -> int", lambda _b, x: x.core[0]),
    overload("semver:minor() -> int", lambda _b, x: x.core[1]),
    overload("semver:patch() -> int", lambda _b, x: x.core[2]),
)

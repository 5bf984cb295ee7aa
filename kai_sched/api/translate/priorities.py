"""PriorityClasses, and KAI's rule for what may be preempted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from kai_sched.api.kinds import Raw
from kai_sched.api.translate.fields import flag, integer, name_in, readable, section
from kai_sched.model.snapshot import Unreadable

DEFAULT_PRIORITY: Final = 50
"""KAI: a pod group without a class, where no class is the global default."""
PREEMPTIBLE_BELOW: Final = 100
SHIPPED: Final[Mapping[str, int]] = {"train": 50, "build-preemptible": 75, "build": 100, "inference": 125}
"""Classes that KAI's chart installs; known also where a snapshot does not carry them."""


@dataclass(frozen=True, slots=True)
class PriorityTable:
    """Values of the classes by name, and the value of the global default if there is one."""

    value_of: Mapping[str, int] = field(default_factory=dict)
    default: int = DEFAULT_PRIORITY

    @classmethod
    def build(cls, raws: Iterable[Raw]) -> tuple[PriorityTable, tuple[Unreadable, ...]]:
        """The table, and the classes that could not be read."""
        value_of, default, unreadable = dict[str, int](), DEFAULT_PRIORITY, []
        for raw in raws:
            match readable("PriorityClass", _priority_class, raw):
                case Unreadable() as problem:
                    unreadable.append(problem)
                case name, value, is_default:
                    value_of[name] = value
                    default = value if is_default else default
        return cls(value_of, default), tuple(unreadable)

    def value(self, name: str) -> int:
        """The priority of a class; the default where it is unnamed or unknown, as KAI has it."""
        if name in self.value_of:
            return self.value_of[name]
        return SHIPPED.get(name, self.default)

    def has(self, name: str) -> bool:
        """Whether the class exists."""
        return name in self.value_of or name in SHIPPED


def is_preemptible(preemptibility: str, priority: int) -> bool:
    """What is said explicitly decides; else everything below 100 may be preempted."""
    if preemptibility:
        return preemptibility == "preemptible"
    return priority < PREEMPTIBLE_BELOW


def _priority_class(raw: Raw) -> tuple[str, int, bool]:
    name = name_in(section(raw, "metadata"), "name", "metadata")
    return name, integer(raw, "value") or 0, flag(raw, "globalDefault")

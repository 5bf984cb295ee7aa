"""What a rule for a kind of workload may decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kai_sched.api.kinds import Kind
from kai_sched.grouping.owners import Owner

TRAIN: Final = "train"
INFERENCE: Final = "inference"
"""Priority classes that KAI gives where nothing names one."""


@dataclass(frozen=True, slots=True)
class Alone:
    """The pod is a group of one, in memory only."""

    default_class: str = TRAIN


@dataclass(frozen=True, slots=True)
class Together:
    """The pods of ``owner`` are one group, with a PodGroup object of its own."""

    owner: Owner
    min_member: int = 1
    default_class: str = TRAIN
    problem: str = ""
    """Why no group can be made of it, naming the field."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """No rule for this kind: singles would break whatever gang it means."""

    kind: Kind


@dataclass(frozen=True, slots=True)
class Awaited:
    """An owner was not seen, so nobody knows whether its pods are a gang, nor of how many; nothing is guessed."""

    owner: Owner


Decision = Alone | Together | Unknown | Awaited

"""The stages of a cycle, one function each, least disruptive first. They do not know each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from kai_sched.model.policy import StageName
from kai_sched.planning.cycle_state import CycleState
from kai_sched.planning.stages import allocate

STAGES: Final[Mapping[StageName, Callable[[CycleState], None]]] = MappingProxyType(
    {StageName.ALLOCATE: allocate.allocate}
)
"""What a policy may ask for today."""

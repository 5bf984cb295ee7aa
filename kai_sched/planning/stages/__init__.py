"""The stages of a cycle, one function each, least disruptive first. They do not know each other."""

from __future__ import annotations

from typing import Final

from kai_sched.model.policy import StageName

BUILT_STAGES: Final = (StageName.ALLOCATE,)
"""What a policy may ask for today."""

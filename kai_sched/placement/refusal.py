"""Refusal: why a gang was not placed, before it becomes a verdict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kai_sched.model.outlook import Bound
from kai_sched.model.plan import Blocker, QuotaConflict
from kai_sched.placement.gangs import GangNode


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One dominant reason.

    ``fitted`` of ``wanted`` pods had room. ``is_proof``: no arrangement of the pending pods alone can change it (only
    running pods leaving or nodes coming can).
    """

    blocker: Blocker
    message: str
    next_step: str = ""
    is_proof: bool = False
    fitted: int = 0
    wanted: int = 0
    conflict: QuotaConflict | None = None
    is_given_up: bool = False
    """A search for devices took more steps than its turn had: nothing is known."""
    bound: Bound | None = None
    """The fact behind it in figures, as far as one decides."""
    sub_group: str = ""
    """The subgroup that found no room; then ``fitted`` counts the pods of all subgroups, ``wanted`` those it needs."""


@dataclass(frozen=True, slots=True, eq=False)
class Failure:
    """Where an attempt failed; turned into a ``Refusal`` only when somebody asks, since most are retried elsewhere.

    ``by_domain``: no domain of the node's required level served; else ``seated`` of ``pods`` were placed. ``beside``:
    pods of other subgroups that were placed before them.
    """

    node: GangNode
    pods: tuple[int, ...]
    allowed: NDArray[np.bool_] | None
    seated: int = 0
    by_domain: bool = False
    inner: Failure | None = None
    beside: int = 0

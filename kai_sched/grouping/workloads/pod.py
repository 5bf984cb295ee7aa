"""Bare pods, and pods made by bare pods: each on its own."""

from __future__ import annotations

from kai_sched.grouping.decisions import Alone
from kai_sched.grouping.owners import Owner


def decide(_chain: tuple[Owner, ...]) -> Alone:
    """A group of one."""
    return Alone()

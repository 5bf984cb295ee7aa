"""Specs that arrive again become the objects known before: what is kept by a spec is found again from cycle to cycle.

A snapshot reaches the child as copies, so two equal specs of two cycles are two objects. Memory that is kept by spec
(what a claim asks of which device, what a pod may be) would never be found again, and would grow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from operator import attrgetter
from typing import Any, Final

from kai_sched.model.devices import Claim, ClaimSpec
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import Pod, PodSpec

_ROUNDS_KEPT: Final = 8
"""A spec that so many snapshots did not have is forgotten."""

_spec_of = attrgetter("spec")


class KnownSpecs:
    """Specs by value. Not shared between threads."""

    def __init__(self) -> None:
        self._known: dict[PodSpec | ClaimSpec, tuple[Any, int]] = {}
        self._round = 0

    def __len__(self) -> int:
        return len(self._known)

    def adopt(self, snapshot: ClusterSnapshot) -> None:
        """Give the pods and claims of a snapshot, which nobody else has yet, the specs known before."""
        self._round += 1
        self._exchange(Pod, snapshot.pods)
        self._exchange(Claim, snapshot.claims)
        if self._round % _ROUNDS_KEPT == 0:
            oldest = self._round - _ROUNDS_KEPT
            self._known = {spec: entry for spec, entry in self._known.items() if entry[1] > oldest}

    def _exchange(self, kind: type[Any], records: Iterable[Any]) -> None:
        found = list(records)
        specs = list(map(_spec_of, found))
        # Copies of one snapshot share their specs: by identity there are few.
        known = {id(spec): self._of(spec) for spec in {id(spec): spec for spec in specs}.values()}
        # Slots are set directly: the records are frozen.
        deque(map(kind.spec.__set__, found, map(known.__getitem__, map(id, specs))), maxlen=0)

    def _of(self, spec: Any) -> Any:
        entry = self._known.get(spec)
        kept = spec if entry is None else entry[0]
        self._known[kept] = (kept, self._round)
        return kept

"""Bindings: which volumes the unbound claims of seated pods take.

No two claims get one volume, and the pods of one claim meet where its volume is. Only what this plan decides counts,
and what commands in flight are about to write: a claim that is bound, or whose node is selected, says so itself.
"""

from __future__ import annotations

from kai_sched.model.volumes import VolumeClaim
from kai_sched.model.workloads import PodSpec
from kai_sched.placement.node_table import NodeTable
from kai_sched.placement.rules.elimination import Sieve
from kai_sched.placement.rules.volumes import Decision, VolumesView


class Unbound:
    """The unbound claims of specs, and where they could be bound; shared by all forks."""

    __slots__ = ("_of_spec", "table", "volumes")

    def __init__(self, table: NodeTable, volumes: VolumesView) -> None:
        self.table = table
        self.volumes = volumes
        self._of_spec: dict[int, tuple[PodSpec, tuple[VolumeClaim, ...]]] = {}

    def claims_of(self, spec: PodSpec) -> tuple[VolumeClaim, ...]:
        """Smallest first."""
        if not spec.volume_claims:
            return ()
        known = self._of_spec.get(id(spec))
        if known is None:
            known = self._of_spec[id(spec)] = (spec, self.volumes.unbound_claims(spec))
        return known[1]


class Bindings:
    """The decisions of one view of the world."""

    __slots__ = ("_decided", "_users", "unbound")

    def __init__(self, unbound: Unbound) -> None:
        self.unbound = unbound
        self._decided: dict[str, Decision] = {}
        self._users: dict[str, int] = {}

    def fork(self) -> Bindings:
        """An independent copy."""
        other = Bindings(self.unbound)
        other._decided = dict(self._decided)
        other._users = dict(self._users)
        return other

    def add(self, spec: PodSpec, node: int) -> None:
        """A pod comes to a node: its claims are decided, unless an earlier pod did."""
        claims = self.unbound.claims_of(spec)
        if not claims:
            return
        self._decided |= self.unbound.volumes.choose(self.unbound.table, claims, node, self._decided)
        for claim in claims:
            self._users[claim.key] = self._users.get(claim.key, 0) + 1

    def remove(self, spec: PodSpec) -> None:
        """A pod that was added goes: what it alone had decided is open again."""
        for claim in self.unbound.claims_of(spec):
            left = self._users.get(claim.key, 0) - 1
            if left > 0:
                self._users[claim.key] = left
            elif left == 0:
                del self._users[claim.key], self._decided[claim.key]

    def decision(self, claim: str) -> Decision | None:
        """What was decided for a claim."""
        return self._decided.get(claim)

    def keep(self, spec: PodSpec, sieve: Sieve) -> None:
        """Keep the nodes on which the pod's claims can be bound beside what is decided."""
        if self._decided:
            unbound = self.unbound
            unbound.volumes.keep_bindable(unbound.table, unbound.claims_of(spec), sieve, self._decided)

"""Dynamic rules: what the pods on the nodes allow a newcomer, kept up to date while a plan grows.

Most pods have none of these fields and no other pod's anti-affinity speaks of them: ``touches`` tells, and for them
there is nothing to ask. Placing, removing and forking cost next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.volumes import VolumeClaim
from kai_sched.model.workloads import HOLDS_ROOM, Pod, PodSpec, PodState
from kai_sched.placement.node_table import Mask, NodeTable
from kai_sched.placement.rules.affinity import affinity_rules, anti_affinity_rules
from kai_sched.placement.rules.attachments import AttachLimits, Attachments
from kai_sched.placement.rules.bindings import Bindings, Unbound
from kai_sched.placement.rules.elimination import Elimination, Rule, Sieve
from kai_sched.placement.rules.occupancy import disk_rules, exclusive_claim_rules, port_rules
from kai_sched.placement.rules.scores import Score, SoftRules
from kai_sched.placement.rules.spread import spread_rules
from kai_sched.placement.rules.tallies import Catalogue, Residents, TallyBook
from kai_sched.placement.rules.terms import CarriedTerms
from kai_sched.placement.rules.volumes import Decision, VolumesView

LEAVING = frozenset({PodState.RELEASING, PodState.STUCK_RELEASING})


class CountedRule(Protocol):
    """A rule that reads tallies."""

    @property
    def rule(self) -> Rule: ...
    @property
    def reason(self) -> str: ...
    def passes(self, book: TallyBook) -> Mask: ...


class _Rulebook:
    """Which rules speak of which spec; shared by all forks."""

    def __init__(
        self, table: NodeTable, catalogue: Catalogue, volumes: VolumesView, carried: CarriedTerms
    ) -> None:
        self.table = table
        self.catalogue = catalogue
        self.volumes = volumes
        self.carried = carried
        self.limits = AttachLimits(table, volumes)
        self.unbound = Unbound(table, volumes)
        self.soft = SoftRules(table, catalogue, carried)
        self._rules: dict[int, tuple[PodSpec, tuple[CountedRule, ...]]] = {}

    def rules_of(self, spec: PodSpec) -> tuple[CountedRule, ...]:
        """The rules of a spec in the order of their reasons."""
        known = self._rules.get(id(spec))
        if known is None:
            table, catalogue = self.table, self.catalogue
            rules: tuple[CountedRule, ...] = (
                *port_rules(table, catalogue, spec),
                *disk_rules(table, catalogue, spec),
                *exclusive_claim_rules(table, catalogue, self.volumes, spec),
                *spread_rules(table, catalogue, spec),
                *affinity_rules(table, catalogue, spec),
                *anti_affinity_rules(table, catalogue, self.carried, spec),
            )
            known = (spec, rules)
            self._rules[id(spec)] = known
        return known[1]

    def learn(self, spec: PodSpec) -> None:
        """A spec comes to a node: terms it carries that are new concern other specs from now on."""
        if self.carried.learn(spec):
            self._rules.clear()
            self.soft.forget()


class DynamicRules:
    """One view of who is where. Node arguments are indices into the table."""

    __slots__ = ("_attachments", "_bindings", "_book", "_rulebook")

    def __init__(
        self, rulebook: _Rulebook, book: TallyBook, attachments: Attachments, bindings: Bindings
    ) -> None:
        self._rulebook = rulebook
        self._book = book
        self._attachments = attachments
        self._bindings = bindings

    @classmethod
    def of(cls, table: NodeTable, snapshot: ClusterSnapshot) -> DynamicRules:
        """The rules with every pod of a snapshot that holds room."""
        return cls.build(table, snapshot.pods, VolumesView.of(snapshot))

    @classmethod
    def build(cls, table: NodeTable, pods: Iterable[Pod], volumes: VolumesView | None = None) -> DynamicRules:
        """See ``of``. Pending pods count nowhere, but what they carry is known from the start."""
        nodes_of: dict[tuple[int, bool], list[int]] = {}
        specs: dict[int, PodSpec] = {}
        in_flight: list[tuple[PodSpec, int]] = []
        for pod in pods:
            specs[id(pod.spec)] = pod.spec
            index = table.index_of.get(pod.node) if pod.node is not None else None
            if index is not None and pod.state in HOLDS_ROOM:
                nodes_of.setdefault((id(pod.spec), pod.state in LEAVING), []).append(index)
                if pod.state is PodState.BINDING:
                    in_flight.append((pod.spec, index))
        catalogue = Catalogue(
            Residents(specs[key], np.array(nodes, dtype=np.intp), is_leaving)
            for (key, is_leaving), nodes in nodes_of.items()
        )
        rulebook = _Rulebook(table, catalogue, volumes or VolumesView(), CarriedTerms(specs.values()))
        attachments = Attachments.of(rulebook.limits, len(table), catalogue.residents)
        bindings = Bindings(rulebook.unbound)
        for spec, index in in_flight:
            bindings.add(spec, index)
        return cls(rulebook, TallyBook(catalogue), attachments, bindings)

    def fork(self) -> DynamicRules:
        """An independent view with the same pods."""
        book, attachments, bindings = self._book.fork(), self._attachments.fork(), self._bindings.fork()
        return DynamicRules(self._rulebook, book, attachments, bindings)

    def touches(self, spec: PodSpec) -> bool:
        """Whether other pods can ever matter to a pod of this spec (hard rules)."""
        rulebook = self._rulebook
        return bool(
            rulebook.rules_of(spec) or rulebook.limits.handles_of(spec) or rulebook.unbound.claims_of(spec)
        )

    def mask(self, spec: PodSpec) -> Mask | None:
        """bool[N]: nodes that the pods there allow; None where ``touches`` is false."""
        if not self.touches(spec):
            return None
        mask = np.ones(len(self._rulebook.table), dtype=bool)
        for rule in self._rulebook.rules_of(spec):
            mask &= rule.passes(self._book)
        if self._rulebook.limits.handles_of(spec):
            mask &= self._attachments.room(spec)
        if self._rulebook.unbound.claims_of(spec):
            sieve = Sieve(mask)
            self._bindings.keep(spec, sieve)
            mask = sieve.allowed
        return mask

    def unbound_claims(self, spec: PodSpec) -> tuple[VolumeClaim, ...]:
        """PersistentVolumeClaims that get their volume with the first pod that is placed."""
        return self._rulebook.unbound.claims_of(spec)

    def volume_decision(self, claim: str) -> Decision | None:
        """What the pods placed so far decided for an unbound PersistentVolumeClaim."""
        return self._bindings.decision(claim)

    def eliminations(self, spec: PodSpec, within: Mask) -> tuple[Elimination, ...]:
        """What takes away nodes of ``within``, in figures."""
        sieve = Sieve(within)
        for rule in self._rulebook.rules_of(spec):
            sieve.keep(rule.passes(self._book), rule.rule, rule.reason)
        if self._rulebook.limits.handles_of(spec):
            sieve.keep(
                self._attachments.room(spec), Attachments.rule, "have no room for its volumes (CSI limit)"
            )
        self._bindings.keep(spec, sieve)
        return tuple(sieve.eliminated)

    def place(self, spec: PodSpec, node: int, *, is_leaving: bool = False) -> None:
        """A pod comes to a node."""
        self._rulebook.learn(spec)
        self._book.add(spec, node, +1, is_leaving=is_leaving)
        self._attachments.add(spec, node, +1)
        self._bindings.add(spec, node)

    def remove(self, spec: PodSpec, node: int, *, is_leaving: bool = False) -> None:
        """A pod goes from a node; ``is_leaving`` as it was when it was counted."""
        self._book.add(spec, node, -1, is_leaving=is_leaving)
        self._attachments.add(spec, node, -1)
        self._bindings.remove(spec)

    def leave(self, spec: PodSpec, node: int, *, is_marked: bool) -> None:
        """A pod of the snapshot ends; ``is_marked``: it was counted as leaving."""
        self._book.add(spec, node, -1, is_leaving=is_marked)
        self._attachments.add(spec, node, -1)

    def come_back(self, spec: PodSpec, node: int, *, is_marked: bool) -> None:
        """It does not end."""
        self._book.add(spec, node, +1, is_leaving=is_marked)
        self._attachments.add(spec, node, +1)

    def mark(self, spec: PodSpec, node: int, *, is_leaving: bool) -> None:
        """A pod of the snapshot counts as leaving from now on, or no longer."""
        self._book.add(spec, node, -1, is_leaving=not is_leaving)
        self._book.add(spec, node, +1, is_leaving=is_leaving)

    def has_soft_score(self, spec: PodSpec) -> bool:
        """Whether preferences tell nodes apart for this spec."""
        return self._rulebook.soft.concerns(spec)

    def follows_others(self, spec: PodSpec) -> bool:
        """Whether what this spec prefers depends on other pods."""
        return self._rulebook.soft.follow_others(spec)

    def liking(self, spec: PodSpec) -> Score | None:
        """float64[N]: what this spec prefers whoever is there; None for nothing."""
        return self._rulebook.soft.liking(spec)

    def soft_score(self, spec: PodSpec, within: Mask | None = None) -> Score | None:
        """float64[N], higher is better, as kube-scheduler weighs preferences over the nodes of ``within``."""
        return self._rulebook.soft.score(spec, self._book, within)

"""Static rules: where a pod could run if no other pod existed.

Each rule removes nodes and says how many and why; the order is the one of the reasons a user should see first:
the node's own state, its taints, what the pod selects, then its volumes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from kai_sched.model.policy import Policy
from kai_sched.model.selectors import NodeSelector, NodeSelectorTerm, Operator, Requirement
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import PodSpec
from kai_sched.placement.node_table import Mask, NodeTable
from kai_sched.placement.rules.confidential import asks_for_partitions, keep_confidential
from kai_sched.placement.rules.elimination import Elimination, Rule, Sieve, explain
from kai_sched.placement.rules.matching import (
    NOT_READY,
    REPELLING_EFFECTS,
    SICK_TAINTS,
    UNSCHEDULABLE,
    first_untolerated,
    tolerates,
)
from kai_sched.placement.rules.volumes import VolumesView

GPU_WORKER: Final = Requirement("node-role.kubernetes.io/gpu-worker", Operator.EXISTS)
CPU_WORKER: Final = Requirement("node-role.kubernetes.io/cpu-worker", Operator.EXISTS)
MIG_ENABLED: Final = Requirement("node-role.kubernetes.io/mig-enabled", Operator.EXISTS)


@dataclass(frozen=True, slots=True, eq=False)
class StaticMask:
    """Nodes a spec may use on an empty cluster, and what eliminated the others."""

    allowed: Mask
    eliminated: tuple[Elimination, ...]

    def explain(self) -> str:
        """The eliminations in words; "" if there are none."""
        return explain(self.eliminated, len(self.allowed))


@dataclass(frozen=True, slots=True)
class StaticFacts:
    """What static rules read besides nodes and the pod."""

    volumes: VolumesView = field(default_factory=VolumesView)
    config_maps: frozenset[str] | None = None
    policy: Policy = field(default_factory=Policy)

    @classmethod
    def of(cls, snapshot: ClusterSnapshot, policy: Policy) -> StaticFacts:
        """The facts of one cycle."""
        return cls(
            volumes=VolumesView.of(snapshot),
            config_maps=snapshot.config_maps,
            policy=policy,
        )


class StaticRules:
    """Static masks of one cycle, kept by spec. Specs are interned, so identity decides before equality does."""

    def __init__(self, table: NodeTable, facts: StaticFacts) -> None:
        self._table = table
        self._facts = facts
        self._by_id: dict[int, tuple[PodSpec, StaticMask]] = {}
        self._by_spec: dict[PodSpec, StaticMask] = {}

    @classmethod
    def of(cls, table: NodeTable, snapshot: ClusterSnapshot, policy: Policy) -> StaticRules:
        """The rules of one cycle."""
        return cls(table, StaticFacts.of(snapshot, policy))

    def mask(self, spec: PodSpec) -> StaticMask:
        """See ``static_mask``."""
        known = self._by_id.get(id(spec))
        if known is not None:
            return known[1]
        found = self._by_spec.get(spec)
        if found is None:
            found = static_mask(self._table, self._facts, spec)
            self._by_spec[spec] = found
        # The spec is kept with its answer, so that its id is not given to another.
        self._by_id[id(spec)] = (spec, found)
        return found


def static_mask(table: NodeTable, facts: StaticFacts, spec: PodSpec) -> StaticMask:
    """Nodes on which the pod could run if it were alone."""
    sieve = Sieve(np.ones(len(table), dtype=bool))
    _keep_open(table, spec, sieve)
    _keep_tolerated(table, spec, sieve)
    _keep_selected(table, spec, sieve)
    _keep_roles(table, facts, spec, sieve)
    _keep_shareable(table, facts.policy, spec, sieve)
    keep_confidential(table, spec, facts.policy, sieve)
    _need_config_maps(facts, spec, sieve)
    facts.volumes.keep_reachable(table, spec, sieve)
    sieve.allowed.setflags(write=False)
    return StaticMask(sieve.allowed, tuple(sieve.eliminated))


def required_nodes(table: NodeTable, spec: PodSpec) -> Mask:
    """Nodes that node selector and required node affinity admit."""
    mask = np.ones(len(table), dtype=bool)
    for requirement in selector_requirements(spec):
        mask &= table.match(requirement)
    if spec.required_node_affinity is not None:
        mask &= table.match(spec.required_node_affinity)
    return mask


def tolerated_nodes(table: NodeTable, spec: PodSpec) -> Mask:
    """Nodes none of whose taints keeps the pod off."""
    fine = [first_untolerated(spec.tolerations, taints) is None for taints in table.taint_sets]
    mask: Mask = np.array(fine, dtype=bool)[table.taint_codes]
    return mask


def selector_requirements(spec: PodSpec) -> tuple[Requirement, ...]:
    """The node selector, one requirement a label."""
    return tuple(Requirement(key, Operator.IN, (value,)) for key, value in spec.node_selector)


@dataclass(frozen=True, slots=True)
class Oversized:
    """A request that no node could meet even if it were empty (KAI: MaxNodePoolResources)."""

    resource: str
    requested: int
    largest: int


def _keep_open(table: NodeTable, spec: PodSpec, sieve: Sieve) -> None:
    if not tolerates(spec.tolerations, UNSCHEDULABLE):
        sieve.keep(~table.is_cordoned, Rule.NODE_UNSCHEDULABLE, "are cordoned")
    if not table.is_ready.all():
        # What is to be tolerated is the taint that the node got for it, if it has one already.
        sick = [
            [taint for taint in taints if taint.key in SICK_TAINTS and taint.effect in REPELLING_EFFECTS]
            for taints in table.taint_sets
        ]
        fine = [first_untolerated(spec.tolerations, taints or [NOT_READY]) is None for taints in sick]
        mask = table.is_ready | np.array(fine, dtype=bool)[table.taint_codes]
        sieve.keep(mask, Rule.NODE_READY, "are not ready")


def _keep_tolerated(table: NodeTable, spec: PodSpec, sieve: Sieve) -> None:
    blocking = [first_untolerated(spec.tolerations, taints) for taints in table.taint_sets]
    for taint in dict.fromkeys(taint for taint in blocking if taint is not None):
        mask = np.array([other != taint for other in blocking], dtype=bool)[table.taint_codes]
        name = f"{taint.key}={taint.value}" if taint.value else taint.key
        sieve.keep(mask, Rule.TAINT_TOLERATION, f"have untolerated taint {name}:{taint.effect}")


def _keep_selected(table: NodeTable, spec: PodSpec, sieve: Sieve) -> None:
    for requirement in selector_requirements(spec):
        reason = f"do not match node selector {requirement.key}={requirement.values[0]}"
        sieve.keep(table.match(requirement), Rule.NODE_AFFINITY, reason)
    affinity = spec.required_node_affinity
    if affinity is not None:
        sieve.keep(
            table.match(affinity), Rule.NODE_AFFINITY, f"do not match node affinity {phrase(affinity)}"
        )


def _keep_roles(table: NodeTable, facts: StaticFacts, spec: PodSpec, sieve: Sieve) -> None:
    if not facts.policy.restrict_node_scheduling:
        return
    names = {name for name, _ in spec.requests}
    wants_mig = asks_for_partitions(spec, facts.policy)
    if wants_mig or spec.gpu_share is not None or not names.isdisjoint(facts.policy.gpu_resources):
        sieve.keep(table.match(GPU_WORKER), Rule.NODE_ROLE, f"lack the label {GPU_WORKER.key}")
    else:
        sieve.keep(table.match(CPU_WORKER), Rule.NODE_ROLE, f"lack the label {CPU_WORKER.key}")
    if wants_mig:
        sieve.keep(table.match(MIG_ENABLED), Rule.NODE_ROLE, f"lack the label {MIG_ENABLED.key}")


def _keep_shareable(table: NodeTable, policy: Policy, spec: PodSpec, sieve: Sieve) -> None:
    """Whoever wants a part of a GPU cannot have one of a partition."""
    label, values = policy.partition_strategy_label, policy.partitions_as_gpus
    if spec.gpu_share is not None and label and values:
        whole = table.match(Requirement(label, Operator.NOT_IN, values))
        sieve.keep(whole, Rule.GPU_SHARING, f"have partitions in place of GPUs ({label})")


def _need_config_maps(facts: StaticFacts, spec: PodSpec, sieve: Sieve) -> None:
    if facts.config_maps is None:
        return
    for name in spec.config_maps:
        if f"{spec.namespace}/{name}" not in facts.config_maps:
            reason = f"cannot serve it: ConfigMap {spec.namespace}/{name} does not exist"
            sieve.drop_all(Rule.CONFIG_MAP, reason)


def phrase(selector: NodeSelector) -> str:
    """A node selector in one line, terms joined by "or"."""
    return " or ".join(_phrase_term(term) for term in selector.terms) or "(no term)"


def _phrase_term(term: NodeSelectorTerm) -> str:
    parts = [
        f"{requirement.key} {requirement.operator} [{','.join(requirement.values)}]"
        if requirement.values
        else f"{requirement.key} {requirement.operator}"
        for requirement in (*term.expressions, *term.fields)
    ]
    return " and ".join(parts) or "(empty term)"

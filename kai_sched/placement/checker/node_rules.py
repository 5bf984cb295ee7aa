"""Rules of one pod and one node alone: the node's state, taints, what the pod selects, roles, confidential modes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from kai_sched.model.nodes import Node
from kai_sched.model.policy import ConfidentialRules, Policy
from kai_sched.model.selectors import Taint
from kai_sched.model.workloads import PodSpec
from kai_sched.placement.checker.labels import repelling_taint, selects_node

_CORDON: Final = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")
_NOT_READY: Final = Taint("node.kubernetes.io/not-ready", "", "NoSchedule")
_OF_SICK_NODES: Final = (_NOT_READY.key, "node.kubernetes.io/unreachable")
_ROLE: Final = "node-role.kubernetes.io/"


def wrong_with_node(
    spec: PodSpec, node: Node, policy: Policy, config_maps: frozenset[str] | None
) -> Iterator[str]:
    """Why a pod may not be on a node even if it were alone there."""
    yield from _wrong_state(spec, node)
    taint = _repelling(spec, node.taints)
    if taint is not None:
        yield f"it does not tolerate taint {taint.key}:{taint.effect}"
    for key, value in spec.node_selector:
        if node.label(key) != value:
            yield f"its node selector wants {key}={value}"
    if spec.required_node_affinity is not None and not selects_node(spec.required_node_affinity, node):
        yield "its node affinity excludes it"
    if policy.restrict_node_scheduling:
        yield from _wrong_role(spec, node, policy)
    yield from _wrong_mode(spec, node, policy)
    for name in spec.config_maps:
        if config_maps is not None and f"{spec.namespace}/{name}" not in config_maps:
            yield f"ConfigMap {name} does not exist"


def is_selected(spec: PodSpec, node: Node) -> bool:
    """Whether node selector and required node affinity admit a node."""
    affinity = spec.required_node_affinity
    return all(node.label(key) == value for key, value in spec.node_selector) and (
        affinity is None or selects_node(affinity, node)
    )


def is_tolerated(spec: PodSpec, node: Node) -> bool:
    """Whether no taint of a node keeps the pod away."""
    return _repelling(spec, node.taints) is None


def _repelling(spec: PodSpec, taints: tuple[Taint, ...]) -> Taint | None:
    return repelling_taint(taints, spec.tolerations, compares_numbers=True) if taints else None


def _wrong_state(spec: PodSpec, node: Node) -> Iterator[str]:
    if node.is_cordoned and _repelling(spec, (_CORDON,)):
        yield "it is cordoned"
    if not node.is_ready:
        # The taint that the node got for it says what must be tolerated; until it has one, the usual one.
        sick = tuple(taint for taint in node.taints if taint.key in _OF_SICK_NODES)
        repelling = tuple(taint for taint in sick if taint.effect in ("NoSchedule", "NoExecute"))
        if _repelling(spec, repelling or (_NOT_READY,)):
            yield "it is not ready"


def _partitions(spec: PodSpec, policy: Policy) -> bool:
    return any(re.fullmatch(policy.partition_resources, name) for name, _ in spec.requests)


def _wrong_role(spec: PodSpec, node: Node, policy: Policy) -> Iterator[str]:
    takes_parts = _partitions(spec, policy)
    takes_gpus = spec.gpu_share is not None or any(name in policy.gpu_resources for name, _ in spec.requests)
    wanted = ["gpu-worker" if takes_parts or takes_gpus else "cpu-worker"]
    for role in [*wanted, "mig-enabled"] if takes_parts else wanted:
        if node.label(_ROLE + role) is None:
            yield f"it lacks the label {_ROLE}{role}"


def _wrong_mode(spec: PodSpec, node: Node, policy: Policy) -> Iterator[str]:
    """GPUs in a confidential mode serve confidential pods and no others; in some modes all go to one pod."""
    rules = policy.confidential
    tee = next((label for ending, label in rules.tee_labels if spec.runtime_class.endswith(ending)), "")
    if tee and node.label(tee) != "true":
        yield f"it lacks the trusted execution environment {tee}"
    asked = dict(spec.requests)
    takes_parts = spec.gpu_share is not None or _partitions(spec, policy)
    takes_whole = any(name in policy.gpu_resources for name in asked)
    if not (takes_parts or takes_whole or any(name.startswith(rules.resource_prefix) for name in asked)):
        return
    state = node.label(rules.mode_state_label)
    if tee:
        if takes_parts:
            yield "a confidential pod shares no GPU"
        yield from _wrong_for_confidential(node, rules)
    elif state in rules.modes and (takes_parts or takes_whole):
        yield "its GPUs are in a confidential mode"
    if state in rules.whole_node_modes:
        offered = {name: n for name, n in node.allocatable if n and name.startswith(rules.resource_prefix)}
        if any(asked.get(name, 0) != amount for name, amount in offered.items()):
            yield "all its GPUs and switches go to one pod"


def _wrong_for_confidential(node: Node, rules: ConfidentialRules) -> Iterator[str]:
    state = node.label(rules.mode_state_label)
    if state not in rules.modes:
        yield "it is not in a confidential GPU mode"
    if rules.mode_label and node.label(rules.mode_label) != state:
        yield "it is changing its confidential GPU mode"
    if rules.ready_label and node.label(rules.ready_label) != "true":
        yield f"it does not have {rules.ready_label}=true"

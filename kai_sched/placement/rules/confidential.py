"""Confidential GPUs: which nodes serve a pod whose runtime class asks for a trusted execution environment.

Labels, modes and resources are the policy's. The mode asked for must be the mode reached, because a node between two
modes is about to be drained. What DRA devices such pods may have: ``placement.custody``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from kai_sched.model.policy import ConfidentialRules, Policy
from kai_sched.model.selectors import Operator, Requirement
from kai_sched.model.workloads import PodSpec
from kai_sched.placement.node_table import Mask, NodeTable
from kai_sched.placement.rules.elimination import Rule, Sieve

_TRUE = ("true",)


@dataclass(frozen=True, slots=True)
class ConfidentialNodes:
    """Masks over the nodes of a table."""

    confidential: Mask
    """In a mode in which their GPUs serve confidential pods, and no driver on the host."""
    settled: Mask
    """In the mode that they are meant to be in."""
    ready: Mask
    whole: Mask
    """In a mode in which all their GPUs and switches go to one pod."""

    @classmethod
    def of(cls, table: NodeTable, rules: ConfidentialRules) -> ConfidentialNodes:
        """The nodes as their labels have them."""
        everywhere = np.ones(len(table), dtype=bool)
        state = rules.mode_state_label
        return cls(
            confidential=table.match(Requirement(state, Operator.IN, rules.modes)),
            settled=_is_settled(table, rules.mode_label, state) if rules.mode_label else everywhere,
            ready=table.match(ready) if (ready := _ready(rules)) is not None else everywhere,
            whole=table.match(Requirement(state, Operator.IN, rules.whole_node_modes)),
        )


def tee_label(spec: PodSpec, rules: ConfidentialRules) -> str:
    """The node label of the trusted environment that a pod's runtime class asks for; "" for ordinary pods."""
    if not spec.runtime_class:
        return ""
    return next((label for ending, label in rules.tee_labels if spec.runtime_class.endswith(ending)), "")


def keep_confidential(table: NodeTable, spec: PodSpec, policy: Policy, sieve: Sieve) -> None:
    """Keep the nodes that can run the pod confidentially, and ordinary GPU pods off nodes in a confidential mode."""
    rules = policy.confidential
    names = [name for name, _ in spec.requests]
    takes_parts = spec.gpu_share is not None or asks_for_partitions(spec, policy)
    takes_whole = any(name in policy.gpu_resources for name in names)
    takes_any = takes_parts or takes_whole or any(name.startswith(rules.resource_prefix) for name in names)
    label = tee_label(spec, rules)
    if label:
        tee = Requirement(label, Operator.IN, _TRUE)
        sieve.keep(table.match(tee), Rule.CONFIDENTIAL, f"lack the trusted execution environment {label}")
    if not takes_any:
        return
    nodes = ConfidentialNodes.of(table, rules)
    if not label and (takes_parts or takes_whole):
        # There the GPUs are handed to virtual machines: no driver on the host can use them.
        sieve.keep(~nodes.confidential, Rule.CONFIDENTIAL, "have their GPUs in a confidential mode")
    if label:
        if takes_parts:
            sieve.drop_all(Rule.CONFIDENTIAL, "cannot share a GPU with a confidential pod")
        sieve.keep(nodes.confidential, Rule.CONFIDENTIAL, "are not in a confidential GPU mode")
        sieve.keep(nodes.settled, Rule.CONFIDENTIAL, "are changing their confidential GPU mode")
        sieve.keep(nodes.ready, Rule.CONFIDENTIAL, f"do not have {rules.ready_label}=true")
    is_whole = ~nodes.whole | takes_everything(table, spec, rules)
    sieve.keep(is_whole, Rule.CONFIDENTIAL, f"are {whole_mode_text(rules)}, all their GPUs go to one pod")


def asks_for_partitions(spec: PodSpec, policy: Policy) -> bool:
    """Whether a pod counts partitions of GPUs."""
    return any(re.fullmatch(policy.partition_resources, name) for name, _ in spec.requests)


def whole_mode_text(rules: ConfidentialRules) -> str:
    """How such a mode is called in verdicts: "in mode x"."""
    return f"in mode {' or '.join(rules.whole_node_modes)}"


def takes_everything(table: NodeTable, spec: PodSpec, rules: ConfidentialRules) -> Mask:
    """Nodes of which the pod asks for every GPU and switch that their device plugins offer."""
    asked = dict(spec.requests)
    mask = np.ones(len(table), dtype=bool)
    for column, name in enumerate(table.axis):
        if name.startswith(rules.resource_prefix):
            offered = table.allocatable[:, column]
            mask &= (offered == 0) | (offered == asked.get(name, 0))
    return mask


def _ready(rules: ConfidentialRules) -> Requirement | None:
    return Requirement(rules.ready_label, Operator.IN, _TRUE) if rules.ready_label else None


def _is_settled(table: NodeTable, mode: str, state: str) -> Mask:
    wanted, reached = table.label_codes(mode), table.label_codes(state)
    position = {value: code for code, value in enumerate(reached.values)}
    as_reached = np.array([position.get(value, -2) for value in wanted.values] + [-1])
    mask: Mask = reached.codes == as_reached[wanted.codes]
    return mask

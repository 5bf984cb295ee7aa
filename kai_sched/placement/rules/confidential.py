"""Confidential GPUs: which nodes serve a pod whose runtime class asks for a trusted execution environment.

The labels are those that NVIDIA's GPU operator and Node Feature Discovery write. The mode asked for must be the
mode reached, because a node between two modes is about to be drained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from kai_sched.model.selectors import Operator, Requirement
from kai_sched.model.workloads import PodSpec
from kai_sched.placement.node_table import Mask, NodeTable
from kai_sched.placement.rules.elimination import Rule, Sieve

_TEE_OF_SUFFIX: Final = {
    "-snp": Requirement("amd.feature.node.kubernetes.io/snp", Operator.IN, ("true",)),
    "-tdx": Requirement("intel.feature.node.kubernetes.io/tdx", Operator.IN, ("true",)),
}
MODE: Final = "nvidia.com/cc.mode"
MODE_STATE: Final = "nvidia.com/cc.mode.state"
_CONFIDENTIAL_MODES: Final = Requirement(MODE_STATE, Operator.IN, ("on", "ppcie"))
_PROTECTED_PCIE: Final = Requirement(MODE_STATE, Operator.IN, ("ppcie",))
_READY: Final = Requirement("nvidia.com/cc.ready.state", Operator.IN, ("true",))
_GPU_RUNTIME: Final = "nvidia-gpu"
_PLUGIN_PREFIX: Final = "nvidia.com/"


def keep_confidential(table: NodeTable, spec: PodSpec, gpu_resources: Sequence[str], sieve: Sieve) -> None:
    """Keep the nodes that can run the pod confidentially, and ordinary GPU pods off nodes in a confidential mode."""
    tee = next((need for suffix, need in _TEE_OF_SUFFIX.items() if spec.runtime_class.endswith(suffix)), None)
    if tee is None:
        if spec.gpu_share is not None or any(name in gpu_resources for name, _ in spec.requests):
            # There the GPUs are handed to virtual machines: no driver on the host can use them.
            closed = table.match(_CONFIDENTIAL_MODES)
            sieve.keep(~closed, Rule.CONFIDENTIAL, "have their GPUs in a confidential mode")
        return
    sieve.keep(table.match(tee), Rule.CONFIDENTIAL, f"lack the trusted execution environment {tee.key}")
    if _GPU_RUNTIME not in spec.runtime_class:
        return
    if spec.gpu_share is not None:
        sieve.drop_all(Rule.CONFIDENTIAL, "cannot share a GPU with a confidential pod")
    sieve.keep(table.match(_CONFIDENTIAL_MODES), Rule.CONFIDENTIAL, "are not in a confidential GPU mode")
    sieve.keep(_is_settled(table), Rule.CONFIDENTIAL, "are changing their confidential GPU mode")
    sieve.keep(table.match(_READY), Rule.CONFIDENTIAL, f"do not have {_READY.key}=true")
    is_whole = ~table.match(_PROTECTED_PCIE) | _takes_everything(table, spec)
    sieve.keep(is_whole, Rule.CONFIDENTIAL, "are in protected PCIe mode, all their GPUs go to one pod")


def _is_settled(table: NodeTable) -> Mask:
    wanted, reached = table.label_codes(MODE), table.label_codes(MODE_STATE)
    position = {value: code for code, value in enumerate(reached.values)}
    as_reached = [position.get(value, -2) for value in wanted.values] + [-1]
    mask: Mask = reached.codes == [as_reached[code] for code in wanted.codes]
    return mask


def _takes_everything(table: NodeTable, spec: PodSpec) -> Mask:
    """Nodes of which the pod asks for every GPU and switch that their device plugins offer."""
    asked = dict(spec.requests)
    mask = np.ones(len(table), dtype=bool)
    for column, name in enumerate(table.axis):
        if name.startswith(_PLUGIN_PREFIX):
            offered = table.allocatable[:, column]
            mask &= (offered == 0) | (offered == asked.get(name, 0))
    return mask

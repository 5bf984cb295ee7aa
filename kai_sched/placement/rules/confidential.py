"""Confidential GPUs: which nodes serve a pod whose runtime class asks for a trusted execution environment.

The labels are those that NVIDIA's GPU operator and Node Feature Discovery write. The mode asked for must be the
mode reached, because a node between two modes is about to be drained.
"""

from __future__ import annotations

from typing import Final

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
_READY: Final = Requirement("nvidia.com/cc.ready.state", Operator.IN, ("true",))
_GPU_RUNTIME: Final = "nvidia-gpu"


def keep_confidential(table: NodeTable, spec: PodSpec, sieve: Sieve) -> None:
    """Keep the nodes that can run the pod confidentially; pods of other runtime classes are not touched."""
    tee = next((need for suffix, need in _TEE_OF_SUFFIX.items() if spec.runtime_class.endswith(suffix)), None)
    if tee is None:
        return
    sieve.keep(table.match(tee), Rule.CONFIDENTIAL, f"lack the trusted execution environment {tee.key}")
    if _GPU_RUNTIME not in spec.runtime_class:
        return
    sieve.keep(table.match(_CONFIDENTIAL_MODES), Rule.CONFIDENTIAL, "are not in a confidential GPU mode")
    sieve.keep(_is_settled(table), Rule.CONFIDENTIAL, "are changing their confidential GPU mode")
    sieve.keep(table.match(_READY), Rule.CONFIDENTIAL, f"do not have {_READY.key}=true")


def _is_settled(table: NodeTable) -> Mask:
    wanted, reached = table.label_codes(MODE), table.label_codes(MODE_STATE)
    position = {value: code for code, value in enumerate(reached.values)}
    as_reached = [position.get(value, -2) for value in wanted.values] + [-1]
    mask: Mask = reached.codes == [as_reached[code] for code in wanted.codes]
    return mask

"""Explain shares: why no node has the parts of GPUs that a pod asks for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kai_sched.model.outlook import Bound, Fact
from kai_sched.model.plan import Blocker
from kai_sched.model.words import counted
from kai_sched.placement.refusal import Refusal
from kai_sched.placement.site.shapes import Shape
from kai_sched.placement.world.gpu_shares import portion_of
from kai_sched.placement.world.ground import Ground


def share_refusal(ground: Ground, shape: Shape, wanted: int, usable: NDArray[np.bool_]) -> Refusal | None:
    """The reason if no usable node has the parts for one pod; None if some have."""
    share = shape.spec.gpu_share
    world, base = ground.world, ground.world.base
    if share is None:
        return None
    part = f"{share.portion_micros / 10**6:g}" if share.portion_micros else f"{share.memory_mib} MiB"
    shares, free = world.room(ground.horizon).shares, ground.free()
    best, most, tells_memory = 0, 0, False
    for node in np.flatnonzero(usable):
        if world.choose_share(shape, int(node), ground.horizon) is not None:
            return None
        column = base.gpu_column_of[node]
        portion = portion_of(share, base.table.nodes[node])
        tells_memory |= column >= 0 and base.table.nodes[node].gpu_memory_mib > 0
        if column < 0 or portion is None:
            continue
        best = max(best, max(0, int(free[node, column])) + len(shares.open_groups(int(node), portion)))
        most = max(most, int(base.table.allocatable[node, column]))
    if share.memory_mib and not tells_memory:
        return Refusal(
            blocker=Blocker.NODE_CONSTRAINTS,
            message="a pod asks for GPU memory, and no node says how much its GPUs have in label "
            f"{base.policy.gpu_memory_label}",
            next_step="label the nodes, or ask for a fraction",
            is_proof=True,
            wanted=wanted,
            bound=Bound(
                fact=Fact.NODE_RULES, subject=base.policy.gpu_memory_label, resource="nodes", asked=1
            ),
        )
    asked = f"a pod asks for {part} of {counted(share.devices, 'GPU')} of one node"
    if not most and base.snapshot.fleet.slices:
        return Refusal(
            blocker=Blocker.SHARING_NOT_ENABLED,
            message=f"{asked} by annotation, and no node that it may use has GPUs by device plugin: parts of devices that "
            "drivers publish are given by the webhook only, which did not see the pod",
            next_step="install the webhook (manifests/webhook) and create the pod anew, or ask by a ResourceClaim",
            is_proof=True,
            wanted=wanted,
        )
    if most < share.devices:
        return Refusal(
            blocker=Blocker.CAPACITY,
            message=f"{asked}, no node has {'GPUs so large' if not most else f'more than {most}'}",
            next_step="ask for less, or add larger nodes",
            is_proof=True,
            wanted=wanted,
            bound=Bound(fact=Fact.BIGGEST_NODE, resource="GPUs", asked=share.devices, there=most),
        )
    if best >= share.devices:
        return Refusal(
            blocker=Blocker.CAPACITY,
            message=f"room for 0 of {counted(wanted, 'pod')}: {asked}, and those that have it free are promised to "
            "pods that wait for their release",
            next_step=f"free {part} of {counted(share.devices, 'more GPU')} of one node",
            wanted=wanted,
        )
    return Refusal(
        blocker=Blocker.CAPACITY,
        message=f"room for 0 of {counted(wanted, 'pod')}: {asked}, which is free on {best} at most",
        next_step=f"free {part} of {counted(share.devices - best, 'more GPU')} of one node",
        wanted=wanted,
    )

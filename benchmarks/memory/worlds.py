"""Worlds that a solving child sees cycle after cycle: one that stands still, others whose pods come and go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks.claims.decide_instances import DRIVER, NOW, mixed
from kai_sched.model.devices import Claim
from kai_sched.model.ids import ClaimKey, PodGroupKey, PodKey, Uid
from kai_sched.model.pods import PodTable
from kai_sched.model.snapshot import ClusterSnapshot

CYCLE_SECONDS = 10.0


def idle(begin: ClusterSnapshot, cycle: int) -> ClusterSnapshot:
    """Nothing happens: time passes."""
    return replace(begin, now=NOW + cycle * CYCLE_SECONDS)


def turning(begin: ClusterSnapshot, cycle: int) -> ClusterSnapshot:
    """Every pod, its group and its claim are others of the same kind in every cycle, with a label of their own."""

    def named(text: str) -> str:
        return f"{text}-{cycle}"

    return replace(
        begin,
        now=NOW + cycle * CYCLE_SECONDS,
        pods=PodTable.sorted_by_key(
            replace(
                pod,
                key=PodKey(named(pod.key)),
                uid=Uid(named(pod.uid)),
                group=PodGroupKey(named(pod.group or "")),
                spec=replace(pod.spec, labels=(("run", str(cycle)),)),
                claims=tuple(replace(ref, claim=ClaimKey(named(ref.claim or ""))) for ref in pod.claims),
            )
            for pod in begin.pods
        ),
        pod_groups=tuple(
            replace(group, key=PodGroupKey(named(group.key)), uid=Uid(named(group.uid)))
            for group in begin.pod_groups
        ),
        claims=tuple(
            replace(claim, key=ClaimKey(named(claim.key)), uid=Uid(named(claim.uid)))
            for claim in begin.claims
        ),
    )


def asking(begin: ClusterSnapshot, cycle: int) -> ClusterSnapshot:
    """As ``turning``, and each claim has selectors that nobody has written before, about what no two devices share."""

    def asked(claim: Claim) -> Claim:
        selector = f'device.attributes["{DRIVER}"].uuid != "{claim.key}-{cycle}"'
        requests = tuple(replace(one, selectors=(*one.selectors, selector)) for one in claim.spec.requests)
        return replace(claim, spec=replace(claim.spec, requests=requests))

    return turning(replace(begin, claims=tuple(map(asked, begin.claims))), cycle)


@dataclass(frozen=True)
class World:
    """``baseline_cycle``: by then everything that is remembered has reached its size."""

    change: Callable[[ClusterSnapshot, int], ClusterSnapshot]
    baseline_cycle: int


WORLDS = {"idle": World(idle, 100), "turning": World(turning, 100), "asking": World(asking, 700)}


def beginning() -> ClusterSnapshot:
    """20 nodes of ten devices, 30 pods with claims: some are served in every cycle, the others wait for ever."""
    return mixed(nodes=20, pods=30)

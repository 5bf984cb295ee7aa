"""Gangs to bind, and one way to run a command on a shelf."""

from __future__ import annotations

import contextlib

from kai_sched.binder.execute import Binder
from kai_sched.binder.gang import GangRun
from kai_sched.binder.outcomes import CommandOutcome
from kai_sched.binder.wait import DeviceWait
from kai_sched.binder.writes import FencedCalls
from kai_sched.model.commands import BindGang, Command
from kai_sched.model.devices import ClaimAllocation, DeviceResult
from kai_sched.model.ids import ClaimKey, NodeName, PodGroupKey, PodKey, Uid
from kai_sched.model.plan import ClaimPlacement, Placement
from tests.shelf import Crash, NothingKnown, OpenFence, Shelf


def a_claim_placement(key: str, device: str, *, is_allocated: bool = False) -> ClaimPlacement:
    driver, pool, name = device.split("/")
    result = DeviceResult(request="gpu", driver=driver, pool=pool, device=name)
    return ClaimPlacement(
        claim=ClaimKey(key),
        uid=Uid(f"uid-{key}"),
        devices=(device,),
        allocation=None if is_allocated else ClaimAllocation(results=(result,)),
    )


def a_placement(pod: str, node: str, *claims: ClaimPlacement) -> Placement:
    return Placement(
        pod=PodKey(pod),
        uid=Uid(f"uid-{pod}"),
        pod_group=PodGroupKey("team/gang"),
        node=NodeName(node),
        claims=claims,
    )


def a_gang_with_claims(members: int = 4) -> BindGang:
    """Pod i on node i with a claim of its own; all of them share one more claim."""
    shared = a_claim_placement("team/shared", "net/fabric/channel-0")
    placements = tuple(
        a_placement(
            f"team/p{index}",
            f"n{index}",
            a_claim_placement(f"team/c{index}", f"gpu/n{index}/gpu-0"),
            shared
            if index == 0
            else a_claim_placement("team/shared", "net/fabric/channel-0", is_allocated=True),
        )
        for index in range(members)
    )
    return BindGang(pod_group=PodGroupKey("team/gang"), placements=placements, already_bound=0)


def a_shelf_for(command: BindGang) -> Shelf:
    shelf = Shelf()
    for placement in command.placements:
        shelf.put_pod(placement.pod)
        for claim in placement.claims:
            if claim.claim == "team/shared":
                shelf.put_claim(claim.claim)
            else:
                shelf.put_claim(claim.claim, owner_uid=placement.uid)
    return shelf


async def run(
    command: Command, shelf: Shelf, *, known: NothingKnown | None = None, fence: OpenFence | None = None
) -> CommandOutcome:
    outcomes: list[CommandOutcome] = []
    wait = DeviceWait(poll_seconds=0.0)
    binder = Binder(shelf, known or NothingKnown(), fence or OpenFence(), outcomes.append, device_wait=wait)
    binder.submit([command])
    await binder.drained()
    assert len(outcomes) == 1
    return outcomes[0]


def is_whole(shelf: Shelf, command: BindGang) -> bool:
    return all(shelf.node_of(p.pod) == p.node for p in command.placements)


def is_untouched(shelf: Shelf, command: BindGang) -> bool:
    claims = {claim.claim for placement in command.placements for claim in placement.claims}
    return not any(shelf.node_of(p.pod) for p in command.placements) and not any(
        shelf.claim(claim)["status"].get(part) for claim in claims for part in ("allocation", "reservedFor")
    )


async def crash_after(writes: int, command: BindGang, shelf: Shelf) -> None:
    """Run the gang until so many writes have arrived, or to its end."""

    def crash(done: int, _call: str) -> None:
        if done >= writes:
            raise Crash

    shelf.before_write = crash
    with contextlib.suppress(Crash):
        await GangRun(command, FencedCalls(shelf, OpenFence()), NothingKnown()).run()
    shelf.before_write = lambda *_: None

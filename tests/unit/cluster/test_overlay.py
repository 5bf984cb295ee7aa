"""Commands in flight: counted at once, ended by evidence."""

from __future__ import annotations

from dataclasses import replace

from kai_sched.cluster.overlay import Overlay
from kai_sched.model.commands import BindGang
from kai_sched.model.devices import Claim, ClaimAllocation, ClaimSpec, Consumer, DeviceResult
from kai_sched.model.ids import ClaimKey, NodeName, PodGroupKey, Uid
from kai_sched.model.plan import ClaimPlacement, Placement
from kai_sched.model.workloads import PodState
from tests.builders import a_pod

ALLOCATION = ClaimAllocation(results=(DeviceResult(request="gpu", driver="d", pool="n1", device="gpu-0"),))
POD = a_pod("p")
CLAIM = Claim(key=ClaimKey("team/c"), uid=Uid("uid-c"), spec=ClaimSpec())


def _command(*pods, with_claim: bool = True) -> BindGang:
    claims = (ClaimPlacement(claim=CLAIM.key, uid=CLAIM.uid, devices=("d/n1/gpu-0",), allocation=ALLOCATION),)
    return BindGang(
        pod_group=PodGroupKey("team/g"),
        already_bound=0,
        placements=tuple(
            Placement(
                pod=pod.key,
                uid=pod.uid,
                pod_group=PodGroupKey("team/g"),
                node=NodeName("n1"),
                claims=claims if with_claim else (),
            )
            for pod in pods
        ),
    )


def _assumed(*pods) -> Overlay:
    overlay = Overlay()
    overlay.assume(_command(*pods), {pod.key: pod for pod in pods}, {CLAIM.key: CLAIM})
    return overlay


def _reserved(claim: Claim, *pods) -> Claim:
    consumers = tuple(Consumer("pods", pod.key.partition("/")[2], pod.uid) for pod in pods)
    return replace(claim, allocation=ALLOCATION, reserved_for=consumers)


def test_an_assumed_pod_is_binding_on_its_node_and_its_claim_allocated_for_it():
    overlay = _assumed(POD)

    assert overlay.pod_view(POD) == replace(POD, state=PodState.BINDING, node=NodeName("n1"))
    assert overlay.claim_view(CLAIM) == _reserved(CLAIM, POD)


def test_an_assumed_pod_ends_when_it_is_seen_with_any_node():
    overlay = _assumed(POD)
    elsewhere = replace(POD, node=NodeName("n9"), state=PodState.BOUND)

    overlay.pod_seen(POD.key, elsewhere)

    assert overlay.pod_view(elsewhere) is elsewhere


def test_a_pod_that_changes_without_getting_a_node_stays_assumed():
    overlay = _assumed(POD)

    overlay.pod_seen(POD.key, replace(POD, resource_version="9"))

    assert overlay.pod_view(POD).state is PodState.BINDING


def test_a_reservation_stays_until_the_claim_is_seen_with_it_even_when_the_pod_is_bound():
    overlay = _assumed(POD)
    overlay.pod_seen(POD.key, replace(POD, node=NodeName("n1"), state=PodState.BOUND))

    assert overlay.claim_view(CLAIM) == _reserved(CLAIM, POD)
    overlay.claim_seen(CLAIM.key, replace(CLAIM, has_finalizer=True))
    assert overlay.claim_view(CLAIM) == _reserved(CLAIM, POD)
    overlay.claim_seen(CLAIM.key, _reserved(CLAIM, POD))
    assert len(overlay) == 0


def test_a_shared_claim_keeps_the_consumers_that_have_not_been_seen():
    other = a_pod("q")
    overlay = _assumed(POD, other)

    half = _reserved(CLAIM, POD)
    overlay.claim_seen(CLAIM.key, half)

    assert overlay.claim_view(half) == _reserved(CLAIM, POD, other)


def test_a_pod_that_is_gone_or_has_ended_takes_its_reservations_along():
    for evidence in (None, replace(POD, state=PodState.FAILED), replace(POD, uid=Uid("another"))):
        overlay = _assumed(POD)
        overlay.pod_seen(POD.key, evidence)
        assert overlay.claim_view(CLAIM) is CLAIM
        assert overlay.node_of(POD.key) is None


def test_what_failed_is_forgotten_and_the_rest_of_the_gang_is_not():
    other = a_pod("q")
    overlay = _assumed(POD, other)

    overlay.forget([POD.key])

    assert overlay.pod_view(POD) is POD
    assert overlay.pod_view(other).node == "n1"
    assert overlay.claim_view(CLAIM) == _reserved(CLAIM, other)


def test_an_allocation_that_somebody_else_made_stands():
    theirs = replace(
        ALLOCATION, results=(DeviceResult(request="gpu", driver="d", pool="n2", device="gpu-7"),)
    )
    overlay = _assumed(POD)

    view = overlay.claim_view(replace(CLAIM, allocation=theirs))

    assert view.allocation == theirs


def test_a_command_that_comes_after_its_evidence_assumes_nothing():
    bound = replace(POD, node=NodeName("n1"), state=PodState.RUNNING)
    overlay = Overlay()

    overlay.assume(_command(POD), {POD.key: bound}, {CLAIM.key: _reserved(CLAIM, POD)})

    assert len(overlay) == 0


def test_a_claim_replaced_by_another_of_its_name_is_not_assumed_any_more():
    overlay = _assumed(POD)
    new = replace(CLAIM, uid=Uid("uid-new"))

    assert overlay.claim_view(new) is new
    overlay.claim_seen(CLAIM.key, new)
    assert overlay.claim_view(CLAIM) is CLAIM

"""Who pays: all that running pods of ours hold is charged once, each to a leaf queue that exists."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kai_sched.api.keys import PROJECT, QUEUE
from kai_sched.model.devices import Consumer
from kai_sched.model.policy import Policy
from kai_sched.model.workloads import GroupOrigin
from kai_sched.planning.charging import Charging
from kai_sched.planning.checks.payers import Payers
from tests.builders import a_group, a_node, a_pod, a_queue, a_snapshot, a_spec
from tests.unit.planning.accounts import a_claim, a_gpu, a_request, a_slice, the_account, with_claims

QUEUES = (
    a_queue("dept", parent=None),
    a_queue("team-b"),
    a_queue("team-a"),
    a_queue("other", parent=None),
    a_queue("default-queue", parent="other"),
)
LEAVES = {"team-a", "team-b", "default-queue"}


def charged(*pods, groups, queues=QUEUES):
    usage = the_account(nodes=[a_node("n")], pods=pods, groups=groups, queues=queues).usage()
    return {queue: used.allocated.gpu for queue, used in usage.items() if used.allocated.gpu}


def running(name="p", labels=(), **more):
    return a_pod(name, a_spec(labels=tuple(sorted(dict(labels).items()))), node="n", **more)


def test_a_running_pod_whose_pod_group_is_gone_pays_by_its_own_label():
    gone = replace(a_group("p", queue=""), origin=GroupOrigin.MISSING)

    assert charged(running(labels={QUEUE: "team-b"}), groups=[gone]) == {"team-b": 1}
    assert charged(running(labels={PROJECT: "team-b"}), groups=[gone]) == {"team-b": 1}
    assert charged(running(), groups=[gone]) == {"default-queue": 1}
    assert charged(running(labels={QUEUE: "team-b"}), groups=[]) == {"team-b": 1}


def test_pods_of_one_lost_group_pay_each_by_its_own_label():
    pods = [running(name, {QUEUE: queue}, group="g") for name, queue in (("p", "team-a"), ("q", "team-b"))]

    assert charged(*pods, groups=[]) == {"team-a": 1, "team-b": 1}


def test_a_pod_that_waits_for_a_lost_group_is_no_demand():
    usage = the_account(nodes=[a_node("n")], pods=[a_pod("p")], groups=[], queues=QUEUES).usage()

    assert "team-a" not in usage
    assert sum(used.allocated.gpu for used in usage.values()) == 0


@pytest.mark.parametrize(
    ("named", "payer"),
    [
        ("gone", "default-queue"),
        ("other", "default-queue"),
        ("dept", "team-a"),
    ],
)
def test_where_a_queue_cannot_pay_another_does(named, payer):
    assert charged(running(), groups=[a_group("p", queue=named)]) == {payer: 1}


def test_without_a_default_queue_the_first_leaf_pays():
    assert charged(running(), groups=[a_group("p", queue="gone")], queues=QUEUES[:3]) == {"team-a": 1}


def test_a_queue_that_became_a_parent_goes_on_counting_against_its_limit():
    queues = (a_queue("dept", parent=None, gpu=1, limit=1), a_queue("team-a"), *QUEUES[3:])
    pods = [running(), a_pod("q")]

    usage = the_account(
        nodes=[a_node("n")], pods=pods, groups=[a_group("p", queue="dept"), a_group("q")], queues=queues
    ).usage()

    assert usage["team-a"].allocated.gpu == 1


names = st.sampled_from(["team-a", "team-b", "dept", "gone", "", "default-queue"])


@st.composite
def worlds(draw):
    """Pods that run in queues of all kinds, with claims of their own and shared ones, labelled as anybody likes."""
    count = draw(st.integers(1, 4))
    shared = [f"c{number}" for number in range(draw(st.integers(0, 3)))]
    pods, groups = [], []
    for number in range(count):
        label = draw(names)
        pod = running(f"p{number}", {QUEUE: label} if label else {})
        used = draw(st.lists(st.sampled_from(shared), unique=True)) if shared else []
        pods.append(with_claims(pod, *used, f"own{number}"))
        if draw(st.booleans()):
            groups.append(a_group(f"p{number}", queue=draw(names)))
    claims = []
    for number, name in enumerate((*shared, *(f"own{number}" for number in range(count)))):
        holders = [Consumer("pods", pod.key, pod.uid) for pod in pods if draw(st.booleans())]
        claim = a_claim(name, a_request(), results=[("r", f"gpu-{number}")], queue_label=draw(names))
        claims.append(replace(claim, reserved_for=tuple(holders)))
    slices = (a_slice(*(a_gpu(f"gpu-{number}") for number in range(len(claims)))),)
    return pods, groups, claims, slices


@given(worlds())
def test_what_running_pods_hold_is_charged_once_to_leaves_that_exist(world):
    pods, groups, claims, slices = world
    account = the_account(
        Policy(), nodes=[a_node("n")], pods=pods, groups=groups, queues=QUEUES, claims=claims, slices=slices
    )

    usage = account.usage()

    in_use = {ref.claim for pod in pods for ref in pod.claims}
    assert {queue for queue, used in usage.items() if used.allocated.gpu} <= LEAVES
    assert sum(used.allocated.gpu for used in usage.values()) == len(pods) + len(in_use)
    assert sum(used.allocated.cpu for used in usage.values()) == len(pods) * 1000
    assert all(used.pending.gpu == 0 for used in usage.values())


@given(worlds())
def test_a_claim_of_ones_own_is_charged_where_its_pod_is_whatever_its_label_says(world):
    pods, groups, claims, slices = world
    alone = [replace(pod, claims=pod.claims[-1:]) for pod in pods]

    def gpus_by_queue(with_devices):
        account = the_account(
            nodes=[a_node("n")],
            pods=alone if with_devices else [replace(pod, claims=()) for pod in pods],
            groups=groups,
            queues=QUEUES,
            claims=claims,
            slices=slices,
        )
        return {queue: used.allocated.gpu for queue, used in account.usage().items()}

    bare = gpus_by_queue(with_devices=False)
    assert gpus_by_queue(with_devices=True) == {queue: 2 * gpus for queue, gpus in bare.items()}


@given(worlds())
def test_the_judge_finds_the_same_payers_by_its_own_way(world):
    pods, groups, claims, _ = world
    snapshot = a_snapshot(nodes=[a_node("n")], pods=pods, groups=groups, queues=QUEUES, claims=claims)
    ours, theirs = Charging(snapshot, Policy()), Payers(snapshot, Policy())

    for pod in pods:
        assert theirs.place_of(pod).queue == ours.queue_of(pod)
    for claim in claims:
        users = [pod for pod in pods if claim.key in {ref.claim for ref in pod.claims}]
        if users:
            payer = theirs.place_of(theirs.payer(claim, users)).queue
            assert payer == ours.queue_of(ours.payer(claim, users))

"""Mixtures of MIG partitions: packed jointly as brute force packs them, and never worse than first fit."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kai_sched.model.plan import Outcome, Plan
from kai_sched.model.policy import DeviceChoice, Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.checker import check_plan
from kai_sched.planning.cycle import improving_plans, plan_cycle
from tests.builders import NOW, a_group
from tests.fleets import a_claim, a_mig_fleet, asks_mig, claiming, on_fleet

pytestmark = pytest.mark.solver

PLACES = {
    "1g.10gb": ((0, 1, 2, 3, 4, 5, 6), 1, 16),
    "2g.20gb": ((0, 2, 4), 2, 32),
    "3g.40gb": ((0, 4), 4, 60),
    "4g.40gb": ((0,), 4, 64),
    "7g.80gb": ((0,), 8, 132),
}
"""Profile -> first memory slices, slices and multiprocessors: an H100 as the driver's documentation has it."""
MULTIPROCESSORS = 132
SIZE = {"1g.10gb": 1, "2g.20gb": 2, "3g.40gb": 3, "4g.40gb": 4, "7g.80gb": 7}

Gang = tuple[tuple[str, ...], ...]
"""Pods, each with the profiles it asks for."""
Gpu = tuple[int, int]
"""(memory slices taken as bits, multiprocessors taken)."""


@dataclass(frozen=True)
class Case:
    nodes: int
    gpus: int
    gangs: tuple[Gang, ...]


def snapshot_of(case: Case, *, minimum: int | None = None) -> ClusterSnapshot:
    pods, groups, claims = [], [], []
    for number, gang in enumerate(case.gangs):
        groups.append(
            a_group(f"g{number:03d}", min_member=minimum or len(gang), created_at=NOW - 1000 + number)
        )
        for place, profiles in enumerate(gang):
            name = f"g{number:03d}-{place}"
            requests = [asks_mig(profile, name=f"r{one}") for one, profile in enumerate(profiles)]
            claims.append(a_claim(name, *requests, owner=name))
            pods.append(claiming(name, f"g{number:03d}", claims[-1]))
    return on_fleet(a_mig_fleet(case.nodes, case.gpus), pods, groups, claims)


def placed(plan: Plan) -> list[int]:
    return sorted(
        int(verdict.pod_group.removeprefix("team/g"))
        for verdict in plan.verdicts
        if verdict.outcome is Outcome.PLACED
    )


def fits(case: Case, chosen: Sequence[int]) -> bool:
    """Whether all pods of these gangs have a place at once: every way to cut every GPU is tried."""
    pods = sorted(
        (sorted(pod, key=SIZE.__getitem__, reverse=True) for number in chosen for pod in case.gangs[number]),
        key=lambda pod: sum(map(SIZE.__getitem__, pod)),
        reverse=True,
    )
    seen: set[object] = set()

    def pieces(
        node: tuple[Gpu, ...], wanted: Sequence[str], cluster: tuple[tuple[Gpu, ...], ...], rest: int
    ) -> bool:
        if not wanted:
            return seat(tuple(sorted((*cluster, tuple(sorted(node))))), rest)
        starts, length, share = PLACES[wanted[0]]
        for index, (slices, used) in enumerate(node):
            for start in starts:
                bits = ((1 << length) - 1) << start
                if not slices & bits and used + share <= MULTIPROCESSORS:
                    cut = (*node[:index], (slices | bits, used + share), *node[index + 1 :])
                    if pieces(cut, wanted[1:], cluster, rest):
                        return True
        return False

    def seat(cluster: tuple[tuple[Gpu, ...], ...], number: int) -> bool:
        if number == len(pods):
            return True
        if (cluster, number) in seen:
            return False
        seen.add((cluster, number))
        return any(
            pieces(node, pods[number], (*cluster[:index], *cluster[index + 1 :]), number + 1)
            for index, node in enumerate(cluster)
        )

    return seat((((0, 0),) * case.gpus,) * case.nodes, 0)


def admitted_in_order(case: Case) -> list[int]:
    admitted: list[int] = []
    for number in range(len(case.gangs)):
        if fits(case, [*admitted, number]):
            admitted.append(number)
    return admitted


profiles = st.sampled_from(sorted(PLACES))
single_pieces = st.lists(st.tuples(profiles), min_size=1, max_size=5).map(tuple)
many_pieces = st.lists(st.lists(profiles, min_size=1, max_size=3).map(tuple), min_size=1, max_size=3).map(
    tuple
)


@st.composite
def cases(draw: st.DrawFn, gangs: st.SearchStrategy[Gang] = single_pieces) -> Case:
    nodes, gpus = draw(st.sampled_from([(1, 1), (1, 2), (2, 1), (1, 3), (2, 2)]))
    return Case(nodes, gpus, tuple(draw(st.lists(gangs, min_size=1, max_size=6))))


def assert_as_brute_force(case: Case) -> Plan:
    snapshot = snapshot_of(case)
    plans = list(improving_plans(snapshot, Policy(advice_units=0)))

    for plan in plans:
        assert check_plan(snapshot, Policy(advice_units=0), plan) == ()
    assert placed(plans[-1]) == admitted_in_order(case)
    refused = [verdict for verdict in plans[-1].verdicts if verdict.outcome is Outcome.UNPLACED]
    assert all(verdict.is_proof for verdict in refused)
    assert plans[-1].solver.status == "OPTIMAL"
    return plans[-1]


@given(cases())
def test_gangs_of_partitions_are_admitted_as_brute_force_admits_them(case: Case) -> None:
    plan = assert_as_brute_force(case)

    # And on as few GPUs as can be, so that the others stay whole.
    admitted = Case(1, 0, tuple(case.gangs[number] for number in placed(plan)))
    numbers = range(len(admitted.gangs))
    fewest = next(gpus for gpus in itertools.count() if fits(replace(admitted, gpus=gpus), numbers))
    assert dict(plan.solver.objective)["openedBoxes"] == fewest


@given(cases(many_pieces))
def test_pods_that_take_several_partitions_of_one_node_too(case: Case) -> None:
    assert_as_brute_force(case)


def mixed_queue(seed: int, *, nodes: int, gpus: int, load: float) -> Case:
    """Single pods whose slices are ``load`` of what there is, the profiles in random order."""
    rng = random.Random(seed)
    gangs: list[Gang] = []
    while sum(SIZE[gang[0][0]] for gang in gangs) < load * 7 * nodes * gpus:
        gangs.append(((rng.choices(sorted(PLACES), (8, 4, 2, 2, 1))[0],),))
    return Case(nodes, gpus, tuple(gangs))


@pytest.mark.parametrize("seed", range(4))
def test_a_large_queue_is_served_no_worse_than_by_first_fit(seed: int) -> None:
    case = mixed_queue(seed, nodes=6, gpus=8, load=0.98)
    snapshot = snapshot_of(case)

    first_fit = placed(
        plan_cycle(snapshot, Policy(advice_units=0, use_solver=False, device_choice=DeviceChoice.REFERENCE))
    )
    plan = plan_cycle(snapshot, Policy(advice_units=0))

    assert check_plan(snapshot, Policy(advice_units=0), plan) == ()
    assert in_order(placed(plan), case) >= in_order(first_fit, case)
    assert len(placed(plan)) >= len(first_fit)
    assert slices(placed(plan), case) >= slices(first_fit, case)


@pytest.mark.parametrize("seed", range(4))
def test_a_large_gang_that_first_fit_seats_is_seated(seed: int) -> None:
    queue = mixed_queue(seed, nodes=6, gpus=8, load=0.9)
    gang = tuple(itertools.chain.from_iterable(queue.gangs))
    snapshot = snapshot_of(Case(queue.nodes, queue.gpus, (gang,)))

    first_fit = plan_cycle(
        snapshot, Policy(advice_units=0, use_solver=False, device_choice=DeviceChoice.REFERENCE)
    )
    plan = plan_cycle(snapshot, Policy(advice_units=0))

    assert check_plan(snapshot, Policy(advice_units=0), plan) == ()
    assert len(placed(plan)) >= len(placed(first_fit))


def in_order(numbers: Sequence[int], case: Case) -> list[bool]:
    return [number in set(numbers) for number in range(len(case.gangs))]


def slices(numbers: Sequence[int], case: Case) -> int:
    return sum(SIZE[case.gangs[number][0][0]] for number in numbers)


def test_a_gang_that_first_fit_strands_is_cut_jointly() -> None:
    # First fit puts the 3g at slices 0-3, where alone a 4g could go; together they fill one GPU.
    together = Case(1, 1, ((("3g.40gb",), ("4g.40gb",)),))
    stranded = Case(1, 1, ((("3g.40gb",),), (("4g.40gb",),)))

    first_fit = plan_cycle(
        snapshot_of(stranded), Policy(advice_units=0, use_solver=False, device_choice=DeviceChoice.REFERENCE)
    )

    assert placed(first_fit) == [0]
    assert placed(plan_cycle(snapshot_of(together), Policy(advice_units=0))) == [0]
    assert placed(plan_cycle(snapshot_of(stranded), Policy(advice_units=0))) == [0, 1]

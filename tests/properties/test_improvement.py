"""The improved plan against brute force: in fair order, every gang that can be admitted is admitted, and tidily.

Small clusters, all of one node size, every gang its own size and topology constraint.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from kai_sched.model.plan import Outcome, Plan
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import Pod, PodGroup
from kai_sched.placement.checker import check_plan
from kai_sched.planning.cycle import improving_plans
from tests.builders import NOW, a_group, a_node, a_pod, a_snapshot, a_spec

pytestmark = pytest.mark.solver

GPUS = 4
Spot = tuple[int, int]


@dataclass(frozen=True)
class Wish:
    """A gang: pods of one size, with a constraint."""

    pods: int
    gpus: int
    required: str = ""
    preferred: str = ""


@dataclass(frozen=True)
class Case:
    racks: tuple[int, ...]
    """Nodes of each rack."""
    running: tuple[int, ...]
    """GPUs taken on each node, rack by rack."""
    wishes: tuple[Wish, ...]

    @property
    def spots(self) -> list[Spot]:
        return [(rack, node) for rack, count in enumerate(self.racks) for node in range(count)]

    def free(self) -> dict[Spot, int]:
        return {spot: GPUS - taken for spot, taken in zip(self.spots, self.running, strict=True)}


def random_case(seed: int) -> Case:
    rng = random.Random(seed)
    racks = tuple(rng.randint(1, 2) for _ in range(rng.randint(2, 3)))
    running = tuple(rng.choice((0, 0, 0, 1, 2)) for _ in range(sum(racks)))
    wishes = []
    for _ in range(rng.randint(2, 4)):
        constraint = rng.choice(({}, {"required": "rack"}, {"preferred": "rack"}))
        wishes.append(Wish(rng.randint(1, 3), rng.choice((1, 2, 4)), **constraint))
    return Case(racks, running, tuple(wishes))


def snapshot_of(case: Case) -> ClusterSnapshot:
    nodes = [a_node(f"r{rack}-n{node}", gpus=GPUS, labels={"rack": f"r{rack}"}) for rack, node in case.spots]
    pods: list[Pod] = []
    groups: list[PodGroup] = []
    for (rack, node), taken in zip(case.spots, case.running, strict=True):
        if taken:
            pods.append(a_pod(f"x-{rack}-{node}", a_spec(gpus=taken), group=None, node=f"r{rack}-n{node}"))
    for index, wish in enumerate(case.wishes):
        spec = a_spec(gpus=wish.gpus)
        pods += [a_pod(f"g{index}-p{pod}", spec, group=f"g{index}") for pod in range(wish.pods)]
        groups.append(
            a_group(
                f"g{index}",
                min_member=wish.pods,
                required=wish.required,
                preferred=wish.preferred,
                created_at=NOW - 100 + index,
            )
        )
    return a_snapshot(nodes=nodes, pods=pods, groups=groups)


def arrangements(case: Case, chosen: Sequence[int]) -> Iterator[list[tuple[Spot, ...]]]:
    """Every way to seat the chosen gangs."""
    free = case.free()

    def fill(position: int, so_far: list[tuple[Spot, ...]]) -> Iterator[list[tuple[Spot, ...]]]:
        if position == len(chosen):
            yield list(so_far)
            return
        wish = case.wishes[chosen[position]]
        for spots in itertools.combinations_with_replacement(case.spots, wish.pods):
            if wish.required and len({rack for rack, _ in spots}) > 1:
                continue
            for spot in spots:
                free[spot] -= wish.gpus
            if all(free[spot] >= 0 for spot in spots):
                yield from fill(position + 1, [*so_far, spots])
            for spot in spots:
                free[spot] += wish.gpus

    yield from fill(0, [])


def admitted_in_order(case: Case) -> list[int]:
    admitted: list[int] = []
    for index in range(len(case.wishes)):
        if next(arrangements(case, [*admitted, index]), None) is not None:
            admitted.append(index)
    return admitted


def best_layout(case: Case, admitted: Sequence[int]) -> tuple[int, int]:
    empty = {spot for spot, free in case.free().items() if free == GPUS}

    def cost(seated: list[tuple[Spot, ...]]) -> tuple[int, int]:
        spread = sum(
            len({rack for rack, _ in spots}) - 1
            for index, spots in zip(admitted, seated, strict=True)
            if case.wishes[index].preferred
        )
        return spread, len(empty & {spot for spots in seated for spot in spots})

    return min(map(cost, arrangements(case, admitted)), default=(0, 0))


def placed_in(plan: Plan) -> list[int]:
    return sorted(
        int(verdict.pod_group.removeprefix("team/g"))
        for verdict in plan.verdicts
        if verdict.outcome is Outcome.PLACED
    )


@pytest.mark.parametrize("seed", range(150))
def test_the_last_plan_admits_and_lays_out_as_brute_force_does(seed: int) -> None:
    case = random_case(seed)
    snapshot = snapshot_of(case)

    plans = list(improving_plans(snapshot, Policy(advice_units=0)))

    for plan in plans:
        assert check_plan(snapshot, Policy(advice_units=0), plan) == ()
    last = plans[-1]
    admitted = admitted_in_order(case)
    assert placed_in(last) == admitted
    refused = [verdict for verdict in last.verdicts if verdict.outcome is Outcome.UNPLACED]
    assert all(verdict.is_proof for verdict in refused)
    objective = dict(last.solver.objective)
    assert (objective["surplusDomains"], objective["openedNodes"]) == best_layout(case, admitted)


@pytest.mark.parametrize("seed", range(150, 250))
def test_every_plan_is_better_than_the_one_before_and_no_bound_is_passed(seed: int) -> None:
    case = random_case(seed)
    plans = list(improving_plans(snapshot_of(case), Policy(advice_units=0)))

    scores = [goodness(case, plan) for plan in plans]
    # A plan that seats the same says more: prospects after the first, the judgement in the last.
    for (earlier, before), (later, after) in itertools.pairwise(zip(plans, scores, strict=True)):
        assert after > before or (after, later.binds) == (before, earlier.binds)
    assert scores[-1] == scores[-2]
    solver = plans[-1].solver
    for (tier, reached), (_, bound) in zip(solver.objective, solver.bound, strict=True):
        assert reached <= bound if tier.startswith("gangs") else reached >= bound
    assert solver.status == ("OPTIMAL" if solver.objective == solver.bound else "FEASIBLE")


def goodness(case: Case, plan: Plan) -> tuple[int, ...]:
    """Larger is better: who is admitted, in fair order (here: first come), then the layout."""
    placed = set(placed_in(plan))
    layout = dict(plan.solver.objective)
    return (
        *(int(index in placed) for index in range(len(case.wishes))),
        -layout["surplusDomains"],
        -layout["openedNodes"],
    )


def test_the_same_snapshot_gets_the_same_plans_byte_for_byte() -> None:
    snapshot = snapshot_of(random_case(42))

    first, second = (repr(list(improving_plans(snapshot, Policy(advice_units=0)))) for _ in range(2))

    assert first == second

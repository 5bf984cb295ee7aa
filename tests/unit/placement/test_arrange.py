"""The aggregated model against brute force over nodes: same verdicts, same optima, same answer every time."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pytest

from kai_sched.placement.solver.aggregate import (
    AggregatedProblem,
    Arrangement,
    CapacityRow,
    Item,
    Role,
    Scope,
    Unit,
    lacks_room,
)
from kai_sched.placement.solver.arrange import admit, fit_all, pruned, tidy
from kai_sched.placement.solver.cpsat import Limits, Status

pytestmark = pytest.mark.solver

SIZES = (1, 2, 4)
GPUS = 4
LIMITS = Limits(seed=1, deterministic_time=2.0)
Nodes = tuple[tuple[int, ...], ...]
"""Free GPUs of the nodes of each rack; racks 0, 1 are block 0, the rest block 1."""


def block_of(rack: int) -> int:
    return 0 if rack < 2 else 1


def units_of(racks: Nodes) -> tuple[Unit, ...]:
    units = []
    for rack, nodes in enumerate(racks):
        partial = [free for free in nodes if free < GPUS]
        rows = tuple(
            CapacityRow(tuple(g // s for g in SIZES), sum(free // s for free in partial), GPUS // s)
            for s in SIZES
        )
        units.append(
            Unit(
                domains=(block_of(rack), rack),
                most=tuple(sum(free // g for free in nodes) for g in SIZES),
                rows=rows,
                whole=len(nodes) - len(partial),
            )
        )
    return tuple(units)


@dataclass(frozen=True)
class Case:
    racks: Nodes
    items: tuple[Item, ...]

    @property
    def problem(self) -> AggregatedProblem:
        return AggregatedProblem(units=units_of(self.racks), items=self.items)


def random_case(seed: int, *, scopes: bool = True) -> Case:
    rng = random.Random(seed)
    racks = tuple(tuple(rng.choice((0, 1, 2, 3, 4, 4)) for _ in range(rng.randint(1, 2))) for _ in range(3))
    items = []
    for index in range(rng.randint(1, 4)):
        roles = tuple(Role(rng.randrange(3), rng.randint(1, 2)) for _ in range(rng.randint(1, 2)))
        every = tuple(range(len(roles)))
        choice = rng.randrange(5) if scopes else 0
        scope = {
            0: (),
            1: (Scope(every, required=1),),
            2: (Scope(every, required=0),),
            3: (Scope(every, required=0), *(Scope((role,), required=1) for role in every)),
            4: (Scope(every, preferred=(1,)),),
        }[choice]
        items.append(Item(name=f"g{index}", roles=roles, scopes=scope))
    return Case(racks, tuple(items))


def placements(case: Case, chosen: Sequence[int]) -> Iterator[list[list[tuple[int, int]]]]:
    """Every way to put the chosen items on nodes: a list of (rack, node) a pod, by (item, role)."""
    roles = [(item, role) for item in chosen for role in range(len(case.items[item].roles))]
    spots = [(rack, node) for rack, nodes in enumerate(case.racks) for node in range(len(nodes))]
    free = {spot: case.racks[spot[0]][spot[1]] for spot in spots}

    def fill(position: int, so_far: list[list[tuple[int, int]]]) -> Iterator[list[list[tuple[int, int]]]]:
        if position == len(roles):
            if _scopes_hold(case, roles, so_far):
                yield [list(part) for part in so_far]
            return
        item, role = roles[position]
        wanted = case.items[item].roles[role]
        size = SIZES[wanted.shape]
        for combination in itertools.combinations_with_replacement(spots, wanted.count):
            for spot in combination:
                free[spot] -= size
            if all(free[spot] >= 0 for spot in combination):
                yield from fill(position + 1, [*so_far, list(combination)])
            for spot in combination:
                free[spot] += size

    yield from fill(0, [])


def _scopes_hold(case: Case, roles: list[tuple[int, int]], placed: list[list[tuple[int, int]]]) -> bool:
    for item in {item for item, _ in roles}:
        for scope in case.items[item].scopes:
            racks = {
                rack
                for (owner, role), spots in zip(roles, placed, strict=True)
                if owner == item and role in scope.roles
                for rack, _ in spots
            }
            if scope.required == 1 and len(racks) > 1:
                return False
            if scope.required == 0 and len({block_of(rack) for rack in racks}) > 1:
                return False
    return True


def fits_by_brute_force(case: Case, chosen: Sequence[int]) -> bool:
    return next(placements(case, chosen), None) is not None


def fewest_spans_and_whole(case: Case) -> tuple[int, int] | None:
    best = None
    everything = range(len(case.items))
    roles = [(item, role) for item in everything for role in range(len(case.items[item].roles))]
    for placed in placements(case, everything):
        spans = 0
        for item in everything:
            if any(scope.preferred for scope in case.items[item].scopes):
                spans += len(
                    {
                        rack
                        for (owner, _), spots in zip(roles, placed, strict=True)
                        if owner == item
                        for rack, _ in spots
                    }
                )
        touched = {spot for spots in placed for spot in spots if case.racks[spot[0]][spot[1]] == GPUS}
        best = min(best, (spans, len(touched))) if best is not None else (spans, len(touched))
    return best


@pytest.mark.parametrize("seed", range(120))
def test_a_fit_is_found_exactly_where_brute_force_finds_one(seed: int) -> None:
    case = random_case(seed)

    fit = fit_all(case.problem, LIMITS)

    expected = fits_by_brute_force(case, range(len(case.items)))
    assert fit.status is not Status.UNKNOWN
    assert (fit.status is not Status.INFEASIBLE) == expected
    if fit.arrangement is not None:
        assert_keeps_counts(case.problem, fit.arrangement)


def assert_keeps_counts(problem: AggregatedProblem, arrangement: Arrangement) -> None:
    for position, item in enumerate(problem.items):
        for role, wanted in enumerate(item.roles):
            seated = sum(count for _, count in arrangement.pods[position, role])
            assert seated == wanted.count * arrangement.admitted[position]


@pytest.mark.parametrize("seed", range(60))
def test_tiers_admit_what_brute_force_admits_in_lexicographic_order(seed: int) -> None:
    case = random_case(1000 + seed)
    optional = tuple(replace(item, is_mandatory=False) for item in case.items)
    problem = replace(case.problem, items=optional)
    value = {
        index: sum(SIZES[role.shape] * role.count for role in item.roles)
        for index, item in enumerate(optional)
    }
    tiers = [{index: value[index] for index in value if index % 2 == tier} for tier in (0, 1)]
    tiers = [tier for tier in tiers if tier]

    admission = admit(problem, tiers, LIMITS)

    best = max(
        tuple(sum(tier.get(index, 0) for index in chosen) for tier in tiers)
        for size in range(len(optional) + 1)
        for chosen in itertools.combinations(range(len(optional)), size)
        if fits_by_brute_force(case, chosen)
    )
    assert admission.values == best
    assert admission.bounds == best
    assert admission.status is Status.OPTIMAL


@pytest.mark.parametrize("seed", range(60))
def test_tidying_spans_and_opens_as_little_as_brute_force(seed: int) -> None:
    case = random_case(2000 + seed)

    tidied = tidy(case.problem, LIMITS)

    best = fewest_spans_and_whole(case)
    if best is None:
        assert tidied.status is Status.INFEASIBLE
    else:
        assert (tidied.spans, tidied.opened) == best


def test_the_same_problem_gets_the_same_answer_again() -> None:
    case = random_case(7)
    big = replace(case, racks=tuple((4, 4, 3, 2) for _ in range(12)), items=case.items * 6)

    answers = {repr(tidy(big.problem, LIMITS)) for _ in range(3)}

    assert len(answers) == 1


def test_a_hint_never_makes_the_answer_worse() -> None:
    case = replace(random_case(3), racks=tuple((4, 4) for _ in range(6)))
    first = tidy(case.problem, LIMITS)

    second = tidy(case.problem, LIMITS, first.arrangement)

    assert (second.spans, second.opened) <= (first.spans, first.opened)


def test_counting_alone_shows_that_too_much_is_asked() -> None:
    units = units_of(((3, 3), (3,)))
    fours = Item(name="fours", roles=(Role(2, 1),))
    ones = Item(name="ones", roles=(Role(0, 10),))

    assert lacks_room(AggregatedProblem(units=units, items=(fours,)))
    assert lacks_room(AggregatedProblem(units=units, items=(ones,)))
    assert not lacks_room(AggregatedProblem(units=units, items=(replace(ones, roles=(Role(0, 9),)),)))


def test_pods_that_run_already_fix_the_domain() -> None:
    item = Item(name="g", roles=(Role(2, 1),), scopes=(Scope((0,), required=1, home=2),))
    problem = AggregatedProblem(units=units_of(((4,), (4,), (4,))), items=(item,))

    fit = fit_all(problem, LIMITS)

    assert fit.arrangement is not None
    assert fit.arrangement.pods[0, 0] == ((2, 1),)


def test_a_pruned_admission_gives_no_bound_for_the_cluster() -> None:
    units = units_of(tuple((4, 4) for _ in range(80)))
    items = tuple(Item(name=f"g{index}", roles=(Role(2, 3),), is_mandatory=False) for index in range(3))

    admission = admit(AggregatedProblem(units=units, items=items), [dict.fromkeys(range(3), 12)], LIMITS)

    assert admission.values == (36,)
    assert admission.bounds == (None,)
    assert admission.status is Status.FEASIBLE


def test_pruning_keeps_the_place_an_item_has_now() -> None:
    units = units_of(tuple((4, 4) for _ in range(80)))
    item = Item(name="g", roles=(Role(2, 1),), scopes=(Scope((0,), required=1),))
    problem = AggregatedProblem(units=units, items=(item,))

    smaller = pruned(problem, 4, Arrangement(admitted=(1,), pods={(0, 0): ((71, 1),)}))

    candidates = smaller.items[0].candidates
    assert candidates is not None
    assert len(candidates) == 5
    assert 71 in candidates


def test_counting_looks_at_every_domain_that_an_item_may_be_bound_to():
    units = units_of(((4, 4), (4,)))
    bound = Item(name="bound", roles=(Role(2, 2),), scopes=(Scope(roles=(0,), required=1),))

    def counted_out(item: Item) -> bool:
        return lacks_room(AggregatedProblem(units=units, items=(item,)))

    assert not counted_out(bound)
    assert counted_out(replace(bound, scopes=(Scope(roles=(0,), required=1, home=1),)))
    assert counted_out(replace(bound, roles=(Role(2, 3),)))
    assert not counted_out(replace(bound, roles=(Role(2, 3),), scopes=(Scope(roles=(0,), required=0),)))

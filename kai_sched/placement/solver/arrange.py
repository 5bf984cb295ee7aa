"""Arrange: the questions that are asked of an AggregatedProblem, each one or a few CP-SAT models.

- ``fit_all``: a place for every mandatory item, or a proof that there is none.
- ``admit``: the best set of optional items, tier by tier (a sum with huge weights cannot say strict order).
- ``tidy``: everything stays admitted, spans fewer domains, then opens fewer whole nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kai_sched.placement.solver.aggregate import NOWHERE, AggregatedProblem, Arrangement, Item, lacks_room
from kai_sched.placement.solver.cpsat import Answer, Limits, Status, solve
from kai_sched.placement.solver.formulation import Formulation, formulate
from kai_sched.placement.solver.linear import Term

UNPRUNED_UNITS = 64
"""Up to this many units an admission model sees them all, so that its bound is global."""
CANDIDATE_UNITS = 24
"""Units that each item sees in a larger one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Whether all fits. INFEASIBLE is a proof unless the problem was pruned; UNKNOWN says nothing."""

    status: Status
    arrangement: Arrangement | None = None
    deterministic_time: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """``values`` and ``bounds`` by tier; a bound is None where it would not hold for the whole cluster."""

    status: Status
    arrangement: Arrangement | None
    values: tuple[int, ...] = ()
    bounds: tuple[int | None, ...] = ()
    deterministic_time: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tidied:
    """``spans``, ``opened`` and ``cut`` are what was minimised; ``least``: no arrangement has less, in order."""

    status: Status
    arrangement: Arrangement | None = None
    spans: int = 0
    opened: int = 0
    cut: int = 0
    least: tuple[int, int, int] = (0, 0, 0)
    deterministic_time: float = 0.0


def fit_all(problem: AggregatedProblem, limits: Limits) -> Fit:
    """The first arrangement found in which every mandatory item has its place; few whole boxes are cut for it."""
    if lacks_room(problem):
        return Fit(status=Status.INFEASIBLE)
    formed = formulate(problem, with_spans=False)
    formed.model.minimise((variable, 1) for variable in formed.cut)
    answer = solve(formed.model, replace(limits, stops_at_first=not formed.cut))
    arrangement = formed.decode(answer.values) if answer.has_solution else None
    return Fit(status=answer.status, arrangement=arrangement, deterministic_time=answer.deterministic_time)


def admit(
    problem: AggregatedProblem,
    tiers: Sequence[Mapping[int, int]],
    limits: Limits,
    incumbent: Arrangement | None = None,
) -> Admission:
    """Maximise the value of admitted items tier by tier; each tier is kept while the next is improved.

    ``tiers``: value of one copy, by item. Ends early where a tier is left without a solution.
    """
    if len(problem.units) > UNPRUNED_UNITS:
        problem = pruned(problem, CANDIDATE_UNITS, incumbent)
    formed = formulate(problem, with_spans=False)
    hint = _hint(formed, incumbent)
    values: list[int] = []
    bounds: list[int | None] = []
    best: Answer | None = None
    spent = 0.0
    for tier in tiers:
        terms = [(formed.admitted[item], value) for item, value in sorted(tier.items())]
        formed.model.minimise((variable, -value) for variable, value in terms)
        answer = solve(formed.model, limits, hint)
        spent += answer.deterministic_time
        if not answer.has_solution:
            break
        best = answer
        values.append(-answer.objective)
        is_global = not problem.is_pruned and answer.bound is not None
        bounds.append(-answer.bound if is_global and answer.bound is not None else None)
        formed.model.row(
            terms, values[-1], values[-1] if answer.status is Status.OPTIMAL else sum(v for _, v in terms)
        )
        hint = dict(enumerate(answer.values))
    return Admission(
        status=_joint_status(best, values, bounds, len(tiers)),
        arrangement=formed.decode(best.values) if best is not None else None,
        values=tuple(values),
        bounds=tuple(bounds),
        deterministic_time=spent,
    )


def tidy(problem: AggregatedProblem, limits: Limits, incumbent: Arrangement | None = None) -> Tidied:
    """Fewest domains spanned, then fewest whole nodes opened, then fewest whole boxes cut, all mandatory in place."""
    formed = formulate(problem, with_spans=True)
    # One span outweighs all whole nodes there are, one node all boxes: lexicographic, with small numbers.
    of_node = 1 + sum(group.count for unit in problem.units for group in unit.boxes if group.is_whole)
    of_span = of_node * (1 + sum(unit.whole for unit in problem.units))
    cost: list[Term] = [(variable, of_span) for variable in formed.spans]
    cost += [(variable, of_node) for variable in formed.opened.values()]
    cost += [(variable, 1) for variable in formed.cut]
    formed.model.minimise(cost)
    answer = solve(formed.model, limits, _hint(formed, incumbent))
    if not answer.has_solution:
        return Tidied(status=answer.status, deterministic_time=answer.deterministic_time)
    return Tidied(
        status=answer.status,
        arrangement=formed.decode(answer.values),
        spans=sum(answer.values[variable] for variable in formed.spans),
        opened=sum(answer.values[variable] for variable in formed.opened.values()),
        cut=sum(answer.values[variable] for variable in formed.cut),
        least=_in_order(max(0, answer.bound or 0), of_span, of_node),
        deterministic_time=answer.deterministic_time,
    )


def _in_order(bound: int, of_span: int, of_node: int) -> tuple[int, int, int]:
    spans, rest = divmod(bound, of_span)
    return (spans, *divmod(rest, of_node))


def pruned(problem: AggregatedProblem, most: int, incumbent: Arrangement | None = None) -> AggregatedProblem:
    """Each item sees its ``most`` best candidate units (or as many as hold it twice) and where it is now.

    Loses the proof, never validity.
    """
    kept: list[Item] = []
    for position, item in enumerate(problem.items):
        now = {
            unit
            for role in range(len(item.roles))
            for unit, _ in (incumbent.pods.get((position, role), ()) if incumbent is not None else ())
        }
        kept.append(replace(item, candidates=frozenset(now | _candidates(problem, item, most))))
    return replace(problem, items=tuple(kept), is_pruned=True)


def _candidates(problem: AggregatedProblem, item: Item, most: int) -> set[int]:
    allowed = [
        unit for unit in range(len(problem.units)) if item.candidates is None or unit in item.candidates
    ]

    def room(units: Sequence[int], role: int) -> int:
        return sum(problem.units[unit].most[item.roles[role].shape] for unit in units)

    wanted = [role.count * item.copies for role in item.roles]
    outermost = next((scope for scope in item.scopes if scope.required is not None), None)
    groups = [[unit] for unit in allowed]
    if outermost is not None and outermost.required is not None:
        by_domain: dict[int, list[int]] = {}
        for unit in allowed:
            by_domain.setdefault(problem.units[unit].domains[outermost.required], []).append(unit)
        by_domain.pop(NOWHERE, None)
        fitting = [
            units
            for _, units in sorted(by_domain.items())
            if all(room(units, role) >= count for role, count in enumerate(wanted))
        ]
        # Tightest first, as greedy would look at them.
        groups = sorted(fitting, key=lambda units: sum(room(units, role) for role in range(len(wanted))))
    else:
        groups.sort(key=lambda units: -sum(room(units, role) for role in range(len(wanted))))
    chosen: list[int] = []
    for units in groups:
        is_enough = all(room(chosen, role) >= 2 * count for role, count in enumerate(wanted))
        if len(chosen) >= most and (is_enough or outermost is not None):
            break
        chosen.extend(units)
    return set(chosen)


def _hint(formed: Formulation, arrangement: Arrangement | None) -> dict[int, int] | None:
    """Counts of an arrangement as starting values; what follows from them is left to the solver."""
    if arrangement is None:
        return None
    hint = dict(zip(formed.admitted, arrangement.admitted, strict=True))
    for key, terms in formed.pods.items():
        there = dict(arrangement.pods.get(key, ()))
        for unit, (variable, times) in terms.items():
            hint[variable] = there.get(unit, 0) // times
    return hint


def _joint_status(
    best: Answer | None, values: Sequence[int], bounds: Sequence[int | None], tiers: int
) -> Status:
    if best is None:
        return Status.UNKNOWN
    is_proven = len(values) == tiers and list(values) == list(bounds)
    return Status.OPTIMAL if is_proven else Status.FEASIBLE

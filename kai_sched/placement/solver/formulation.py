"""Formulation: an AggregatedProblem as a LinearModel, and a solver's values back as an Arrangement.

Pods of a role in a unit are one integer variable; where a required domain is a single unit they are the domain's
own Boolean times the role's count, which saves most variables of required-rack gangs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kai_sched.placement.solver.aggregate import (
    NOWHERE,
    AggregatedProblem,
    Arrangement,
    CapacityRow,
    Item,
    Scope,
    Unit,
)
from kai_sched.placement.solver.linear import LinearModel, Term


@dataclass(slots=True)
class Formulation:
    """The model with where everything went. ``pods[(item, role)]``: unit -> the term that counts its pods there."""

    problem: AggregatedProblem
    model: LinearModel = field(default_factory=LinearModel)
    admitted: list[int] = field(default_factory=list)
    pods: dict[tuple[int, int], dict[int, Term]] = field(default_factory=dict)
    opened: dict[int, int] = field(default_factory=dict)
    """Unit -> variable of whole nodes opened there."""
    spans: list[int] = field(default_factory=list)
    """Booleans of domains spanned at preferred levels, present ones left out."""
    patterns: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    """(unit, box group) -> variable of each pattern: boxes that take it."""
    cut: list[int] = field(default_factory=list)
    """Pattern variables of boxes that were whole."""

    def decode(self, values: Sequence[int]) -> Arrangement:
        """What an assignment means."""
        pods: dict[tuple[int, int], tuple[tuple[int, int], ...]] = {}
        for key, terms in self.pods.items():
            counted = ((unit, values[variable] * times) for unit, (variable, times) in sorted(terms.items()))
            pods[key] = tuple((unit, count) for unit, count in counted if count)
        return Arrangement(
            admitted=tuple(values[variable] for variable in self.admitted),
            pods=pods,
            patterns={
                key: tuple(
                    (pattern, values[variable]) for pattern, variable in enumerate(chosen) if values[variable]
                )
                for key, chosen in self.patterns.items()
            },
        )


def formulate(problem: AggregatedProblem, *, with_spans: bool) -> Formulation:
    """The model without an objective; ``with_spans`` adds the Booleans that topology cost is made of."""
    formed = Formulation(problem)
    for position, item in enumerate(problem.items):
        low = item.copies if item.is_mandatory else 0
        formed.admitted.append(formed.model.variable(low, item.copies))
        _add_item(formed, position, item)
        for scope in item.scopes if with_spans else ():
            _add_spans(formed, position, item, scope)
    _add_capacity(formed)
    return formed


def _add_item(formed: Formulation, position: int, item: Item) -> None:
    choices = [
        (scope, _domain_choice(formed, position, item, scope))
        for scope in item.scopes
        if scope.required is not None
    ]
    placed: set[int] = set()
    for scope, choice in reversed(choices):
        # Innermost scopes come last: where their domains are single units, the choice itself counts the pods.
        if all(len(members) == 1 for members, _ in choice):
            for role in set(scope.roles) - placed:
                count = item.roles[role].count
                formed.pods[position, role] = {members[0]: (chosen, count) for members, chosen in choice}
            placed.update(scope.roles)
    for role in range(len(item.roles)):
        if role not in placed:
            _add_counts(formed, position, item, role)
    for scope, choice in choices:
        _tie_to_domains(formed, position, item, scope, choice)


def _units_of(formed: Formulation, item: Item, role: int) -> Iterator[int]:
    shape = item.roles[role].shape
    for index, unit in enumerate(formed.problem.units):
        if unit.most[shape] > 0 and (item.candidates is None or index in item.candidates):
            yield index


def _add_counts(formed: Formulation, position: int, item: Item, role: int) -> None:
    model, wanted = formed.model, item.roles[role].count * item.copies
    terms: dict[int, Term] = {}
    for unit in _units_of(formed, item, role):
        most = min(wanted, formed.problem.units[unit].most[item.roles[role].shape])
        terms[unit] = (model.variable(0, most), 1)
    formed.pods[position, role] = terms
    model.row([*terms.values(), (formed.admitted[position], -item.roles[role].count)], 0, 0)


Choice = list[tuple[tuple[int, ...], int]]
"""Candidate domains: the units of each and the Boolean that chooses it."""


def _domain_choice(formed: Formulation, position: int, item: Item, scope: Scope) -> Choice:
    """One domain for the scope if the item is admitted; only domains that could hold every role by counting."""
    units = formed.problem.units
    by_domain: dict[int, list[int]] = {}
    level = scope.required if scope.required is not None else 0
    for index, unit in enumerate(units):
        code = unit.domains[level]
        if code == NOWHERE or (scope.home is not None and code != scope.home):
            continue
        if item.candidates is None or index in item.candidates:
            by_domain.setdefault(code, []).append(index)
    choice: Choice = []
    for _, members in sorted(by_domain.items()):
        if all(
            sum(units[unit].most[item.roles[role].shape] for unit in members) >= item.roles[role].count
            for role in scope.roles
        ):
            choice.append((tuple(members), formed.model.variable(0, 1)))
    formed.model.row([*((chosen, 1) for _, chosen in choice), (formed.admitted[position], -1)], 0, 0)
    return choice


def _tie_to_domains(formed: Formulation, position: int, item: Item, scope: Scope, choice: Choice) -> None:
    """All pods of the scope's roles in the chosen domain."""
    for role in scope.roles:
        terms = formed.pods[position, role]
        reached: set[int] = set()
        for members, chosen in choice:
            inside = [terms[unit] for unit in members if unit in terms]
            reached.update(members)
            if [(chosen, item.roles[role].count)] != inside:
                formed.model.row([*inside, (chosen, -item.roles[role].count)], 0, 0)
        outside = [term for unit, term in terms.items() if unit not in reached]
        if outside:
            formed.model.row(outside, 0, 0)


def _add_spans(formed: Formulation, position: int, item: Item, scope: Scope) -> None:
    units = formed.problem.units
    for level in scope.preferred:
        by_domain: dict[int, list[tuple[int, Term]]] = {}
        for role in scope.roles:
            for unit, term in formed.pods[position, role].items():
                by_domain.setdefault(units[unit].domains[level], []).append((role, term))
        for code, terms in sorted(by_domain.items()):
            if (level, code) in scope.present:
                continue
            spanned = formed.model.variable(0, 1)
            formed.spans.append(spanned)
            for role in scope.roles:
                inside = [term for member, term in terms if member == role]
                if inside:
                    formed.model.at_most([*inside, (spanned, -item.roles[role].count * item.copies)], 0)


def _add_capacity(formed: Formulation) -> None:
    """Rows of each unit over all pods that may come there."""
    loads: dict[int, list[tuple[int, Term]]] = {}
    for (position, role), terms in formed.pods.items():
        shape = formed.problem.items[position].roles[role].shape
        for index, term in terms.items():
            loads.setdefault(index, []).append((shape, term))
    for index, load in sorted(loads.items()):
        for row in formed.problem.units[index].rows:
            _add_row(formed, index, row, load)
        _limit_shapes(formed, formed.problem.units[index], load)
        _add_pieces(formed, index, load)


def _add_row(formed: Formulation, index: int, row: CapacityRow, load: Sequence[tuple[int, Term]]) -> None:
    unit = formed.problem.units[index]
    used = [(variable, times * row.weights[shape]) for shape, (variable, times) in load if row.weights[shape]]
    if not used:
        return
    if row.limit_per_whole and unit.whole:
        if index not in formed.opened:
            formed.opened[index] = formed.model.variable(0, unit.whole)
        used.append((formed.opened[index], -row.limit_per_whole))
    formed.model.at_most(used, row.limit)


def _add_pieces(formed: Formulation, index: int, load: Sequence[tuple[int, Term]]) -> None:
    """Every box of the unit takes one pattern, and the patterns together hold the pods' pieces."""
    problem, model = formed.problem, formed.model
    wanted: list[list[Term]] = [
        [
            (variable, times * problem.pieces[shape][kind])
            for shape, (variable, times) in load
            if problem.pieces[shape][kind]
        ]
        for kind in range(problem.kinds)
    ]
    if not any(wanted):
        return
    given: list[list[Term]] = [[] for _ in wanted]
    for position, group in enumerate(problem.units[index].boxes):
        chosen = [model.variable(0, group.count) for _ in group.patterns]
        formed.patterns[index, position] = chosen
        if group.is_whole:
            formed.cut += chosen
        model.at_most([(variable, 1) for variable in chosen], group.count)
        for variable, pattern in zip(chosen, group.patterns, strict=True):
            for kind, pieces in enumerate(pattern):
                if pieces:
                    given[kind].append((variable, -pieces))
    for kind, terms in enumerate(wanted):
        if terms:
            model.at_most([*terms, *given[kind]], 0)


def _limit_shapes(formed: Formulation, unit: Unit, load: Sequence[tuple[int, Term]]) -> None:
    for shape in sorted({shape for shape, _ in load}):
        same = [term for other, term in load if other == shape]
        if sum(formed.model.upper[variable] * times for variable, times in same) > unit.most[shape]:
            formed.model.at_most(same, unit.most[shape])

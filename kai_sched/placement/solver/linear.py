"""LinearModel: integer variables, rows and an objective as flat lists, ready to be handed to a solver in bulk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

UNBOUNDED = 1 << 40
"""No limit on this side of a row: larger than any sum that a model here can reach."""

Term = tuple[int, int]
"""(variable, coefficient)."""


@dataclass(frozen=True, slots=True)
class Row:
    """``lower <= sum(coefficient * variable) <= upper``."""

    variables: tuple[int, ...]
    coefficients: tuple[int, ...]
    lower: int
    upper: int


@dataclass(slots=True)
class LinearModel:
    """Grows while it is built; the objective is minimised."""

    lower: list[int] = field(default_factory=list)
    upper: list[int] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    objective: dict[int, int] = field(default_factory=dict)

    def variable(self, lower: int, upper: int) -> int:
        """A new variable, by its index."""
        self.lower.append(lower)
        self.upper.append(upper)
        return len(self.lower) - 1

    def row(self, terms: Iterable[Term], lower: int, upper: int) -> None:
        """A new row; terms of one variable are added up."""
        sums: dict[int, int] = {}
        for variable, coefficient in terms:
            sums[variable] = sums.get(variable, 0) + coefficient
        self.rows.append(Row(tuple(sums), tuple(sums.values()), lower, upper))

    def at_most(self, terms: Iterable[Term], upper: int) -> None:
        """A row with an upper limit only."""
        self.row(terms, -UNBOUNDED, upper)

    def minimise(self, terms: Iterable[Term]) -> None:
        """Replace the objective."""
        self.objective = {}
        for variable, coefficient in terms:
            self.objective[variable] = self.objective.get(variable, 0) + coefficient

    def value_of(self, values: Sequence[int]) -> int:
        """The objective of an assignment."""
        return sum(values[variable] * coefficient for variable, coefficient in self.objective.items())

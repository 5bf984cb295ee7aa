"""The only module that imports OR-Tools: solves a LinearModel with CP-SAT, reproducibly.

OR-Tools takes a third of a second to import and most decisions end without it, so that is done by the first solve, or
by ``load`` at a time when nobody waits.

One worker, a fixed seed and a limit in deterministic time make the answer a function of the model. Measured on the
aggregated models of this package: probing, symmetry and repeated presolve cost more than they bring, more workers
change the answer from run to run, and ``interleave_search`` can abort the process.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from kai_sched.placement.solver.linear import LinearModel

if TYPE_CHECKING:
    from ortools.sat.python import cp_model


class Status(StrEnum):
    """What CP-SAT can say about a model."""

    OPTIMAL = "OPTIMAL"
    FEASIBLE = "FEASIBLE"
    INFEASIBLE = "INFEASIBLE"
    UNKNOWN = "UNKNOWN"
    """The deterministic limit came first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long one model may be worked on. Deterministic units are not seconds, but about one second's work each."""

    seed: int
    deterministic_time: float
    stops_at_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """``values`` is empty without a solution; ``bound`` holds for the objective whatever the status."""

    status: Status
    values: tuple[int, ...] = ()
    objective: int = 0
    bound: int | None = None
    deterministic_time: float = 0.0

    @property
    def has_solution(self) -> bool:
        return self.status in {Status.OPTIMAL, Status.FEASIBLE}


def load() -> Any:
    """The solver's module; imported now if it was not yet."""
    from ortools.sat.python import cp_model  # noqa: PLC0415 — most decisions end without it

    return cp_model


def solve(model: LinearModel, limits: Limits, hint: dict[int, int] | None = None) -> Answer:
    """Minimise the model's objective, or find any solution where there is none."""
    cp_model = load()
    solver = cp_model.CpSolver()
    parameters = solver.parameters
    parameters.num_workers = 1
    parameters.random_seed = limits.seed
    parameters.max_deterministic_time = limits.deterministic_time
    parameters.cp_model_probing_level = 0
    parameters.symmetry_level = 0
    parameters.max_presolve_iterations = 1
    parameters.stop_after_first_solution = limits.stops_at_first
    # An invalid model answers MODEL_INVALID; here that is a model nobody can solve within any limit.
    meanings = {
        cp_model.OPTIMAL: Status.OPTIMAL,
        cp_model.FEASIBLE: Status.FEASIBLE,
        cp_model.INFEASIBLE: Status.INFEASIBLE,
    }
    status = meanings.get(solver.solve(_emit(model, hint, cp_model.CpModel())), Status.UNKNOWN)
    response = solver.response_proto
    found = status in {Status.OPTIMAL, Status.FEASIBLE}
    return Answer(
        status=status,
        values=tuple(response.solution) if found else (),
        objective=round(response.objective_value) if found else 0,
        bound=_rounded_up(response.best_objective_bound) if found and model.objective else None,
        deterministic_time=response.deterministic_time,
    )


def _rounded_up(bound: float) -> int:
    """The objective is integral, so the bound may be rounded towards it (with room for float noise)."""
    return -int((-bound + 1e-6) // 1)


def _emit(model: LinearModel, hint: dict[int, int] | None, emitted: cp_model.CpModel) -> cp_model.CpModel:
    """Fill the protocol buffer in place: the fastest of the ways to build a model from Python."""
    proto = emitted.proto
    variables, constraints = proto.variables, proto.constraints
    for low, high in zip(model.lower, model.upper, strict=True):
        variables.add().domain.extend([low, high])
    for row in model.rows:
        linear = constraints.add().linear
        linear.vars.extend(row.variables)
        linear.coeffs.extend(row.coefficients)
        linear.domain.extend([row.lower, row.upper])
    if model.objective:
        proto.objective.vars.extend(list(model.objective))
        proto.objective.coeffs.extend(list(model.objective.values()))
    if hint:
        proto.solution_hint.vars.extend(list(hint))
        proto.solution_hint.values.extend(list(hint.values()))
    return emitted

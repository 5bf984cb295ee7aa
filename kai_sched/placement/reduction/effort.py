"""Effort: what solving may cost in one cycle, and what it has cost so far."""

from __future__ import annotations

from dataclasses import dataclass

from kai_sched.model.policy import SolverBudget
from kai_sched.placement.solver.cpsat import Limits

_FULL_BUDGET_NODES = 5000


@dataclass(slots=True)
class Effort:
    """What one cycle's solving has cost so far, against its budget on a fleet of this size."""

    budget: SolverBudget
    nodes: int = _FULL_BUDGET_NODES
    models: int = 0
    rejected: int = 0
    deterministic_time: float = 0.0

    @property
    def allowed(self) -> float:
        """Deterministic time of the whole cycle: a small cluster must not wait as long as a large one may."""
        return self.budget.deterministic_time * min(1.0, 0.25 + 0.75 * self.nodes / _FULL_BUDGET_NODES)

    @property
    def is_spent(self) -> bool:
        return self.deterministic_time >= self.allowed

    def limits(self, share: float = 1.0) -> Limits:
        """Limits of the next model; ``share``: in units of the budget of one."""
        left = max(0.0, self.allowed - self.deterministic_time)
        wanted = share * self.budget.deterministic_time_per_model
        return Limits(seed=self.budget.seed, deterministic_time=min(left, wanted))

    def note(self, deterministic_time: float) -> None:
        """One model was solved."""
        self.models += 1
        self.deterministic_time += deterministic_time

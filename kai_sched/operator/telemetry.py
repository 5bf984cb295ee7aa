"""Metrics in Prometheus' form: KAI's names where KAI has them, and what our solver and binder do.

KAI's dashboards read names with the prefix ``kai_``; ours that KAI does not have begin with ``kai_sched_``.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from kai_sched.api.shard_fields import ACTION_OF_STAGE
from kai_sched.binder.outcomes import CommandOutcome
from kai_sched.model.commands import Evict
from kai_sched.model.ids import PodGroupKey
from kai_sched.model.plan import Eviction, Outcome, Plan
from kai_sched.model.policy import StageName
from kai_sched.model.queues import Queue
from kai_sched.operator.queue_metrics import QueueMetrics
from kai_sched.placement.checker import Violation
from kai_sched.placement.checker.state import STATE_KINDS
from kai_sched.solving.stats import Decision, SolvingStats

_MILLIS: Final = tuple(5 * 2**step for step in range(10))
"""KAI's buckets: 5 ms to 2.56 s."""


class Telemetry:
    """All metrics of one operator in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._ever_blind: set[str] = set()
        self._cycle_gauges()
        self._queues = QueueMetrics(self.registry)
        self._own_metrics()

    def _cycle_gauges(self) -> None:
        registry = self.registry
        self._cycle_millis = Gauge(
            "kai_e2e_scheduling_latency_milliseconds", "Last whole cycle", registry=registry
        )
        self._snapshot_millis = Gauge(
            "kai_open_session_latency_milliseconds", "Last snapshot", registry=registry
        )
        self._phrase_millis = Gauge(
            "kai_close_session_latency_milliseconds",
            "Last phrasing of commands and status",
            registry=registry,
        )
        self._stage_millis = Gauge(
            "kai_action_scheduling_latency_milliseconds", "Last run of a stage", ["action"], registry=registry
        )
        self._bind_millis = Histogram(
            "kai_task_bind_latency_milliseconds",
            "From decision to bound, of one command",
            buckets=_MILLIS,
            registry=registry,
        )
        self._wait_millis = Histogram(
            "kai_task_scheduling_latency_milliseconds",
            "From a pod's creation to the attempt to bind it",
            buckets=_MILLIS,
            registry=registry,
        )
        # KAI counts these without the suffix _total, which a Counter would add.
        self._scheduled = Gauge(
            "kai_podgroups_scheduled_by_action", "Pod groups placed by a stage", ["action"], registry=registry
        )
        self._acted_on = Gauge(
            "kai_podgroups_acted_on_by_action",
            "Pod groups considered by a stage",
            ["action"],
            registry=registry,
        )
        self._preemptions = Gauge("kai_total_preemption_attempts", "Evictions asked for", registry=registry)
        self._evicted = Counter(
            "kai_pod_group_evicted_pods",
            "Pods chosen to be evicted",
            ["podgroup", "uid", "nodepool", "action"],
            registry=registry,
        )

    def _own_metrics(self) -> None:
        registry = self.registry
        self._cycles = Counter(
            "kai_sched_cycles", "Cycles by how deciding ended", ["ending"], registry=registry
        )
        self._solver = Counter(
            "kai_sched_solver_answers", "Plans by solver status", ["status"], registry=registry
        )
        self._solver_seconds = Histogram(
            "kai_sched_decision_seconds",
            "Time to decide one snapshot",
            buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10),
            registry=registry,
        )
        self._models = Counter("kai_sched_solver_models", "CP-SAT models solved", registry=registry)
        self._refused = Gauge(
            "kai_sched_plans_refused", "Plans that the independent checker refused, so far", registry=registry
        )
        self._child_starts = Gauge(
            "kai_sched_solver_child_starts", "Solving children started, so far", registry=registry
        )
        self._commands = Counter(
            "kai_sched_commands", "Commands by kind and result", ["command", "result"], registry=registry
        )
        self._bound = Counter("kai_sched_bound_pods", "Pods bound", registry=registry)
        self._gangs = Gauge(
            "kai_sched_waiting_gangs", "Gangs that wait, by reason", ["blocker"], registry=registry
        )
        self._pending = Gauge("kai_sched_commands_in_flight", "Commands not finished", registry=registry)
        self._contained = Counter(
            "kai_sched_contained_failures",
            "Failures that cost one object only, by what was being done about it",
            ["kind"],
            registry=registry,
        )
        self._told_not = Gauge(
            "kai_sched_failed_status_writes",
            "Status and event writes that the API server refused, so far",
            registry=registry,
        )
        self._told = Gauge("kai_sched_status_writes", "Status and event writes, so far", registry=registry)
        self._broken = Gauge(
            "kai_sched_broken_invariants",
            "Nodes, devices and claims that are given beyond what they are, by what is wrong",
            ["kind"],
            registry=registry,
        )
        self.broken(())
        self._blind = Gauge(
            "kai_sched_blind_watch", "1 for a kind whose changes are not heard", ["kind"], registry=registry
        )
        self._watch_starts = Gauge("kai_sched_kopf_starts", "Runs of kopf started, so far", registry=registry)
        self._leading = Gauge("kai_sched_is_leading", "1 while the Lease is held", registry=registry)

    def text(self) -> bytes:
        """Everything in the text format."""
        return generate_latest(self.registry)

    def leading(self, *, is_leading: bool) -> None:
        """Whether this process decides and writes."""
        self._leading.set(1 if is_leading else 0)

    def traffic(self, in_flight: int, told: int, failed: int) -> None:
        """The state of the writers."""
        self._pending.set(in_flight)
        self._told.set(told)
        self._told_not.set(failed)

    def contained(self, kind: str) -> None:
        """A failure that cost one object only."""
        self._contained.labels(kind).inc()

    def blind(self, kinds: Iterable[str], starts: int) -> None:
        """The kinds whose changes are not heard at the moment, and how often kopf was started on one."""
        for kind in self._ever_blind:
            self._blind.labels(kind).set(0)
        for kind in kinds:
            self._ever_blind.add(kind)
            self._blind.labels(kind).set(1)
        self._watch_starts.set(starts)

    def decided(self, decision: Decision, stats: SolvingStats) -> None:
        """One decision of the solving child."""
        self._cycles.labels(decision.ending.value).inc()
        self._solver_seconds.observe(decision.seconds)
        self._refused.set(stats.refused_plans)
        self._child_starts.set(stats.starts)
        plan = decision.plan
        if plan is None:
            return
        self._solver.labels(plan.solver.status).inc()
        self._models.inc(plan.solver.models)
        for stage in plan.solver.stages:
            if stage.seconds is not None:
                self._stage_millis.labels(ACTION_OF_STAGE[stage.name]).set(stage.seconds * 1000)
        stages = plan.solver.stages
        stage_name = ACTION_OF_STAGE[stages[0].name if stages else StageName.ALLOCATE]
        self._acted_on.labels(stage_name).inc(len(plan.verdicts))
        placed = sum(verdict.outcome is Outcome.PLACED for verdict in plan.verdicts)
        self._scheduled.labels(stage_name).inc(placed)
        waiting = Tally(verdict.blocker.value for verdict in plan.verdicts if verdict.blocker is not None)
        self._gangs.clear()
        for blocker, count in waiting.items():
            self._gangs.labels(blocker).set(count)

    def started(self, created_at: Iterable[float], now: float) -> None:
        """Pods whose binding is attempted now, by the time of their creation."""
        for created in created_at:
            self._wait_millis.observe(max(0.0, now - created) * 1000)

    def evicted(self, evictions: Iterable[Eviction], uids: Mapping[PodGroupKey, str], node_pool: str) -> None:
        """Pods that a plan takes off their nodes."""
        for one in evictions:
            action = ACTION_OF_STAGE[one.stage]
            self._evicted.labels(one.pod_group, uids.get(one.pod_group, ""), node_pool, action).inc()

    def broken(self, violations: Iterable[Violation]) -> None:
        """What the self-check found wrong in the cluster."""
        counts = Tally(violation.kind for violation in violations)
        for kind in STATE_KINDS:
            self._broken.labels(kind.value).set(counts[kind])

    def cycle_took(self, total: float, snapshot: float, phrase: float) -> None:
        """Seconds of the last cycle and its parts."""
        self._cycle_millis.set(total * 1000)
        self._snapshot_millis.set(snapshot * 1000)
        self._phrase_millis.set(phrase * 1000)

    def ended(self, outcome: CommandOutcome, seconds: float) -> None:
        """One command's end."""
        command = outcome.command
        self._commands.labels(type(command).__name__, outcome.result.value).inc()
        self._bound.inc(len(outcome.bound))
        if outcome.bound:
            self._bind_millis.observe(seconds * 1000)
        if isinstance(command, Evict):
            self._preemptions.inc()

    def queues(self, queues: Iterable[Queue], plan: Plan) -> None:
        """Quota and shares of every queue."""
        self._queues.tell(queues, plan)

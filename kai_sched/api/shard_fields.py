"""The structured fields of a SchedulingShard's spec, each applied to a policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from math import nan
from typing import Any, Final

from pydantic.alias_generators import to_camel

from kai_sched.api.kinds import Raw
from kai_sched.api.shard_notes import NotServed, ShardNotes
from kai_sched.api.times import parse_duration
from kai_sched.api.translate.fields import INT32, INT64, FieldError, at, flag, integer, number, section, text
from kai_sched.model.policy import DeviceChoice, Policy, SolverBudget, StageName, Strategy

Changes = dict[str, Any]
"""Fields of ``Policy`` or ``SolverBudget`` with their new values."""

_STAGE_OF_ACTION: Final = {
    "allocate": StageName.ALLOCATE,
    "consolidation": StageName.CONSOLIDATE,
    "reclaim": StageName.RECLAIM,
    "preempt": StageName.PREEMPT,
    "stalegangeviction": StageName.STALE_GANGS,
}
ACTION_OF_STAGE: Final = {stage: action for action, stage in _STAGE_OF_ACTION.items()}
"""KAI's words."""
_PRIORITY_OF_ACTION: Final = {
    "allocate": 500,
    "consolidation": 400,
    "reclaim": 300,
    "preempt": 200,
    "stalegangeviction": 100,
}
PLUGINS: Final = frozenset(
    {
        "predicates",
        "proportion",
        "priority",
        "nodeavailability",
        "resourcetype",
        "podaffinity",
        "elastic",
        "kubeflow",
        "ray",
        "subgrouporder",
        "taskorder",
        "nominatednode",
        "dynamicresources",
        "minruntime",
        "topology",
        "snapshot",
        "reflectjoborder",
        "sg-nodelocalgreedy",
        "sg-multinodegang",
        "gpupack",
        "gpuspread",
        "nodeplacement",
        "gpusharingorder",
        "numa",
    }
)
"""KAI's plugins. Here their work is not pluggable; ``enabled: false`` is honoured where it changes a decision."""
_FREE_TO_DISABLE: Final = frozenset(
    {
        "snapshot",
        "reflectjoborder",
        "sg-nodelocalgreedy",
        "sg-multinodegang",
        "gpupack",
        "gpuspread",
        "numa",
    }
)
"""Plugins whose absence changes nothing here: endpoints, KAI's search, what the placement strategy says, NUMA (off)."""
_ARGUMENTS: Final[Mapping[str, Mapping[str, str]]] = {
    "proportion": {
        "kValue": "k_value",
        "relcaimerSaturationMultiplier": "saturation_multiplier",
        "reclaimerUtilizationMultiplier": "saturation_multiplier",
    },
    "minruntime": {
        "defaultPreemptMinRuntime": "preempt_min_runtime_seconds",
        "defaultReclaimMinRuntime": "reclaim_min_runtime_seconds",
    },
    "nodeplacement": {"gpu": "gpu_strategy", "cpu": "cpu_strategy"},
}
"""Plugin → argument → field of the policy. The first multiplier is KAI's own spelling."""


def apply_strategy(spec: Raw, policy: Policy, notes: ShardNotes) -> Policy:
    """PlacementStrategy."""
    path = "spec.placementStrategy"
    raw = section(spec, "placementStrategy", "spec")
    chosen: Changes = {}
    for kind in notes.known(raw, {"gpu", "cpu"}, path):
        with notes.each(f"{path}.{kind}"):
            if value := text(raw, kind, path):
                chosen[f"{kind}_strategy"] = _strategy(value, f"{path}.{kind}")
    return replace(policy, **chosen)


def apply_min_runtime(spec: Raw, policy: Policy, notes: ShardNotes) -> Policy:
    """MinRuntime."""
    path = "spec.minRuntime"
    raw = section(spec, "minRuntime", "spec")
    names = {
        "preemptMinRuntime": "preempt_min_runtime_seconds",
        "reclaimMinRuntime": "reclaim_min_runtime_seconds",
    }
    set_to: Changes = {}
    for key in notes.known(raw, names, path):
        with notes.each(f"{path}.{key}"):
            if value := text(raw, key, path):
                set_to[names[key]] = _seconds(value, f"{path}.{key}")
    return replace(policy, **set_to)


def apply_queue_depth(spec: Raw, policy: Policy, notes: ShardNotes) -> Policy:
    """queueDepthPerAction: how many gangs of a leaf queue one stage tries."""
    path = "spec.queueDepthPerAction"
    raw = section(spec, "queueDepthPerAction", "spec")
    depths: dict[StageName, int] = {}
    for action in notes.known(raw, _STAGE_OF_ACTION, path):
        with notes.each(f"{path}.{action}"):
            depth = integer(raw, action, path)
            if depth is not None and depth < 1:
                raise FieldError(f"{path}.{action}", f"must be at least 1, is {depth}")
            if depth is not None:
                depths[_STAGE_OF_ACTION[action]] = depth
    return replace(
        policy,
        queue_depth=depths.get(StageName.ALLOCATE, policy.queue_depth),
        queue_depth_of=tuple(sorted(depths.items())),
    )


def apply_plugins(spec: Raw, policy: Policy, notes: ShardNotes) -> Policy:
    """plugins: arguments, and what ``enabled: false`` turns off."""
    raw = section(spec, "plugins", "spec")
    for name in raw:
        path = f"spec.plugins.{name}"
        with notes.each(path):
            if name not in PLUGINS:
                raise NotServed("unknown plugin")
            plugin = section(raw, name, "spec.plugins")
            notes.known(plugin, {"enabled", "priority", "arguments"}, path)
            if not flag(plugin, "enabled", path, default=True):
                with notes.each(f"{path}.enabled"):
                    policy = _without_plugin(name, policy)
                continue
            for argument, value in section(plugin, "arguments", path).items():
                with notes.each(f"{path}.arguments.{argument}"):
                    policy = _with_argument(name, argument, value, policy)
    return policy


def apply_actions(spec: Raw, policy: Policy, notes: ShardNotes) -> Policy:
    """actions: which stages run. Their order is fixed: least disruptive first."""
    raw = section(spec, "actions", "spec")
    notes.known(raw, _STAGE_OF_ACTION, "spec.actions")
    spreads = Strategy.SPREAD in {policy.gpu_strategy, policy.cpu_strategy}
    enabled, order = [], []
    for action, stage in _STAGE_OF_ACTION.items():
        path = f"spec.actions.{action}"
        # Packing what was spread on purpose would undo it.
        is_enabled = not (spreads and stage is StageName.CONSOLIDATE)
        priority = _PRIORITY_OF_ACTION[action]
        with notes.each(path):
            one = section(raw, action, "spec.actions")
            notes.known(one, {"enabled", "priority"}, path)
            is_enabled = flag(one, "enabled", path, default=is_enabled)
            said = integer(one, "priority", path)
            priority = priority if said is None else said
        if is_enabled:
            enabled.append(stage)
            order.append(priority)
    with notes.each("spec.actions"):
        if order != sorted(order, reverse=True):
            raise NotServed("another order of actions is not supported (least disruptive first)")
    return replace(policy, stages=tuple(stage for stage in policy.stages if stage in enabled))


def apply_kai_sched(spec: Raw, policy: Policy, notes: ShardNotes) -> Policy:
    """kaiSched: our own knobs."""
    raw, path = section(spec, "kaiSched", "spec"), "spec.kaiSched"
    for key in notes.known(raw, {"deviceChoice", "bugCompatible", "useSolver", "solver"}, path):
        with notes.each(f"{path}.{key}"):
            policy = _with_own(key, raw, path, policy, notes)
    return policy


def _with_own(key: str, raw: Raw, path: str, policy: Policy, notes: ShardNotes) -> Policy:
    match key:
        case "deviceChoice":
            choice = text(raw, key, path) or policy.device_choice
            if choice not in set(DeviceChoice):
                raise FieldError(at(path, key), f"must be one of {', '.join(DeviceChoice)}, is {choice!r}")
            return replace(policy, device_choice=DeviceChoice(choice))
        case "bugCompatible":
            return replace(policy, bug_compatible=flag(raw, key, path, default=policy.bug_compatible))
        case "useSolver":
            return replace(policy, use_solver=flag(raw, key, path, default=policy.use_solver))
        case _:
            return replace(policy, solver=_solver(section(raw, key, path), policy.solver, notes))


def _solver(raw: Raw, budget: SolverBudget, notes: ShardNotes) -> SolverBudget:
    path = "spec.kaiSched.solver"
    field_of = {to_camel(field.name): field.name for field in fields(SolverBudget)}
    values: Changes = {}
    for key in notes.known(raw, field_of, path):
        name = field_of[key]
        with notes.each(at(path, key)):
            is_whole = isinstance(getattr(budget, name), int)
            value = integer(raw, key, path, INT64) if is_whole else number(raw, key, path)
            if value is not None and value < 0:
                raise FieldError(at(path, key), f"must be at least 0, is {value}")
            if value is not None:
                values[name] = value
    return replace(budget, **values)


def _without_plugin(name: str, policy: Policy) -> Policy:
    if name == "minruntime":
        return replace(
            policy, preempt_min_runtime_seconds=0.0, reclaim_min_runtime_seconds=0.0, min_runtime=False
        )
    if name in _FREE_TO_DISABLE:
        return policy
    raise NotServed(f"plugin {name} cannot be turned off")


def _with_argument(plugin: str, argument: str, value: object, policy: Policy) -> Policy:
    path = f"spec.plugins.{plugin}.arguments.{argument}"
    field = _ARGUMENTS.get(plugin, {}).get(argument)
    if field is None:
        raise NotServed("unknown argument")
    if not isinstance(value, str):
        raise FieldError(path, "must be a string")
    changes: Changes = {field: _argument_value(field, value, path)}
    return replace(policy, **changes)


def _argument_value(field: str, value: str, path: str) -> Strategy | float:
    if field.endswith("_strategy"):
        return _strategy(value, path)
    if field.endswith("_seconds"):
        return _seconds(value, path)
    try:
        amount = float(value)
    except ValueError:
        amount = nan
    if not abs(amount) <= INT32:
        raise FieldError(path, f"must be a number between -{INT32} and {INT32}, is {value!r}")
    return max(1.0, amount) if field == "saturation_multiplier" else amount


def _strategy(value: str, path: str) -> Strategy:
    try:
        return Strategy(value)
    except ValueError:
        raise FieldError(path, f"must be binpack or spread, is {value!r}") from None


def _seconds(value: str, path: str) -> float:
    try:
        return parse_duration(value)
    except ValueError as error:
        raise FieldError(path, str(error)) from error

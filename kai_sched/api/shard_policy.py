"""SchedulingShard (kai.scheduler/v1) → Policy: KAI's names and defaults, and ours beside them.

What is not known, or known and not supported, is an error that names the key: an admin must never believe that a knob
works which does not. Knobs of KAI that only tune how its processes run are accepted and listed by ``ineffective_keys``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from kai_sched.api import kinds
from kai_sched.api.kinds import Raw
from kai_sched.api.objects import ObjectSet
from kai_sched.api.settings import Settings
from kai_sched.api.shard_args import ARGS, INEFFECTIVE_ARGS
from kai_sched.api.shard_fields import (
    apply_actions,
    apply_kai_sched,
    apply_min_runtime,
    apply_plugins,
    apply_queue_depth,
    apply_strategy,
)
from kai_sched.api.translate.fields import FieldError, key_text, number, section, text
from kai_sched.errors import InvalidInput
from kai_sched.model.policy import ConfidentialRules, GpuClassRule, Policy, StageName

_INEFFECTIVE: Final = frozenset({"scenarioSearchBudgets", "goMemLimitRatio", "goMemLimit"})
_UNSUPPORTED: Final = {"usageDBConfig": "time-based fair share is not supported yet"}
_KNOWN: Final = frozenset(
    {
        "args",
        "placementStrategy",
        "partitionLabelValue",
        "queueDepthPerAction",
        "minRuntime",
        "kValue",
        "plugins",
        "actions",
        "kaiSched",
    }
)


def policy_of(objects: ObjectSet, settings: Settings, shard: str | None = None) -> Policy:
    """The policy of a named shard, else of the only one, else of the one named like the settings' shard, else defaults.

    Raises:
        InvalidInput: the shard does not exist or a key of it is unknown or wrong.
    """
    raw = _chosen(objects, settings, shard)
    return base_policy(settings) if raw is None else policy_of_shard(raw, settings)


def base_policy(settings: Settings) -> Policy:
    """KAI's defaults with what the process settings say. ``sharing_enabled`` is the operator's to switch off."""
    return Policy(
        shard=settings.shard,
        stages=tuple(StageName),
        partition_label=settings.node_pool_label,
        default_queue=settings.default_queue,
        scheduler_name=settings.scheduler_name,
        gpu_classes=tuple(
            GpuClassRule(rule.device_class, rule.selector, rule.weight) for rule in settings.gpu_classes
        ),
        gpu_resources=settings.gpu_resources,
        partition_resources=settings.partition_resources,
        gpu_count_label=settings.gpu_count_label,
        gpu_memory_label=settings.gpu_memory_label,
        confidential=ConfidentialRules(
            **settings.confidential.model_dump(exclude={"tee_labels"}),
            tee_labels=tuple(settings.confidential.tee_labels.items()),
        ),
        island_attributes=settings.island_attributes,
        clique_label=settings.clique_label,
        fabric_drivers=settings.fabric_drivers,
        fabric_node_label=settings.fabric_node_label,
    )


def policy_of_shard(raw: Raw, settings: Settings) -> Policy:
    """The policy of one SchedulingShard.

    Raises:
        InvalidInput: names the shard, the key and the reason.
    """
    try:
        return _policy(raw, base_policy(settings))
    except FieldError as error:
        raise InvalidInput(error.reason, obj=f"SchedulingShard {key_text(raw)}", field=error.field) from error


def ineffective_keys(raw: Raw) -> tuple[str, ...]:
    """Keys that are accepted and change nothing here, to be said once."""
    spec = section(raw, "spec")
    args = section(spec, "args", "spec")
    found = [f"spec.{key}" for key in sorted(_INEFFECTIVE & spec.keys())]
    return (*found, *(f"spec.args.{key}" for key in sorted(INEFFECTIVE_ARGS & args.keys())))


def _chosen(objects: ObjectSet, settings: Settings, shard: str | None) -> Raw | None:
    shards = objects.of(kinds.SHARD)
    if shard is None and len(shards) == 1:
        return shards[0]
    wanted = settings.shard if shard is None else shard
    found = objects.find(kinds.SHARD, wanted)
    if found is None and (shards or shard is not None):
        names = ", ".join(sorted(key_text(raw) for raw in shards)) or "none"
        raise InvalidInput(f"no such SchedulingShard (there are: {names})", obj=f"SchedulingShard {wanted}")
    return found


def _policy(raw: Raw, base: Policy) -> Policy:
    spec = section(raw, "spec")
    _refuse_unknown(spec)
    policy = replace(
        base,
        shard=key_text(raw),
        partition_value=text(spec, "partitionLabelValue", "spec"),
        k_value=_k_value(spec, base),
    )
    policy = apply_strategy(spec, policy)
    policy = apply_min_runtime(spec, policy)
    policy = apply_queue_depth(spec, policy)
    policy = apply_plugins(spec, policy)
    policy = apply_kai_sched(spec, policy)
    # KAI merges the arguments last: they win over the fields.
    policy = _apply_args(section(spec, "args", "spec"), policy)
    return apply_actions(spec, policy)


def _refuse_unknown(spec: Raw) -> None:
    for key in spec:
        if key in _UNSUPPORTED and spec[key] is not None:
            raise FieldError(f"spec.{key}", _UNSUPPORTED[key])
        if key not in _KNOWN | _INEFFECTIVE | _UNSUPPORTED.keys():
            raise FieldError(f"spec.{key}", "unknown key")


def _k_value(spec: Raw, base: Policy) -> float:
    value = number(spec, "kValue", "spec")
    if value is not None and value < 0:
        raise FieldError("spec.kValue", f"must be at least 0, is {value:g}")
    return base.k_value if value is None else value


def _apply_args(args: Mapping[str, Any], policy: Policy) -> Policy:
    for key in sorted(args):
        path = f"spec.args.{key}"
        if key in INEFFECTIVE_ARGS:
            continue
        if key not in ARGS:
            raise FieldError(path, "unknown key")
        value = _argument(args[key], path)
        try:
            policy = replace(policy, **ARGS[key](value))
        except ValueError as error:
            raise FieldError(path, str(error)) from error
    return policy


def _argument(value: object, path: str) -> str:
    """The API server admits strings only; a file written by hand may leave the quotes out."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise FieldError(path, "must be a string")
    return str(value)

"""SchedulingShard (kai.scheduler/v1) → Policy: KAI's names and defaults, and ours beside them.

What is not known, or known and not served, is left out and named: an admin must never believe that a knob works which
does not, and the rest of the shard holds all the same. Knobs of KAI that only tune how its processes run are accepted
and listed as without effect.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

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
from kai_sched.api.shard_notes import Note, NotServed, ShardNotes
from kai_sched.api.translate.fields import FieldError, key_text, number, section, text
from kai_sched.errors import InvalidInput
from kai_sched.model.policy import ConfidentialRules, GpuClassRule, Policy, StageName

_INEFFECTIVE: Final = frozenset({"scenarioSearchBudgets", "goMemLimitRatio", "goMemLimit"})
_UNSUPPORTED: Final = {"usageDBConfig": "time-based fair share is not supported yet"}
_SAY_WHICH_NODES: Final = frozenset(
    {"spec.args", "spec.args.partition-label-value", "spec.args.nodepool-label-key"}
)
"""Without these nobody can say which nodes the shard is for."""
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


@dataclass(frozen=True, slots=True)
class ShardReading:
    """The policy of a shard as far as it can be served, and what of it does not hold."""

    policy: Policy
    not_served: tuple[Note, ...] = ()
    """Keys that we do not know or cannot do."""
    wrong: tuple[Note, ...] = ()
    """Keys with a value that they cannot have."""
    without_effect: tuple[str, ...] = ()
    """Keys that are accepted and change nothing here."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is left out, for a person."""
        left_out = tuple(str(note) for note in self.not_served)
        without = f"without effect here: {', '.join(self.without_effect)}" if self.without_effect else ""
        return (*left_out, without) if without else left_out


def reading_of(objects: ObjectSet, settings: Settings, shard: str | None = None) -> ShardReading:
    """Of a named shard, else of the only one, else of the one named like the settings' shard, else the defaults.

    Raises:
        InvalidInput: the shard does not exist, or a value in it is wrong.
    """
    raw = _chosen(objects, settings, shard)
    if raw is None:
        return ShardReading(base_policy(settings))
    reading = read_shard(raw, settings)
    for note in reading.wrong:
        raise InvalidInput(note.reason, obj=f"SchedulingShard {key_text(raw)}", field=note.field)
    return reading


def policy_of(objects: ObjectSet, settings: Settings, shard: str | None = None) -> Policy:
    """The policy of ``reading_of``.

    Raises:
        InvalidInput: the shard does not exist, or a value in it is wrong.
    """
    return reading_of(objects, settings, shard).policy


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
        partition_strategy_label=settings.partition_strategy_label,
        partitions_as_gpus=settings.partitions_as_gpus,
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


def read_shard(raw: Raw, settings: Settings) -> ShardReading:
    """One SchedulingShard: what of it can be served, and what cannot.

    Raises:
        InvalidInput: nothing of it holds, because nobody can say which nodes it is for.
    """
    notes = ShardNotes()
    try:
        spec = section(raw, "spec")
        policy = replace(
            base_policy(settings),
            shard=key_text(raw),
            partition_value=text(spec, "partitionLabelValue", "spec"),
        )
    except FieldError as error:
        raise InvalidInput(error.reason, obj=f"SchedulingShard {key_text(raw)}", field=error.field) from error
    policy = _applied(spec, policy, notes)
    for note in notes.wrong:
        if note.field in _SAY_WHICH_NODES:
            raise InvalidInput(note.reason, obj=f"SchedulingShard {key_text(raw)}", field=note.field)
    return ShardReading(
        policy=policy,
        not_served=tuple(notes.not_served),
        wrong=tuple(notes.wrong),
        without_effect=_without_effect(spec),
    )


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


_Apply = Callable[[Raw, Policy, ShardNotes], Policy]


def _applied(spec: Raw, policy: Policy, notes: ShardNotes) -> Policy:
    for key in spec:
        if key in _UNSUPPORTED and spec[key] is not None:
            notes.not_served.append(Note(f"spec.{key}", _UNSUPPORTED[key]))
        elif key not in _KNOWN | _INEFFECTIVE | _UNSUPPORTED.keys():
            notes.not_served.append(Note(f"spec.{key}", "unknown key"))
    # KAI merges the arguments after the fields: they win over them.
    parts: tuple[tuple[str, _Apply], ...] = (
        ("kValue", _apply_k_value),
        ("placementStrategy", apply_strategy),
        ("minRuntime", apply_min_runtime),
        ("queueDepthPerAction", apply_queue_depth),
        ("plugins", apply_plugins),
        ("kaiSched", apply_kai_sched),
        ("args", _apply_args),
        ("actions", apply_actions),
    )
    for key, apply in parts:
        with notes.each(f"spec.{key}"):
            policy = apply(spec, policy, notes)
    return policy


def _without_effect(spec: Raw) -> tuple[str, ...]:
    args = spec.get("args")
    found = [f"spec.{key}" for key in sorted(_INEFFECTIVE & spec.keys())]
    named = INEFFECTIVE_ARGS & args.keys() if isinstance(args, dict) else ()
    return (*found, *(f"spec.args.{key}" for key in sorted(named)))


def _apply_k_value(spec: Raw, policy: Policy, _: ShardNotes) -> Policy:
    value = number(spec, "kValue", "spec")
    if value is not None and value < 0:
        raise FieldError("spec.kValue", f"must be at least 0, is {value:g}")
    return policy if value is None else replace(policy, k_value=value)


def _apply_args(spec: Raw, policy: Policy, notes: ShardNotes) -> Policy:
    args = section(spec, "args", "spec")
    for key in sorted(args):
        path = f"spec.args.{key}"
        if key in INEFFECTIVE_ARGS:
            continue
        with notes.each(path):
            if key not in ARGS:
                raise NotServed("unknown key")
            policy = replace(policy, **ARGS[key](_argument(args[key], path)))
    return policy


def _argument(value: object, path: str) -> str:
    """The API server admits strings only; a file written by hand may leave the quotes out."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise FieldError(path, "must be a string")
    return str(value)

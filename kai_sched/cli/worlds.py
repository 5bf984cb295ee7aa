"""Worlds: what a command that reads snapshot files decides on, from files, options and settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from kai_sched.api.objects import ObjectSet
from kai_sched.api.remarks import remarks_on
from kai_sched.api.settings import Bandwidths, load_settings
from kai_sched.api.shard_policy import reading_of
from kai_sched.api.snapshot import snapshot_of
from kai_sched.api.snapshot_file import read_snapshot, snapshot_time
from kai_sched.api.times import parse_time
from kai_sched.cli.output import warn
from kai_sched.errors import InvalidInput
from kai_sched.grouping import group_objects
from kai_sched.model.policy import Policy, StageName
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.planning.stages import CARRIED_OUT, STAGES
from kai_sched.topology.distance import LinkSpeeds


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldOptions:
    """Command-line options as given."""

    now: str | None = None
    stages: str | None = None
    shard: str | None = None
    config: Path | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """A snapshot, the policy it is decided under, and what links carry."""

    snapshot: ClusterSnapshot
    policy: Policy
    speeds: LinkSpeeds


def load_world(paths: Sequence[Path], options: WorldOptions) -> Scene:
    """Read the files; objects that cannot be read are said on standard error and left out.

    Raises:
        InvalidInput: a file, the shard or an option is wrong.
    """
    objects, source = read_snapshot(paths), ", ".join(str(path) for path in paths)
    for remark in remarks_on(objects):
        warn(f"{source}: {remark}")
    return world_of(objects, options, source)


def world_of(objects: ObjectSet, options: WorldOptions, source: str) -> Scene:
    """The world of objects that were read from ``source``; problems are told as for files.

    Raises:
        InvalidInput: the shard or an option is wrong.
    """
    settings = load_settings(options.config)
    reading = reading_of(objects, settings, shard=options.shard)
    policy = replace(reading.policy, stages=_stages(options.stages, reading.policy))
    snapshot = snapshot_of(
        objects, now=_now(options.now, objects, source), policy=policy, group=group_objects
    )
    for remark in (*objects.remarks, *(f"{source}: {problem}" for problem in snapshot.unreadable)):
        warn(remark)
    for remark in reading.remarks:
        warn(f"{source}: SchedulingShard {policy.shard}: {remark}")
    return Scene(snapshot, policy, link_speeds(settings.bandwidths))


def link_speeds(bandwidths: Bandwidths) -> LinkSpeeds:
    """The speeds that the settings say."""
    return LinkSpeeds(
        nvlink_gbps=bandwidths.nvlink,
        pcie_gbps=bandwidths.pcie,
        numa_gbps=bandwidths.numa,
        node_gbps=bandwidths.node,
        network_gbps=bandwidths.network,
        by_level=bandwidths.levels,
    )


def _now(option: str | None, objects: ObjectSet, source: str) -> float:
    if option is not None:
        try:
            return parse_time(option)
        except (ValueError, TypeError) as error:
            raise InvalidInput(str(error), field="--now") from error
    found = snapshot_time(objects, source)
    return found if found is not None else datetime.now(UTC).timestamp()


def _stages(option: str | None, policy: Policy) -> tuple[StageName, ...]:
    if option is None:
        # As the operator does, which cannot carry out all that can be planned.
        return tuple(stage for stage in policy.stages if stage in CARRIED_OUT)
    known = {stage.value: stage for stage in StageName}
    asked: set[StageName] = set()
    for name in option.split(","):
        stage = known.get(name.strip())
        if stage is None:
            raise InvalidInput(f"no stage {name.strip()!r} (there are: {', '.join(known)})", field="--stages")
        if stage not in STAGES:
            raise InvalidInput(f"stage {stage.value} is not built yet", field="--stages")
        asked.add(stage)
    return tuple(stage for stage in StageName if stage in asked)

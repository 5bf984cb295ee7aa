"""Topology, kai.scheduler/v1alpha1: the layers of a cluster's network. Source: KAI Scheduler's API."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from kai_sched.api.schema import CustomResource
from kai_sched.api.translate.topologies import HOSTNAME, MAX_LEVELS
from kai_sched.api.wire import Condition, Rule, WireModel, rules

LABEL_KEY = (
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    r"([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$"
)
LabelKey = Annotated[str, Field(min_length=1, max_length=316, pattern=LABEL_KEY)]
_LEVEL_RULES = (
    Rule(
        "self.map(level, level.nodeLabel) == oldSelf.map(level, level.nodeLabel)",
        "levels are immutable: only aliases may change",
    ),
    Rule(
        "self.all(level, self.exists_one(other, other.nodeLabel == level.nodeLabel))",
        "nodeLabel must be unique",
    ),
    Rule(
        f"!self.exists(level, level.nodeLabel == '{HOSTNAME}') || self[size(self) - 1].nodeLabel == '{HOSTNAME}'",
        f"nodeLabel {HOSTNAME} must be the last level",
    ),
    Rule(
        "self.all(level, !has(level.alias) || self.exists_one(other, has(other.alias) && other.alias == level.alias))",
        "alias must be unique",
    ),
    Rule(
        "self.all(level, !has(level.alias) || !self.exists(other, other.nodeLabel == level.alias))",
        "alias must not be a nodeLabel",
    ),
)


class Level(WireModel):
    """One layer."""

    node_label: LabelKey = Field(description="Label of nodes; nodes of one value are one domain.")
    alias: LabelKey | None = Field(default=None, description="Another name of the level, for users.")


class TopologySpec(WireModel):
    """The layers."""

    levels: list[Level] = Field(
        min_length=1,
        max_length=MAX_LEVELS,
        json_schema_extra={"x-kubernetes-list-type": "atomic", **rules(*_LEVEL_RULES)},
        description="Coarse to fine. A node is part of the topology only if it has every label.",
    )


class TopologyStatus(WireModel):
    """Whether it can be used."""

    conditions: list[Condition] | None = Field(default=None, description="Invalid and the like.")


class Topology(WireModel):
    """The layers of a cluster's network, such as zone, rack, host."""

    model_config = ConfigDict(title="Topology")

    spec: TopologySpec = Field(description="The layers.")
    status: TopologyStatus | None = Field(default=None, description="Whether it can be used.")


TOPOLOGY = CustomResource(
    model=Topology,
    group="kai.scheduler",
    version="v1alpha1",
    plural="topologies",
    is_namespaced=False,
)

"""Settings of the process: one versioned file, overridden by the environment, overridden by flags.

``kind: Configuration``, ``apiVersion: kai-sched.dev/v1alpha1``. An unknown key is an error, whichever way it came.
What the scheduler *decides* by comes from the SchedulingShard, not from here (see ``shard_policy``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

from kai_sched.api.files import read_file
from kai_sched.api.keys import DEFAULT_QUEUE, NODE_POOL, SCHEDULER_NAME
from kai_sched.errors import InvalidInput
from kai_sched.model.policy import Policy

API_VERSION: Final = "kai-sched.dev/v1alpha1"
KIND: Final = "Configuration"
ENVIRONMENT_PREFIX: Final = "KAI_SCHED_"
CONFIG_VARIABLE: Final = "KAI_SCHED_CONFIG"
RESERVED_VARIABLES: Final = frozenset({CONFIG_VARIABLE, "KAI_SCHED_CACHE", "KAI_SCHED_SHARED"})
"""Variables with the prefix that are no settings: the file itself and folders of the development tools."""
_SERVICE_VARIABLE: Final = re.compile(r"_SERVICE_(HOST|PORT\w*)$|_PORT(_\d+_(TCP|UDP|SCTP)\w*)?$")
"""What the kubelet puts into every container for a Service whose name starts like ours."""

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Gigabytes = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A part of the file: camelCase on the wire, frozen, closed."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, validate_default=True
    )


class GpuClass(Section):
    """What counts as GPU in quotas."""

    device_class: str = Field(default="", description='Name of a DeviceClass; "" matches any.')
    selector: str = Field(
        default="", description="CEL expression over the device; empty matches all of the class."
    )
    weight: float = Field(default=1.0, ge=0, description="GPUs that one such device counts as.")


class Ports(Section):
    """Where the operator listens; 0 turns one off."""

    metrics: Port = Field(default=8080, description="Prometheus metrics.")
    health: Port = Field(default=8081, description="/healthz and /readyz.")
    host: str = Field(default="0.0.0.0", description="Address to listen on.")  # noqa: S104 (probes come from outside)


class Lease(Section):
    """Leader election."""

    enabled: bool = Field(
        default=True, description="Hold a Lease while running, so that one operator decides."
    )
    name: str = Field(
        default="", description="Name of the Lease; empty: the scheduler's and the shard's name."
    )
    namespace: str = Field(default="", description="Its namespace; empty: the one the operator runs in.")
    duration_seconds: Seconds = Field(default=15.0, description="How long a Lease outlives its last renewal.")
    renew_seconds: Seconds = Field(default=3.0, description="Time between renewals.")

    @model_validator(mode="after")
    def _renews_in_time(self) -> Self:
        if self.renew_seconds * 2 > self.duration_seconds:
            raise ValueError("renewSeconds must be at most half of durationSeconds")
        return self


class Log(Section):
    """How the operator logs."""

    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto: console on a terminal, JSON elsewhere."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severity logged."
    )


class Cycle(Section):
    """How often the operator decides and how long it may think."""

    min_interval_seconds: Seconds = Field(
        default=0.1, description="Least time between the starts of two cycles."
    )
    max_interval_seconds: Seconds = Field(default=10.0, description="A cycle starts at least this often.")
    deadline_seconds: Seconds = Field(
        default=5.0, description="Wall time of one decision; then the best plan so far is taken."
    )
    self_check_seconds: Seconds = Field(
        default=60.0, description="How often the whole cluster is judged by the invariants."
    )


class Client(Section):
    """Calls on the API server."""

    requests_per_second: float | None = Field(
        default=None, gt=0, description="None: as much as the server admits."
    )
    burst: int = Field(default=100, ge=1, description="Calls at once above the rate.")
    pool_size: int = Field(default=128, ge=1, description="Most connections, and so calls at once.")
    timeout_seconds: Seconds = Field(
        default=25.0, description="Time limit of one call; a list may take longer as long as it goes on."
    )


class Bandwidths(Section):
    """Gigabytes per second of one device in one direction, by the narrowest link between two."""

    nvlink: Gigabytes = Field(default=450.0, description="Inside one NVLink domain.")
    pcie: Gigabytes = Field(default=55.0, description="Inside one PCIe root.")
    numa: Gigabytes = Field(default=40.0, description="Between PCIe roots of a NUMA node.")
    node: Gigabytes = Field(default=30.0, description="Between NUMA nodes of a node.")
    network: Gigabytes = Field(default=50.0, description="Between nodes, where no level says otherwise.")
    levels: dict[str, Gigabytes] = Field(
        default_factory=dict,
        description="By node label of a topology level: between nodes of one such domain.",
    )


_POLICY: Final = Policy()
_CONFIDENTIAL: Final = _POLICY.confidential


class Confidential(Section):
    """Confidential GPUs: how nodes and pods that have to do with them are known."""

    tee_labels: dict[str, str] = Field(
        default=dict(_CONFIDENTIAL.tee_labels),
        description='By ending of a runtime class: the node label that is "true" where its trusted environment exists.',
    )
    mode_label: str = Field(
        default=_CONFIDENTIAL.mode_label,
        description="Node label with the mode that its GPUs shall be in. Empty: modes do not change.",
    )
    mode_state_label: str = Field(
        default=_CONFIDENTIAL.mode_state_label,
        min_length=1,
        description="Node label with the mode that they are in.",
    )
    ready_label: str = Field(
        default=_CONFIDENTIAL.ready_label,
        description='Node label that is "true" where confidential pods may start. Empty: everywhere.',
    )
    modes: tuple[str, ...] = Field(
        default=_CONFIDENTIAL.modes,
        description="Modes in which GPUs serve confidential pods and no driver on the host.",
    )
    whole_node_modes: tuple[str, ...] = Field(
        default=_CONFIDENTIAL.whole_node_modes,
        description="Modes in which all GPUs and switches of a node go to one pod.",
    )
    resource_prefix: str = Field(
        default=_CONFIDENTIAL.resource_prefix,
        min_length=1,
        description="Extended resources with this prefix are GPUs and switches of a node.",
    )
    drivers: tuple[str, ...] = Field(
        default=_CONFIDENTIAL.drivers, description="DRA drivers whose devices are such GPUs."
    )
    passthrough_attribute: str = Field(
        default=_CONFIDENTIAL.passthrough_attribute,
        min_length=1,
        description="Device attribute that tells devices handed to virtual machines from others.",
    )
    passthrough_values: tuple[str, ...] = Field(
        default=_CONFIDENTIAL.passthrough_values, description="Its values for devices that are handed on."
    )


class Settings(Section):
    """The settings of the process."""

    api_version: Literal["kai-sched.dev/v1alpha1"] = API_VERSION
    kind: Literal["Configuration"] = KIND
    scheduler_name: str = Field(
        default=SCHEDULER_NAME, min_length=1, description="Pods with this schedulerName are scheduled."
    )
    shard: str = Field(default="default", min_length=1, description="SchedulingShard whose policy applies.")
    default_queue: str = Field(
        default=DEFAULT_QUEUE, min_length=1, description="Queue of workloads that name none."
    )
    node_pool_label: str = Field(
        default=NODE_POOL,
        min_length=1,
        description="Label by which nodes, queues and workloads belong to a shard.",
    )
    gpu_classes: tuple[GpuClass, ...] = Field(
        default=(),
        description='What counts as GPU in quotas. Empty: device classes with "gpu" in their name.',
    )
    gpu_resources: tuple[str, ...] = Field(
        default=_POLICY.gpu_resources, description="Extended resources that count as whole GPUs."
    )
    partition_resources: str = Field(
        default=_POLICY.partition_resources,
        description="Regular expression of extended resources that are partitions of a GPU; its only group is how many"
        " GPUs one counts as.",
    )
    partition_strategy_label: str = Field(
        default=_POLICY.partition_strategy_label, description="Node label: how GPUs are partitioned."
    )
    partitions_as_gpus: tuple[str, ...] = Field(
        default=_POLICY.partitions_as_gpus, description="Its values where plugin GPUs are partitions."
    )
    gpu_count_label: str = Field(
        default=_POLICY.gpu_count_label,
        description="Node label with its number of GPUs, where a device plugin and slices both offer them.",
    )
    gpu_memory_label: str = Field(
        default=_POLICY.gpu_memory_label, description="Node label with the MiB of one of its GPUs."
    )
    confidential: Confidential = Field(default_factory=Confidential, description="Confidential GPUs.")
    island_attributes: tuple[str, ...] = Field(
        default=_POLICY.island_attributes,
        description="Device attributes that tell which devices are close, the closest kind first.",
    )
    clique_label: str = Field(
        default=_POLICY.clique_label, description="Node label that names the NVLink domain of a node."
    )
    fabric_drivers: tuple[str, ...] = Field(
        default=_POLICY.fabric_drivers,
        description="DRA drivers whose claims join pods to one multi-node fabric, kept inside one NVLink domain.",
    )
    fabric_node_label: str = Field(
        default=_POLICY.fabric_node_label,
        description="Node label by which such a driver marks the nodes of one fabric; others keep off them.",
    )
    bandwidths: Bandwidths = Field(default_factory=Bandwidths, description="Links of the topology graph.")
    sharing_enabled: bool = Field(
        default=False, description="Whether fractions of GPUs can be realised here (webhook installed)."
    )
    binding_timeout_seconds: Seconds = Field(
        default=600.0,
        description="How long a gang waits for drivers to prepare its devices (binding conditions), counted from their"
        " allocation, until they are given back and it is decided anew.",
    )
    events: bool = Field(default=True, description="Write Events.")
    ports: Ports = Field(default_factory=Ports, description="Where the operator listens.")
    lease: Lease = Field(default_factory=Lease, description="Leader election.")
    log: Log = Field(default_factory=Log, description="Logs.")
    cycle: Cycle = Field(default_factory=Cycle, description="Cycles.")
    client: Client = Field(default_factory=Client, description="Calls on the API server.")

    @field_validator("partition_resources")
    @classmethod
    def _has_one_group(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        if groups != 1:
            raise ValueError(f"must have one group, has {groups}")
        return pattern


def load_settings(
    path: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Settings:
    """Flags over environment over file over defaults.

    ``flags``: dotted path (``lease.enabled``) → value; None means not given. The environment names the same paths as
    ``KAI_SCHED_LEASE_ENABLED``; its values are read as YAML. Without ``path``, ``KAI_SCHED_CONFIG`` names the file.

    Raises:
        InvalidInput: the file cannot be read, or a key is unknown or has a wrong value: names source and key.
    """
    variables = os.environ if environment is None else environment
    file = path or (Path(variables[CONFIG_VARIABLE]) if variables.get(CONFIG_VARIABLE) else None)
    document: dict[str, Any] = _read(file) if file is not None else {}
    source_of: dict[tuple[str, ...], str] = {(): str(file) if file else "defaults"}
    for name, value in sorted(variables.items()):
        if _is_setting(name):
            place = _place_of_variable(name)
            source_of[place] = name
            _put(document, place, _parsed(value, name), name)
    for dotted, given in (flags or {}).items():
        if given is not None:
            place = tuple(to_camel(part) for part in dotted.split("."))
            source_of[place] = f"flag {dotted}"
            _put(document, place, given, f"flag {dotted}")
    return _validated(document, source_of)


def settings_document(settings: Settings) -> dict[str, Any]:
    """The whole file that says the same: what ``--print-config`` prints."""
    return settings.model_dump(mode="json", by_alias=True)


def settings_schema() -> dict[str, Any]:
    """JSON schema of the file, for editors."""
    schema = Settings.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": f"{KIND} of kai-sched",
        "required": ["apiVersion", "kind"],
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(read_file(path))
    except yaml.YAMLError as error:
        raise InvalidInput(f"is not YAML: {' '.join(str(error).split())}", source=str(path)) from error
    if not isinstance(document, dict):
        raise InvalidInput(f"must be a {KIND} object", source=str(path))
    for key, wanted in (("apiVersion", API_VERSION), ("kind", KIND)):
        if document.get(key) != wanted:
            raise InvalidInput(f"must be {wanted}, is {document.get(key)!r}", source=str(path), field=key)
    return document


def _is_setting(variable: str) -> bool:
    return (
        variable.startswith(ENVIRONMENT_PREFIX)
        and variable not in RESERVED_VARIABLES
        and not _SERVICE_VARIABLE.search(variable)
    )


def _place_of_variable(name: str) -> tuple[str, ...]:
    """The path of a variable: the longest field name first, because names have underscores too.

    Raises:
        InvalidInput: no setting has this name.
    """
    rest = name.removeprefix(ENVIRONMENT_PREFIX).lower()
    model: type[Section] = Settings
    place: tuple[str, ...] = ()
    while True:
        if rest in model.model_fields:
            return (*place, to_camel(rest))
        section = next(
            (
                (field, info.annotation)
                for field, info in model.model_fields.items()
                if rest.startswith(f"{field}_")
                and isinstance(info.annotation, type)
                and issubclass(info.annotation, Section)
            ),
            None,
        )
        if section is None:
            raise InvalidInput("no such setting", source="environment", field=name)
        field, model = section
        place, rest = (*place, to_camel(field)), rest.removeprefix(f"{field}_")


def _parsed(value: str, name: str) -> object:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise InvalidInput("is not a YAML value", source="environment", field=name) from error


def _put(document: dict[str, Any], place: tuple[str, ...], value: object, source: str) -> None:
    *parents, last = place
    for parent in parents:
        below = document.setdefault(parent, {})
        if not isinstance(below, dict):
            raise InvalidInput(f"{parent} is not an object in the file", source=source)
        document = below
    document[last] = value


def _validated(document: dict[str, Any], source_of: Mapping[tuple[str, ...], str]) -> Settings:
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = tuple(str(part) for part in first["loc"])
        known = [place[:length] for length in range(len(place), -1, -1) if place[:length] in source_of]
        reason = "unknown key" if first["type"] == "extra_forbidden" else first["msg"]
        raise InvalidInput(reason, source=source_of[known[0]], field=_dotted(place)) from error


def _dotted(place: tuple[str, ...]) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if part.isdigit() else f".{part}" if text else part
    return text

"""Settings of the process: where they come from, who wins, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kai_sched.api.settings import Settings, load_settings, settings_document, settings_schema
from kai_sched.errors import InvalidInput

HEAD = {"apiVersion": "kai-sched.dev/v1alpha1", "kind": "Configuration"}


def a_file(folder: Path, **settings: Any) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({**HEAD, **settings}))
    return path


def refusal(path: Path | None = None, **sources: Any) -> str:
    """What is said about settings that are refused."""
    with pytest.raises(InvalidInput) as caught:
        load_settings(path, **{"environment": {}, **sources})
    return str(caught.value)


def test_nothing_given_means_the_defaults() -> None:
    settings = load_settings(environment={})

    assert settings == Settings()
    assert settings.scheduler_name == "kai-scheduler"
    assert settings.default_queue == "default-queue"
    assert settings.lease.enabled


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    path = a_file(
        tmp_path,
        schedulerName="of-file",
        shard="of-file",
        defaultQueue="of-file",
        lease={"name": "of-file", "namespace": "of-file"},
    )
    environment = {
        "KAI_SCHED_SHARD": "of-environment",
        "KAI_SCHED_DEFAULT_QUEUE": "of-environment",
        "KAI_SCHED_LEASE_NAME": "of-environment",
    }

    settings = load_settings(path, environment, {"default_queue": "of-flag", "shard": None})

    assert settings.scheduler_name == "of-file"
    assert settings.shard == "of-environment"
    assert settings.default_queue == "of-flag"
    assert (settings.lease.name, settings.lease.namespace) == ("of-environment", "of-file")


def test_the_file_may_be_named_by_the_environment_and_the_argument_wins(tmp_path: Path) -> None:
    named = a_file(tmp_path, shard="named")
    (tmp_path / "other").mkdir()
    other = a_file(tmp_path / "other", shard="other")

    assert load_settings(environment={"KAI_SCHED_CONFIG": str(named)}).shard == "named"
    assert load_settings(other, {"KAI_SCHED_CONFIG": str(named)}).shard == "other"


@pytest.mark.parametrize(
    ("variable", "value", "place", "meant"),
    [
        ("KAI_SCHED_LEASE_ENABLED", "false", "lease.enabled", False),
        ("KAI_SCHED_LEASE_DURATION_SECONDS", "30", "lease.duration_seconds", 30.0),
        ("KAI_SCHED_CLIENT_REQUESTS_PER_SECOND", "50", "client.requests_per_second", 50.0),
        ("KAI_SCHED_CLIENT_REQUESTS_PER_SECOND", "null", "client.requests_per_second", None),
        ("KAI_SCHED_CYCLE_MIN_INTERVAL_SECONDS", "0.5", "cycle.min_interval_seconds", 0.5),
        ("KAI_SCHED_GPU_RESOURCES", "[example.com/gpu]", "gpu_resources", ("example.com/gpu",)),
        ("KAI_SCHED_BANDWIDTHS_LEVELS", "{rack: 25}", "bandwidths.levels", {"rack": 25.0}),
        ("KAI_SCHED_PORTS_METRICS", "0", "ports.metrics", 0),
    ],
)
def test_a_variable_names_the_path_and_its_value_is_yaml(
    variable: str, value: str, place: str, meant: object
) -> None:
    found: object = load_settings(environment={variable: value})
    for part in place.split("."):
        found = getattr(found, part)

    assert found == meant


@pytest.mark.parametrize(
    "variable",
    [
        "KAI_SCHED_CONFIG",
        "KAI_SCHED_SHARED",
        "KAI_SCHED_SERVICE_HOST",
        "KAI_SCHED_SERVICE_PORT_HTTP",
        "KAI_SCHED_PORT",
        "KAI_SCHED_PORT_8080_TCP_ADDR",
        "HOME",
    ],
)
def test_variables_that_are_no_settings_are_left_alone(variable: str) -> None:
    value = "" if variable == "KAI_SCHED_CONFIG" else "tcp://10.0.0.1:8080"

    assert load_settings(environment={variable: value}) == Settings()


def test_an_unknown_key_is_named_with_its_source_whichever_way_it_came(tmp_path: Path) -> None:
    assert "config.yaml" in refusal(a_file(tmp_path, schedulerNam="x"))
    assert "schedulerNam: unknown key" in refusal(a_file(tmp_path, schedulerNam="x"))
    assert "lease.durationSecond: unknown key" in refusal(a_file(tmp_path, lease={"durationSecond": 3}))
    assert "KAI_SCHED_SCHEDULER_NAM" in refusal(environment={"KAI_SCHED_SCHEDULER_NAM": "x"})
    assert "KAI_SCHED_LEASE_NAM" in refusal(environment={"KAI_SCHED_LEASE_NAM": "x"})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ports": {"metrics": 70000}}, "ports.metrics"),
        ({"ports": {"metrics": "many"}}, "ports.metrics"),
        ({"schedulerName": ""}, "schedulerName"),
        ({"log": {"format": "xml"}}, "log.format"),
        ({"gpuClasses": [{"weight": 1}, {"weight": -1}]}, "gpuClasses[1].weight"),
        ({"lease": {"durationSeconds": 5, "renewSeconds": 3}}, "renewSeconds must be at most half"),
        ({"client": {"requestsPerSecond": 0}}, "client.requestsPerSecond"),
        ({"cycle": "fast"}, "cycle"),
    ],
)
def test_a_wrong_value_is_named_with_its_file_and_path(
    settings: dict[str, Any], said: str, tmp_path: Path
) -> None:
    message = refusal(a_file(tmp_path, **settings))

    assert "config.yaml" in message
    assert said in message
    assert "\n" not in message


def test_a_wrong_value_names_the_variable_or_the_flag_it_came_from() -> None:
    assert "KAI_SCHED_PORTS_METRICS" in refusal(environment={"KAI_SCHED_PORTS_METRICS": "-1"})
    assert "flag ports.metrics" in refusal(flags={"ports.metrics": -1})
    assert "is not a YAML value" in refusal(environment={"KAI_SCHED_GPU_RESOURCES": "["})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "is not YAML"),
        ("- a", "must be a Configuration object"),
        ("kind: Configuration", "apiVersion"),
        ("apiVersion: kai-sched.dev/v1\nkind: Configuration", "kai-sched.dev/v1alpha1"),
        ("apiVersion: kai-sched.dev/v1alpha1\nkind: Config", "kind"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)

    assert said in refusal(path)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    assert "none.yaml" in refusal(tmp_path / "none.yaml")


def test_a_section_of_the_file_that_is_no_object_cannot_be_overridden(tmp_path: Path) -> None:
    message = refusal(a_file(tmp_path, lease=True), environment={"KAI_SCHED_LEASE_NAME": "x"})

    assert "lease is not an object" in message


def test_what_print_config_prints_is_a_file_that_says_the_same(tmp_path: Path) -> None:
    settings = load_settings(
        environment={},
        flags={"bandwidths.levels": {"rack": 20}, "gpu_classes": [{"device_class": "big", "weight": 2}]},
    )
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(settings_document(settings)))

    assert load_settings(path, {}) == settings


def test_the_schema_knows_every_key_and_no_other() -> None:
    schema = settings_schema()

    assert schema["properties"].keys() == settings_document(Settings()).keys()
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["apiVersion", "kind"]
    sections = schema["$defs"].values()
    silent = [
        name
        for part in (schema, *sections)
        for name, one in part["properties"].items()
        if "description" not in one and "$ref" not in one and name not in {"apiVersion", "kind"}
    ]
    assert silent == []

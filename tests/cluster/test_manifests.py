"""The manifests install on a real API server as they are, and say what the operator understands."""

from __future__ import annotations

from collections.abc import Callable

from kai_sched.api.settings import load_settings
from kai_sched.localcluster import LocalCluster
from kai_sched.localcluster.setup import wait_for
from tests.cluster.operators import MANIFESTS


def test_one_command_installs_everything(start_cluster: Callable[..., LocalCluster]) -> None:
    cluster = start_cluster()

    cluster.kubectl("apply", "-k", str(MANIFESTS))

    deployment = cluster.api.get("Deployment", "kai-sched", "kai-sched")
    volume = deployment["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"]
    assert "configuration.yaml" in cluster.api.get("ConfigMap", volume, "kai-sched")["data"]
    assert cluster.api.get("Queue", "default-queue")["spec"]["parentQueue"] == "default-parent-queue"
    assert cluster.api.get("PriorityClass", "inference")["value"] == 125
    # The replicas get past admission: ServiceAccount, priority class, security context.
    wait_for(lambda: len(cluster.api.list("Pod", "kai-sched")) == 2, "the operator's pods")
    # Installing again changes nothing; kubectl calls every disruption budget configured, for it replaces selectors.
    budget = cluster.api.get("PodDisruptionBudget", "kai-sched", "kai-sched")
    said = cluster.kubectl("apply", "-k", str(MANIFESTS)).splitlines()
    again = [line for line in said if not line.startswith("poddisruptionbudget")]
    after = cluster.api.get("PodDisruptionBudget", "kai-sched", "kai-sched")
    assert after["metadata"]["generation"] == budget["metadata"]["generation"]
    assert [line for line in again if not line.endswith("unchanged")] == []


def test_the_configuration_is_one_that_the_operator_reads() -> None:
    settings = load_settings(MANIFESTS / "configuration.yaml", environment={})

    assert settings.scheduler_name == "kai-scheduler"
    assert settings.log.format == "json"

"""A finalizer on a claim whose opaque parameters were not written in the server's own form of JSON."""

import pytest

from kai_sched.binder.claims import FINALIZER
from kai_sched.cluster.kube.client import KubeClient
from kai_sched.cluster.kube.resources import RESOURCE_CLAIMS
from kai_sched.errors import ApiFailure
from kai_sched.localcluster import LocalCluster

PARAMETERS = {"b": "<&>", "a": 1}
"""Written with spaces after colons, and with characters that Go escapes."""


@pytest.fixture
def odd_claim(cluster: LocalCluster, namespace: str) -> str:
    claim = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": "odd", "namespace": namespace},
        "spec": {
            "devices": {
                "requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu.example.com"}}],
                "config": [{"opaque": {"driver": "gpu.example.com", "parameters": PARAMETERS}}],
            }
        },
    }
    cluster.api.create(claim)
    return RESOURCE_CLAIMS.item_of_key(f"{namespace}/odd")


async def test_the_claim_can_be_protected_though_its_parameters_look_changed_in_json(
    cluster: LocalCluster, odd_claim: str
):
    async with await KubeClient.connect(cluster.kubeconfig) as client:
        document = await client.get(odd_claim)
        document["metadata"]["finalizers"] = [FINALIZER]
        with pytest.raises(ApiFailure, match="immutable"):
            await client.put(odd_claim, document)

        written = await client.add_finalizer(odd_claim, FINALIZER)
        again = await client.add_finalizer(odd_claim, FINALIZER)

    assert written["metadata"]["finalizers"] == [FINALIZER]
    assert written["spec"]["devices"]["config"][0]["opaque"]["parameters"] == PARAMETERS
    assert again["metadata"]["finalizers"] == [FINALIZER]

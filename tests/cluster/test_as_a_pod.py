"""The operator's way to the API server from inside a cluster: address, authority and a token that kubelets renew."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from kubernetes.aio.config import incluster_config

from kai_sched.cluster.kube.client import KubeClient
from kai_sched.errors import ApiFailure, InvalidInput
from kai_sched.localcluster import LocalCluster

WHO_AM_I = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "inside"}}


class MountedAccount:
    """What a kubelet mounts into a pod, and renews."""

    def __init__(self, cluster: LocalCluster, namespace: str, folder: Path) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.token = folder / "token"
        self.authority = folder / "ca.crt"
        (entry,) = yaml.safe_load(cluster.kubeconfig.read_text())["clusters"]
        self.authority.write_text(Path(entry["cluster"]["certificate-authority"]).read_text())
        self.server = urlsplit(entry["cluster"]["server"])

    def renew(self) -> None:
        """A new token of the account, which is made if there is none."""
        self.cluster.api.apply({**ACCOUNT, "metadata": {"name": "inside", "namespace": self.namespace}})
        path = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/inside/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        self.token.write_text(self.cluster.api.request("POST", path, request)["status"]["token"])

    def void(self) -> None:
        """Make all its tokens worthless."""
        self.cluster.api.delete("ServiceAccount", "inside", self.namespace)


@pytest.fixture
def account(
    cluster: LocalCluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> MountedAccount:
    account = MountedAccount(cluster, namespace, tmp_path)
    account.renew()
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(account.server.hostname))
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(account.server.port))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(account.token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(account.authority))
    return account


async def name_told_to(client: KubeClient) -> str:
    review = await client.post(WHO_AM_I, REVIEW)
    return str(review["status"]["userInfo"]["username"])


async def no_longer_believed(client: KubeClient) -> int:
    """The status with which the server refuses us; it remembers tokens for some seconds."""
    while True:
        try:
            await name_told_to(client)
        except ApiFailure as failure:
            return failure.status
        await asyncio.sleep(0.5)


async def test_a_pod_speaks_as_its_service_account(account: MountedAccount) -> None:
    async with await KubeClient.connect() as client:
        assert await name_told_to(client) == f"system:serviceaccount:{account.namespace}:inside"


async def test_a_token_that_was_renewed_is_read_again_as_soon_as_the_old_one_is_refused(
    account: MountedAccount,
) -> None:
    async with await KubeClient.connect() as client:
        await name_told_to(client)
        await asyncio.to_thread(account.void)
        async with asyncio.timeout(60):
            assert await no_longer_believed(client) == HTTPStatus.UNAUTHORIZED

        await asyncio.to_thread(account.renew)

        assert await name_told_to(client) == f"system:serviceaccount:{account.namespace}:inside"


async def test_neither_kubeconfig_nor_pod_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("HOME")

    with pytest.raises(InvalidInput, match=r"no kubeconfig .* and not inside a cluster"):
        await KubeClient.connect()

"""Hostile worlds on a real control plane: one operator for all, a bystander measured beside each.

The bystander has a namespace, a queue and a node of its own; what is measured is the time from its creation to its
binding, as its user sees it.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf

from kai_sched.errors import ApiFailure
from kai_sched.localcluster import LocalCluster
from kai_sched.localcluster.fleet.publish import publish
from kai_sched.localcluster.kinds import collection_path
from kai_sched.model.texts import shown
from tests.cluster.operators import RunningOperator, account
from tests.hostile.documents import Document, Documents, a_bystander, the_cluster
from tests.hostile.world import World

_MOST_SECONDS = 30.0
_TELLING_SECONDS = 3.0
_POLICY_SECONDS = 2.0
"""A policy is in force some time after it was made."""
_POLICIES = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}
_NAMESPACED = ("Pod", "PodGroup", "ResourceClaim")


@dataclass(frozen=True, slots=True)
class Measured:
    """What became of one case."""

    seconds: float
    """From the bystander's creation to its binding; infinite if that did not come."""
    created: int
    refused: int
    """Documents that the API server did not take: they are no part of the case."""
    told: tuple[str, ...]
    """What the hostile objects are told."""


class Stage:
    """A cluster on which an operator runs; use ``staged``."""

    def __init__(self, cluster: LocalCluster, operator: RunningOperator) -> None:
        self._cluster, self._operator = cluster, operator
        self._api = cluster.api
        self._numbers = itertools.count(1)

    def measure(self, world: World) -> Measured:
        """Create the hostile objects, then the bystander; remove all of them."""
        number = next(self._numbers)
        evil, good = f"evil-{number}", f"good-{number}"
        for namespace in (evil, good):
            self._cluster.new_namespace(namespace)
        documents = world.make(evil, world.live_size)
        try:
            created = self._create(documents)
            seconds = self._time_of_bystander(good)
            told = self._told(evil)
        finally:
            self._remove(documents, evil, good)
        return Measured(seconds, created, len(documents) - created, told)

    def _create(self, documents: Documents) -> int:
        pods = [document for document in documents if document["kind"] == "Pod"]
        others = [document for document in documents if document["kind"] != "Pod"]
        with ThreadPoolExecutor(16) as pool:
            created = sum(pool.map(self._is_created, others))
            if any(document["kind"] in _POLICIES for document in others):
                time.sleep(_POLICY_SECONDS)
            return created + sum(pool.map(self._is_created, pods))

    def _is_created(self, document: Document) -> bool:
        try:
            if document["kind"] in _POLICIES:
                self._api.request("POST", _policy_path(document), document)
                return True
            self._api.create(document)
            if "status" in document:
                metadata = document["metadata"]
                place = (document["kind"], metadata["name"], metadata.get("namespace", ""))
                self._api.patch(*place, body={"status": document["status"]}, subresource="status")
        except ApiFailure as failure:
            if failure.retryable or not failure.status:
                raise
            return False
        return True

    def _time_of_bystander(self, namespace: str) -> float:
        pod = a_bystander(namespace)
        began = time.monotonic()
        self._api.create(pod)
        while not self._api.get("Pod", "bystander", namespace)["spec"].get("nodeName"):
            if time.monotonic() - began > _MOST_SECONDS:
                return inf
            time.sleep(0.02)
        return time.monotonic() - began

    def _told(self, namespace: str) -> tuple[str, ...]:
        deadline = time.monotonic() + _TELLING_SECONDS
        while True:
            told = {
                text
                for kind in ("Pod", "PodGroup")
                for one in self._api.list(kind, namespace)
                for text in _texts(kind, one)
            }
            if told or time.monotonic() > deadline:
                return tuple(sorted(told))
            time.sleep(0.1)

    def _remove(self, documents: Documents, evil: str, good: str) -> None:
        for document in documents:
            if document["kind"] in _POLICIES:
                self._quietly("DELETE", f"{_policy_path(document)}/{document['metadata']['name']}")
            elif "namespace" not in document["metadata"]:
                self._api.delete(document["kind"], document["metadata"]["name"])
        for namespace in (evil, good):
            for kind in _NAMESPACED:
                path = collection_path(kind, namespace)
                self._quietly("DELETE", path, {"gracePeriodSeconds": 0, "propagationPolicy": "Background"})
            self._api.delete("Namespace", namespace)
        self._operator.wait_until(
            lambda: not self._api.list("Pod", evil) and not self._api.list("Pod", good), "an empty stage"
        )

    def _quietly(self, method: str, path: str, body: Document | None = None) -> None:
        try:
            self._api.request(method, path, body)
        except ApiFailure as failure:
            if failure.status != 404:
                raise


@contextmanager
def staged(cluster: LocalCluster) -> Iterator[Stage]:
    """The sound part of the worlds, and an operator that decides."""
    publish(cluster.api, the_cluster())
    with account(cluster) as name:
        operator = RunningOperator(cluster, name)
        try:
            operator.wait_ready().wait_leading()
            stage = Stage(cluster, operator)
            # The first pod of all waits for what is made once.
            stage.measure(World("nothing", lambda _namespace, _size: [], 1, 1))
            yield stage
            operator.stop()
        finally:
            operator.kill()


def _policy_path(document: Document) -> str:
    return f"/apis/{document['apiVersion']}/{_POLICIES[document['kind']]}"


def _texts(kind: str, document: Document) -> Iterator[str]:
    """What our operator wrote into a status, made harmless for a terminal where it is not."""
    status = document.get("status") or {}
    if kind == "Pod":
        for condition in status.get("conditions") or ():
            if (
                condition["type"] == "PodScheduled"
                and condition["status"] == "False"
                and condition.get("message")
            ):
                yield shown(condition["message"], len(condition["message"]) * 8)
    elif message := (status.get("kaiSched") or {}).get("message"):
        yield shown(message, len(message) * 8)

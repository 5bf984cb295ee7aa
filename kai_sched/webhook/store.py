"""What the webhook reads and writes on the API server. Every change is tied to the version that it was decided from."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from kai_sched.api.dra import translate_class, translate_slice
from kai_sched.api.keys import SHARE, SHARE_BOOK
from kai_sched.api.kinds import Raw
from kai_sched.api.share_book import Book, book_text
from kai_sched.api.times import format_time, parse_time
from kai_sched.api.translate.fields import readable
from kai_sched.cluster.kube.client import KubeClient
from kai_sched.cluster.kube.resources import (
    CLAIM_TEMPLATES,
    DEVICE_CLASSES,
    PODS,
    RESOURCE_CLAIMS,
    RESOURCE_SLICES,
    Resource,
)
from kai_sched.cluster.ports import Document
from kai_sched.devices.index import DeviceIndex
from kai_sched.errors import ApiFailure
from kai_sched.model.snapshot import Fleet, Unreadable
from kai_sched.webhook.book import Roll, SharedClaim

LAST_USED: Final = "kai-sched.dev/last-used"
"""Annotation of a template: when a pod was last given it."""
_OURS: Final = {"labelSelector": SHARE}
_LOST: Final = frozenset({HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND})


class Store:
    """The objects with our label, and the devices."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def devices(self) -> DeviceIndex:
        """Published devices and classes."""
        slices = [readable("ResourceSlice", translate_slice, raw) for raw in await self._all(RESOURCE_SLICES)]
        classes = [readable("DeviceClass", translate_class, raw) for raw in await self._all(DEVICE_CLASSES)]
        return DeviceIndex.of(
            Fleet(
                slices=tuple(one for one in slices if not isinstance(one, Unreadable)),
                device_classes=tuple(one for one in classes if not isinstance(one, Unreadable)),
            )
        )

    async def claims(self, namespace: str = "") -> list[SharedClaim]:
        """Shared claims, of all namespaces or one."""
        return [SharedClaim.of(one) for one in await self._all(RESOURCE_CLAIMS, namespace, _OURS)]

    async def roll(self, namespace: str = "") -> Roll:
        """The pods that were given something."""
        return Roll.of(await self._all(PODS, namespace, _OURS))

    async def templates(self) -> list[Document]:
        """Our templates of all namespaces."""
        return await self._all(CLAIM_TEMPLATES, params=_OURS)

    async def add_claim(self, claim: Raw, book: Book) -> SharedClaim:
        """Create a shared claim with its first entries."""
        metadata = {**claim["metadata"], "annotations": {SHARE_BOOK: book_text(book)}}
        path = RESOURCE_CLAIMS.collection(str(metadata["namespace"]))
        return SharedClaim.of(await self._client.post(path, {**claim, "metadata": metadata}))

    async def rebook(self, claim: SharedClaim, book: Book) -> SharedClaim | None:
        """Write the claim's book anew; None: the claim is not as it was read."""
        metadata = {
            "uid": claim.uid,
            "resourceVersion": claim.resource_version,
            "annotations": {SHARE_BOOK: book_text(book)},
        }
        path = RESOURCE_CLAIMS.item(claim.name, claim.namespace)
        written = await self._patched(path, {"metadata": metadata})
        return None if written is None else SharedClaim.of(written)

    async def remove_claim(self, claim: SharedClaim) -> bool:
        """Delete it as it was read."""
        path = RESOURCE_CLAIMS.item(claim.name, claim.namespace)
        return await self._removed(path, claim.uid, claim.resource_version)

    async def put_template(self, template: Raw, now: float) -> None:
        """Create the template; one of its name that is there already is the same, and marked as used now."""
        metadata: Raw = template["metadata"]
        used = {LAST_USED: format_time(int(now))}
        document = {**template, "metadata": {**metadata, "annotations": used}}
        namespace = str(metadata["namespace"])
        while True:
            try:
                await self._client.post(CLAIM_TEMPLATES.collection(namespace), document)
            except ApiFailure as failure:
                if failure.status != HTTPStatus.CONFLICT:
                    raise
            else:
                return
            path = CLAIM_TEMPLATES.item(str(metadata["name"]), namespace)
            if await self._patched(path, {"metadata": {"annotations": used}}) is not None:
                return

    async def remove_template(self, template: Raw) -> bool:
        """Delete it as it was read."""
        metadata: Raw = template["metadata"]
        path = CLAIM_TEMPLATES.item(str(metadata["name"]), str(metadata["namespace"]))
        return await self._removed(path, str(metadata["uid"]), str(metadata["resourceVersion"]))

    async def _patched(self, path: str, body: Document) -> Document | None:
        try:
            return await self._client.patch_merge(path, body)
        except ApiFailure as failure:
            if failure.status not in _LOST:
                raise
            return None

    async def _removed(self, path: str, uid: str, version: str) -> bool:
        preconditions = {"uid": uid, "resourceVersion": version}
        try:
            await self._client.delete(path, body={"preconditions": preconditions})
        except ApiFailure as failure:
            if failure.status not in _LOST:
                raise
            return False
        return True

    async def _all(
        self, resource: Resource, namespace: str = "", params: dict[str, str] | None = None
    ) -> list[Document]:
        pages = self._client.list_pages(resource.collection(namespace), params=params)
        return [item async for page in pages for item in page.items]


def last_used(template: Raw) -> float:
    """When a pod was last given the template, else when it was made."""
    metadata: Raw = template["metadata"]
    text = (metadata.get("annotations") or {}).get(LAST_USED)
    try:
        return parse_time(str(text))
    except ValueError:
        return parse_time(str(metadata["creationTimestamp"]))

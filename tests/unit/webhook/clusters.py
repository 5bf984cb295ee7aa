"""A cluster in memory as the webhook sees it: devices, shared claims with versions, pods, templates."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from fractions import Fraction
from typing import Any

import orjson

from kai_sched.api.kinds import Raw
from kai_sched.api.share_book import Book
from kai_sched.devices.index import DeviceIndex
from kai_sched.errors import ApiFailure
from kai_sched.model.devices import Device, DeviceCapacity, DeviceClass, ResourceSlice
from kai_sched.webhook.book import Roll, SharedClaim

GIB = 1 << 30


def a_device(memory_bytes: int = 80 * GIB, *, is_shareable: bool = False) -> Device:
    capacity = (("memory", DeviceCapacity(Fraction(memory_bytes))),) if memory_bytes else ()
    return Device(name="", allow_multiple_allocations=is_shareable, capacity=capacity)


class Cluster:
    """Keeps what it is told; a claim that was written meanwhile is not written over."""

    def __init__(self, *devices: Device, failure: ApiFailure | None = None) -> None:
        named = tuple(replace(device, name=f"gpu-{index}") for index, device in enumerate(devices))
        published = ResourceSlice(
            name="s", driver="gpu.example.com", pool="n", generation=1, slice_count=1, devices=named
        )
        self._index = DeviceIndex((published,), (DeviceClass(name="gpu"),))
        self._failure = failure
        self.shared: dict[str, SharedClaim] = {}
        self.documents: dict[str, Raw] = {}
        self.pods: list[Raw] = []
        self.made: list[Raw] = []
        self.used: dict[str, float] = {}
        self.readings = 0
        self.lose: list[Any] = []
        """Called one by one before a write of a book, which may make it come too late."""

    async def devices(self) -> DeviceIndex:
        return self._index

    async def claims(self, namespace: str = "") -> list[SharedClaim]:
        self.readings += 1
        await asyncio.sleep(0)
        return [claim for claim in self.shared.values() if namespace in {"", claim.namespace}]

    async def roll(self, namespace: str = "") -> Roll:
        return Roll.of(pod for pod in self.pods if namespace in {"", pod["metadata"]["namespace"]})

    async def add_claim(self, claim: Raw, book: Book) -> SharedClaim:
        metadata = {**claim["metadata"], "uid": f"uid-{claim['metadata']['name']}", "resourceVersion": "1"}
        made = SharedClaim.of({**claim, "metadata": metadata})
        self.documents[made.name] = claim
        self.shared[made.name] = replace(made, book=dict(book))
        return self.shared[made.name]

    async def rebook(self, claim: SharedClaim, book: Book) -> SharedClaim | None:
        if self.lose:
            self.lose.pop(0)()
        known = self.shared.get(claim.name)
        if known is None or known.resource_version != claim.resource_version:
            return None
        self.change(claim.name, book=dict(book))
        return self.shared[claim.name]

    async def remove_claim(self, claim: SharedClaim) -> bool:
        known = self.shared.get(claim.name)
        if known is None or known.resource_version != claim.resource_version:
            return False
        del self.shared[claim.name]
        return True

    async def templates(self) -> list[dict[str, Any]]:
        return []

    async def remove_template(self, template: Raw) -> bool:
        raise AssertionError(f"there is no {template}")

    async def put_template(self, template: Raw, now: float) -> None:
        if self._failure is not None:
            raise self._failure
        self.made.append(template)
        self.used[template["metadata"]["name"]] = now

    def change(self, name: str, **fields: Any) -> None:
        """The claim in its next version."""
        known = self.shared[name]
        version = str(int(known.resource_version) + 1)
        self.shared[name] = replace(known, resource_version=version, **fields)


def patched(pod: Raw, response: Raw) -> Raw:
    """The pod after the response's JSON patch (add and remove only)."""
    changed = orjson.loads(orjson.dumps(pod))
    for step in orjson.loads(base64.b64decode(response["patch"])):
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:]]
        owner = changed
        for parent in parents:
            owner = owner[int(parent)] if isinstance(owner, list) else owner[parent]
        if step["op"] == "remove":
            del owner[last]
        elif isinstance(owner, list):
            assert last == "-"
            owner.append(step["value"])
        else:
            owner[last] = step["value"]
    return changed

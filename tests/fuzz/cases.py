"""Random allocation cases as wire documents, one from each seed: small clusters full of everything DRA can say."""

from __future__ import annotations

from random import Random
from typing import Any

Document = dict[str, Any]

NODE = "node-1"
_DRIVERS = ("a.example.com", "b.example.com")
_SELECTORS = (
    "true",
    'device.driver == "a.example.com"',
    'has(device.attributes["a.example.com"].kind)',
    'device.attributes["a.example.com"].?kind.orValue("") == "big"',
    'device.attributes["x.example.com"].?zone.orValue(0) < 2',
    'device.capacity["a.example.com"].?memory.orValue(quantity("0")).isGreaterThan(quantity("5"))',
    "device.allowMultipleAllocations",
    "!device.allowMultipleAllocations",
    '"memory" in device.capacity[device.driver]',
)
_FAILING_SELECTORS = (
    'device.attributes["a.example.com"].kind == "big"',
    'device.attributes["x.example.com"].zone == 1',
    'device.attributes["x.example.com"].version.isGreaterThan(semver("1.0.0"))',
)
"""They fail on devices without the attribute, if the search gets there."""
_TAINTS = (
    {"key": "sick", "value": "1", "effect": "NoSchedule"},
    {"key": "sick", "value": "2", "effect": "NoExecute"},
    {"key": "note", "effect": "None"},
)
_TOLERATIONS = (
    {"operator": "Exists"},
    {"key": "sick", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "sick", "operator": "Equal", "value": "2"},
)


def random_case(seed: int) -> Document:
    """The case of a seed."""
    return _Generator(Random(seed)).case()


class _Generator:
    def __init__(self, random: Random) -> None:
        self._random = random
        self._devices: list[tuple[str, Document]] = []
        # Pools of dozens of devices and one request: with more of them both searches would take for ever.
        self._is_large = self._chance(10)
        self._percent_held = random.choice((5, 12, 12, 30, 50))

    def _chance(self, percent: int) -> bool:
        return self._random.randrange(100) < percent

    def _some(self, items: Any, most: int) -> list[Any]:
        return self._random.sample(list(items), self._random.randint(0, min(most, len(items))))

    def case(self) -> Document:
        keys = [(driver, pool) for driver in _DRIVERS for pool in ("pool-1", "pool-2", NODE)]
        chosen = self._random.sample(keys, 2 if self._is_large else self._random.randint(2, 5))
        slices = [entry for driver, pool in chosen for entry in self._published(driver, pool)]
        self._random.shuffle(slices)
        for number, entry in enumerate(slices):
            entry["metadata"] = {"name": f"slice-{self._random.randint(0, 9)}-{number}"}
        classes = [self._class(f"class-{number}") for number in range(3)]
        claims = [
            self._claim(number) for number in range(1 if self._is_large else self._random.randint(1, 2))
        ]
        dedicated, shares, amounts = self._held()
        return {
            "node": {"metadata": {"name": NODE, "labels": {"zone": "z1", "rank": "5"}}},
            "deviceClasses": classes,
            "resourceSlices": slices,
            "claims": claims,
            "allocatedDevices": dedicated,
            "allocatedSharedDeviceIDs": shares,
            "aggregatedCapacity": amounts,
        }

    def _published(self, driver: str, pool: str) -> list[Document]:
        """A pool; or several sets of its slices: it is being replaced, moves, or each node publishes its own."""
        if self._chance(70):
            return self._pool(driver, pool, self._random.choice((1, 1, 1, 2)))
        homes: list[Document | None] = [{"nodeName": NODE}, {"nodeName": "node-2"}, None]
        sets = [
            self._pool(driver, pool, self._random.randint(1, 3), home)
            for home in self._random.sample(homes, self._random.randint(2, 3))
        ]
        return [entry for one in sets for entry in one]

    def _pool(self, driver: str, pool: str, generation: int, home: Document | None = None) -> list[Document]:
        """One set of slices: wherever they reach, or all at one home."""
        counters = self._counters() if self._chance(8 if self._is_large else 30) else []
        count = self._random.randint(1, 2)
        parts = [self._device_slice(driver, pool, counters, number, home) for number in range(count)]
        if counters:
            parts.append({"sharedCounters": counters, **(home or self._reach(per_device=False))})
        total = len(parts) + (1 if self._chance(2 if home is None else 8) else 0)
        return [
            {
                "spec": {
                    "driver": driver,
                    "pool": {"name": pool, "generation": generation, "resourceSliceCount": total},
                    **part,
                }
            }
            for part in parts
        ]

    def _reach(self, *, per_device: bool) -> Document:
        roll = self._random.randrange(100)
        if roll < 60:
            return {"nodeName": NODE}
        if roll < 70:
            return {"nodeName": "node-2"}
        if roll < 80:
            return {"allNodes": True}
        if roll < 90 or not per_device:
            return {"nodeSelector": self._node_selector()}
        return {"perDeviceNodeSelection": True}

    def _node_selector(self) -> Document:
        expression = self._random.choice(
            (
                {"key": "zone", "operator": "In", "values": ["z1", "z9"]},
                {"key": "zone", "operator": "NotIn", "values": ["z1"]},
                {"key": "rank", "operator": "Gt", "values": ["3"]},
                {"key": "other", "operator": "DoesNotExist"},
            )
        )
        term: Document = {"matchExpressions": [expression]}
        if self._chance(20):
            term["matchFields"] = [{"key": "metadata.name", "operator": "In", "values": [NODE]}]
        return {"nodeSelectorTerms": [term]}

    def _counters(self) -> list[Document]:
        return [
            {
                "name": f"set-{number}",
                "counters": {
                    name: {"value": str(self._random.randint(2, 6))} for name in ("memory", "engines")
                },
            }
            for number in range(self._random.randint(1, 2))
        ]

    def _device_slice(
        self, driver: str, pool: str, counters: list[Document], number: int, home: Document | None
    ) -> Document:
        part = dict(home or self._reach(per_device=True))
        devices = []
        for index in range(self._random.randint(10, 24) if self._is_large else self._random.randint(1, 4)):
            device = self._device(driver, counters)
            device["name"] = f"dev-{index}" if self._chance(1) else f"dev-{number}-{index}"
            if "perDeviceNodeSelection" in part:
                device.update(self._reach(per_device=False) if self._chance(80) else {})
            devices.append(device)
            self._devices.append((f"{driver}/{pool}/{device['name']}", device))
        return {"devices": devices, **part}

    def _device(self, driver: str, counters: list[Document]) -> Document:
        device: Document = {"attributes": self._attributes(driver)}
        if self._chance(30):
            device["allowMultipleAllocations"] = True
        if self._chance(50):
            device["capacity"] = self._capacity(is_shared=device.get("allowMultipleAllocations", False))
        if counters and self._chance(70):
            device["consumesCounters"] = [
                {
                    "counterSet": entry["name"] if self._chance(99) else "unknown",
                    "counters": {
                        name: {"value": str(self._random.randint(1, 3))}
                        for name in self._some(entry["counters"], 2) or ["memory"]
                    },
                }
                for entry in self._random.sample(counters, self._random.randint(1, len(counters)))
            ]
        if self._chance(15):
            device["taints"] = self._some(_TAINTS, 2)
        if self._chance(8):
            device["bindingConditions"] = ["ready"]
            device["bindingFailureConditions"] = ["failed"]
        if self._chance(8):
            device["bindsToNode"] = True
        return device

    def _attributes(self, driver: str) -> Document:
        attributes: Document = {}
        if self._chance(70):
            name = "kind" if self._chance(70) else f"{driver}/kind"
            attributes[name] = {"string": self._random.choice(("big", "small"))}
        if self._chance(80):
            attributes["x.example.com/zone"] = {"int": self._random.randint(0, 2)}
        if self._chance(30):
            attributes["x.example.com/fast"] = {"bool": self._chance(50)}
        if self._chance(60):
            attributes["x.example.com/version"] = {
                "version": self._random.choice(("1.0.0", "1.2.0", "2.0.0-rc.1"))
            }
        return attributes

    def _capacity(self, *, is_shared: bool) -> Document:
        capacity: Document = {"memory": {"value": self._random.choice(("4", "8", "10", "2500m"))}}
        if self._chance(40):
            capacity["cores"] = {"value": self._random.choice(("2", "6"))}
        for entry in capacity.values():
            if is_shared and self._chance(60):
                entry["requestPolicy"] = self._policy()
        return capacity

    def _policy(self) -> Document:
        if self._chance(40):
            return {"default": "2", "validValues": ["1", "2", "4"]}
        if self._chance(30):
            return {"default": "500m", "validRange": {"min": "500m", "max": "4", "step": "250m"}}
        limits: Document = {"min": "1"}
        if self._chance(60):
            limits["max"] = "4"
        if self._chance(50):
            limits["step"] = "2"
        return {"default": "1", "validRange": limits}

    def _class(self, name: str) -> Document:
        spec: Document = {"selectors": self._selectors(1)}
        if self._chance(30):
            spec["config"] = [{"opaque": {"driver": _DRIVERS[0], "parameters": {"of": name}}}]
        return {"metadata": {"name": name}, "spec": spec}

    def _selectors(self, most: int) -> list[Document]:
        pool = _FAILING_SELECTORS if self._chance(8) else _SELECTORS
        return [{"cel": {"expression": text}} for text in self._some(pool, most)]

    def _claim(self, number: int) -> Document:
        count = 1 if self._is_large else self._random.choice((1, 1, 2, 2, 3))
        requests = [self._request(f"req-{index}") for index in range(count)]
        names = [entry["name"] for entry in requests]
        names += [
            f"{entry['name']}/{sub['name']}" for entry in requests for sub in entry.get("firstAvailable", ())
        ]
        devices: Document = {"requests": requests}
        if self._chance(40):
            devices["constraints"] = [self._constraint(names) for _ in range(self._random.randint(1, 2))]
        if self._chance(30):
            devices["config"] = [
                {
                    "opaque": {"driver": _DRIVERS[1], "parameters": {"n": index}},
                    **({"requests": self._some(names, 2)} if self._chance(60) else {}),
                }
                for index in range(2)
            ]
        return {
            "metadata": {"name": f"claim-{number}", "namespace": "ns", "uid": f"uid-{number}"},
            "spec": {"devices": devices},
        }

    def _constraint(self, names: list[str]) -> Document:
        attribute = self._random.choice(
            ("x.example.com/zone", "a.example.com/kind", "x.example.com/fast", "x.example.com/version")
        )
        kind = self._random.choice(("matchAttribute", "matchAttribute", "distinctAttribute"))
        requests = self._some(names, 2) if self._chance(50) else []
        return {kind: attribute, **({"requests": requests} if requests else {})}

    def _request(self, name: str) -> Document:
        if self._chance(25):
            subs = [{"name": f"sub-{index}", **self._body()} for index in range(self._random.randint(1, 3))]
            return {"name": name, "firstAvailable": subs}
        body = self._body()
        if self._chance(6):
            body["adminAccess"] = True
        return {"name": name, "exactly": body}

    def _body(self) -> Document:
        body: Document = {"deviceClassName": f"class-{self._random.randint(0, 2)}"}
        if self._random.randrange(400) == 0:
            body["deviceClassName"] = "class-missing"
        if self._chance(40 if self._is_large else 15):
            body["allocationMode"] = "All"
        else:
            body["allocationMode"] = "ExactCount"
            body["count"] = self._random.choice((1, 4, 8, 33) if self._is_large else (1, 1, 1, 2, 3))
        if self._chance(40):
            body["selectors"] = self._selectors(2)
        if self._chance(30):
            body["tolerations"] = self._some(_TOLERATIONS, 2)
        if self._chance(25):
            names = self._some(("memory", "cores"), 2) or ["memory"]
            body["capacity"] = {
                "requests": {name: self._random.choice(("1", "2", "3", "750m", "5")) for name in names}
            }
        return body

    def _held(self) -> tuple[list[str], list[str], Document]:
        """What claims hold. Not of a device that another generation publishes otherwise: there ours is stricter."""
        shared_by_name: dict[str, set[bool]] = {}
        for name, device in self._devices:
            shared_by_name.setdefault(name, set()).add("allowMultipleAllocations" in device)
        dedicated: list[str] = []
        shares: list[str] = []
        amounts: Document = {}
        for name, device in self._devices:
            if not self._chance(self._percent_held) or len(shared_by_name[name]) > 1:
                continue
            if not device.get("allowMultipleAllocations"):
                dedicated.append(name)
                continue
            shares.append(f"{name}/share-1")
            if "capacity" in device:
                amounts[name] = {key: self._random.choice(("1", "2")) for key in device["capacity"]}
        return sorted(set(dedicated)), sorted(set(shares)), amounts

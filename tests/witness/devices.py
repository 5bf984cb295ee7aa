"""Devices of random worlds as wire documents: on nodes, in racks, on the network, alike and not alike, partly held."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.documents import Document

DRIVER, NET = "gpu.example.com", "net.example.com"
FABRIC_DRIVER = "compute-domain.nvidia.com"
_CLASSES = {
    "gpu": f'device.driver == "{DRIVER}"',
    "big": f'device.driver == "{DRIVER}" && device.attributes["{DRIVER}"].model == "big"',
    "net": f'device.driver == "{NET}"',
    "channel": f'device.driver == "{FABRIC_DRIVER}"',
}


def classes() -> list[Document]:
    """Their device classes; the first also stands for an extended resource."""
    return [
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "DeviceClass",
            "metadata": {"name": name},
            "spec": {
                "selectors": [{"cel": {"expression": text}}],
                **({"extendedResourceName": "example.com/gpu"} if name == "gpu" else {}),
            },
        }
        for name, text in _CLASSES.items()
    ]


def a_slice(driver: str, pool: str, devices: list[Document], **reach: Any) -> Document:
    """The only slice of a pool."""
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {"name": f"{driver}-{pool}"},
        "spec": {
            "driver": driver,
            "pool": {"name": pool, "generation": 1, "resourceSliceCount": 1},
            "devices": devices,
            **reach,
        },
    }


def node_devices(rng: Random, node: str, *, has_fabric: bool) -> list[Document]:
    """What a node publishes of its own; perhaps devices that share memory counters, or may be shared."""
    model = rng.choice(("big", "big", "small"))
    counters = rng.random() < 0.25
    devices: list[Document] = []
    for number in range(rng.choice((0, 1, 2, 4, 8))):
        device: Document = {
            "name": f"d{number}",
            "attributes": {
                "model": {"string": model if rng.random() < 0.9 else "small"},
                f"{DRIVER}/island": {"int": number // 2},
            },
            "capacity": {"memory": {"value": "80Gi"}},
        }
        if counters:
            device["consumesCounters"] = [
                {"counterSet": f"c{number // 2}", "counters": {"slices": {"value": "1"}}}
            ]
        if rng.random() < 0.1:
            device["taints"] = [{"key": "sick", "effect": "NoSchedule"}]
        devices.append(device)
    found = [a_slice(DRIVER, node, devices, nodeName=node)] if devices else []
    if found and counters:
        sets = [{"name": f"c{one}", "counters": {"slices": {"value": "1"}}} for one in range(4)]
        found[0]["spec"]["pool"]["resourceSliceCount"] = 2
        more = a_slice(DRIVER, node, [], nodeName=node)
        more["metadata"]["name"] += "-counters"
        more["spec"]["pool"]["resourceSliceCount"] = 2
        more["spec"]["sharedCounters"] = sets
        found.append(more)
    if has_fabric:
        channels = [{"name": f"channel-{number}"} for number in range(4)]
        found.append(a_slice(FABRIC_DRIVER, f"{node}-fabric", channels, nodeName=node))
    return found


def network_devices(rng: Random, racks: list[str]) -> list[Document]:
    """Pools that many nodes reach: all of them, or those of one rack; some devices may be shared."""
    found: list[Document] = []

    def devices() -> list[Document]:
        is_shared = rng.random() < 0.3
        return [
            {
                "name": f"d{number}",
                "attributes": {f"{NET}/plane": {"int": number % 2}},
                **(
                    {"allowMultipleAllocations": True, "capacity": {"bandwidth": {"value": "10"}}}
                    if is_shared
                    else {}
                ),
            }
            for number in range(rng.randint(1, 4))
        ]

    if rng.random() < 0.6:
        found.append(a_slice(NET, "everywhere", devices(), allNodes=True))
    for rack in racks:
        if rng.random() < 0.5:
            term = {"matchExpressions": [{"key": "rack", "operator": "In", "values": [rack]}]}
            found.append(a_slice(NET, rack, devices(), nodeSelector={"nodeSelectorTerms": [term]}))
    return found


def a_request(rng: Random, name: str) -> Document:
    """One of the ways to ask."""

    def body(device_class: str, count: int = 1, **more: Any) -> Document:
        return {
            "deviceClassName": device_class,
            "allocationMode": "ExactCount",
            "count": count,
            **more,
        }

    match rng.randrange(8):
        case 0:
            choices = [{"name": "first", **body("big", 2)}, {"name": "second", **body("gpu", 1)}]
            return {"name": name, "firstAvailable": choices}
        case 1:
            choices = [{"name": "near", **body("big")}, {"name": "far", **body("net")}]
            return {"name": name, "firstAvailable": choices}
        case 2 | 3:
            return {"name": name, "exactly": body("net", rng.choice((1, 1, 2)))}
        case 4:
            selector = f'device.attributes["{DRIVER}"].model != "small"'
            more = {"selectors": [{"cel": {"expression": selector}}]}
            return {"name": name, "exactly": body("gpu", rng.choice((1, 2)), **more)}
        case 5:
            return {"name": name, "exactly": body("gpu", tolerations=[{"operator": "Exists"}])}
        case _:
            return {"name": name, "exactly": body("gpu", rng.choice((1, 1, 2, 4)))}


def a_piece(rng: Random, name: str) -> Document:
    """A part of a GPU that may be cut."""
    profile = rng.choice(("1g.10gb", "2g.20gb", "3g.40gb", "7g.80gb"))
    selector = f"device.attributes['gpu.nvidia.com'].profile == '{profile}'"
    body = {
        "deviceClassName": "mig.nvidia.com",
        "allocationMode": "ExactCount",
        "count": rng.choice((1, 1, 2)),
    }
    return {"name": name, "exactly": {**body, "selectors": [{"cel": {"expression": selector}}]}}


def a_claim(rng: Random, name: str, owner: str = "", *, fabric: str = "", may_cut: bool = False) -> Document:
    """A claim of namespace team; ``owner``: the pod it was made for; ``fabric``: the one that it joins."""
    ask = a_piece if may_cut and rng.random() < 0.6 else a_request
    requests = [ask(rng, f"r{one}") for one in range(rng.choice((1, 1, 1, 2)))]
    devices: Document = {"requests": requests}
    if fabric:
        channel = {"deviceClassName": "channel", "allocationMode": "ExactCount", "count": 1}
        devices = {
            "requests": [{"name": "channel", "exactly": channel}],
            "config": [{"opaque": {"driver": FABRIC_DRIVER, "parameters": {"domainID": fabric}}}],
        }
    elif rng.random() < 0.2:
        devices["constraints"] = [{"matchAttribute": f"{DRIVER}/island"}]
    owners = {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": owner, "uid": f"uid-{owner}"}]}
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {
            "name": name,
            "namespace": "team",
            "uid": f"uid-c-{name}",
            **(owners if owner else {}),
        },
        "spec": {"devices": devices},
    }


def hold(claim: Document, published: Document, device: str, node: str, *consumers: str) -> None:
    """Let a claim have a device of a node, for these pods."""
    request = claim["spec"]["devices"]["requests"][0]
    name = request["name"]
    if "firstAvailable" in request:
        name += "/" + request["firstAvailable"][0]["name"]
    where = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    result = {
        "request": name,
        "driver": published["spec"]["driver"],
        "pool": published["spec"]["pool"]["name"],
        "device": device,
    }
    claim["status"] = {
        "allocation": {"devices": {"results": [result]}, "nodeSelector": {"nodeSelectorTerms": [where]}},
        "reservedFor": [{"resource": "pods", "name": pod, "uid": f"uid-{pod}"} for pod in consumers],
    }

"""A queue of pods that ask for MIG partitions of H100s, the profiles in random order."""

from __future__ import annotations

import random
from dataclasses import replace

from benchmarks.decide.instances import NOW, a_group, a_pod, a_snapshot
from kai_sched.api.objects import ObjectSet
from kai_sched.api.snapshot import snapshot_of
from kai_sched.localcluster.fleet import Fleet, fleet_objects
from kai_sched.model.devices import Claim, ClaimSpec, DeviceRequest
from kai_sched.model.ids import ClaimKey, Uid
from kai_sched.model.pods import PodTable
from kai_sched.model.policy import Policy
from kai_sched.model.resources import amounts
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import PodClaimRef, PodSpec

_SIZES = {"1g.10gb": 1, "2g.20gb": 2, "3g.40gb": 3, "4g.40gb": 4, "7g.80gb": 7}
_SPEC = PodSpec(namespace="bench", requests=amounts({"cpu": 1000, "memory": 1 << 30, "pods": 1}))


def mixed_partitions(seed: int = 3, nodes: int = 8, load: float = 0.98) -> ClusterSnapshot:
    """Single pods for ``load`` of the slices of 8-GPU nodes; CEL selectors name the profiles."""
    rng = random.Random(seed)
    devices = [{"profile": "nvidia-h100", "partitions": "dynamic"}]
    fleet = Fleet.model_validate(
        {
            "apiVersion": "kai-sched.dev/v1alpha1",
            "kind": "Fleet",
            "pools": [{"name": "mig", "count": nodes, "devices": devices}],
        }
    )
    base = snapshot_of(ObjectSet(fleet_objects(fleet)), now=NOW, policy=Policy()).fleet
    specs = {profile: _asking_for(profile) for profile in _SIZES}
    pods, groups, claims = [], [], []
    wanted = 0
    while wanted < load * 7 * 8 * nodes:
        profile = rng.choices(list(_SIZES), (8, 4, 2, 2, 1))[0]
        wanted += _SIZES[profile]
        name = f"m{len(pods):04d}"
        pod = replace(a_pod(name, name, 1), spec=_SPEC)
        claim = Claim(
            key=ClaimKey(f"bench/{name}"),
            uid=Uid(f"uid-c-{name}"),
            spec=specs[profile],
            owner_uid=pod.uid,
        )
        pods.append(replace(pod, claims=(PodClaimRef("gpu", claim.key, is_own=True),)))
        claims.append(claim)
        groups.append(a_group(name, 1, created_at=NOW - 5000 + len(pods)))
    snapshot = a_snapshot((), [], groups)
    return replace(
        snapshot,
        fleet=replace(base, version=1),
        pods=PodTable.sorted_by_key(pods),
        claims=tuple(sorted(claims, key=lambda claim: claim.key)),
    )


def _asking_for(profile: str) -> ClaimSpec:
    """Claims of one template share their spec."""
    selector = f"device.attributes['gpu.nvidia.com'].profile == '{profile}'"
    return ClaimSpec(
        requests=(DeviceRequest(name="gpu", device_class="mig.nvidia.com", selectors=(selector,)),)
    )

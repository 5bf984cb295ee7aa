"""Small worlds in which something becomes possible again: after a rollback, by a neighbour, by a claim that others got."""

from __future__ import annotations

from typing import Any

from kai_sched.model.devices import Claim, ClaimSpec, Device, DeviceClass, DeviceRequest, ResourceSlice
from kai_sched.model.ids import ClaimKey, NodeName, Uid
from kai_sched.model.selectors import LabelSelector, Operator, Requirement
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import Pod, PodAffinityTerm, PodClaimRef, PodGroup, PodSpec
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec

DRIVER = "gpu.example.com"
CLASS = DeviceClass(name="gpu", selectors=(f'device.driver == "{DRIVER}"',))
HOSTNAME = "kubernetes.io/hostname"
CPU_ONLY = a_spec(gpus=0, cpu=1000)


def a_pool(name: str, *models: str, **reach: Any) -> ResourceSlice:
    """A pool of one device a model; of the node of its name unless ``reach`` says otherwise."""
    devices = tuple(
        Device(name=f"d{number}", attributes=(("model", ("string", model)),))
        for number, model in enumerate(models)
    )
    reach = reach or {"node_name": NodeName(name)}
    return ResourceSlice(
        name=name, driver=DRIVER, pool=name, generation=1, slice_count=1, devices=devices, **reach
    )


def asks(model: str = "", name: str = "r") -> DeviceRequest:
    selectors = (f'device.attributes["{DRIVER}"].model == "{model}"',) if model else ()
    return DeviceRequest(name=name, device_class="gpu", selectors=selectors)


FIRST_BIG = DeviceRequest(name="r", first_available=(asks("big", "big"), asks("small", "small")))


def a_claim(name: str, request: DeviceRequest, owner: str = "") -> Claim:
    uid = Uid(f"uid-team/{owner}" if owner else "")
    key = ClaimKey(f"team/{name}")
    return Claim(key=key, uid=Uid(f"uid-{name}"), spec=ClaimSpec(requests=(request,)), owner_uid=uid)


class Scene:
    """Gangs with their claims, in the order in which they are served."""

    def __init__(self) -> None:
        self.pods: list[Pod] = []
        self.groups: list[PodGroup] = []
        self.claims: list[Claim] = []

    def gang(
        self,
        name: str,
        count: int,
        request: DeviceRequest | None = None,
        *,
        spec: PodSpec = CPU_ONLY,
        **group: Any,
    ) -> Scene:
        """A gang whose pods have a claim each if ``request`` says what of."""
        for number in range(count):
            pod = f"{name}-{number}"
            refs = []
            if request is not None:
                claim = a_claim(f"c-{pod}", request, pod)
                self.claims.append(claim)
                refs.append(PodClaimRef("own", claim.key, is_own=True))
            self.pods.append(a_pod(pod, spec, group=name, claims=tuple(refs)))
        age = float(len(self.groups))
        self.groups.append(a_group(name, created_at=age, **{"min_member": count, **group}))
        return self

    def running(self, name: str, node: str, cpu: int, **group: Any) -> Scene:
        """A pod that runs; of a gang of this name, which may come later."""
        group_name = group.pop("group", name)
        self.pods.append(a_pod(name, a_spec(gpus=0, cpu=cpu), group=group_name, node=node))
        if group_name == name:
            self.groups.append(a_group(name))
        return self

    def on(self, *pools: ResourceSlice, nodes: int = 2, gpus: int = 0) -> ClusterSnapshot:
        """Nodes x, y, ..., each a rack of its own."""
        fleet = [a_node(name, gpus=gpus, labels={"rack": name}) for name in "xyz"[:nodes]]
        return a_snapshot(
            nodes=fleet,
            pods=self.pods,
            groups=self.groups,
            claims=tuple(sorted(self.claims, key=lambda claim: claim.key)),
            slices=pools,
            device_classes=(CLASS,),
        )


def beside(app: str, labels: str, **more: Any) -> PodSpec:
    """A pod that must run where one of ``app`` runs."""
    term = PodAffinityTerm(HOSTNAME, LabelSelector((Requirement("app", Operator.IN, (app,)),)), ("team",))
    return a_spec(gpus=0, cpu=1000, labels=(("app", labels),), pod_affinity=(term,), **more)

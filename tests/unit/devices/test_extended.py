"""The claim that is made for extended resources: which class, which requests, who borrows from whom (KEP-5004)."""

from __future__ import annotations

from kai_sched.api.translate.requests import extended_requests
from kai_sched.devices.extended import backing_classes, claim_key, claim_to_create
from kai_sched.model.devices import DeviceClass
from kai_sched.model.plan import RequestMapping
from tests.builders import a_pod

GPU = "example.com/gpu"
CLASS = {GPU: "gpu"}


def a_container(name: str, gpus: int, **more: object) -> dict[str, object]:
    requests = {"cpu": "1", **({GPU: str(gpus)} if gpus else {})}
    return {"name": name, "resources": {"requests": requests}, **more}


def made_for(*, init: tuple = (), main: tuple = ()):  # type: ignore[type-arg, no-untyped-def]
    requests = extended_requests({"initContainers": list(init), "containers": list(main)})
    creation = claim_to_create(requests, CLASS, {GPU})
    return {one.name: one.count for one in creation.spec.requests}, creation.mappings


def test_the_newest_class_stands_for_a_resource_and_every_class_for_its_own_name() -> None:
    classes = [
        DeviceClass(name="old", extended_resource_name=GPU, created_at=1.0),
        DeviceClass(name="b", extended_resource_name=GPU, created_at=2.0),
        DeviceClass(name="a", extended_resource_name=GPU, created_at=2.0),
    ]

    assert backing_classes(classes) == {
        GPU: "a",
        "deviceclass.resource.kubernetes.io/a": "a",
        "deviceclass.resource.kubernetes.io/b": "b",
        "deviceclass.resource.kubernetes.io/old": "old",
    }


def test_every_container_has_a_request_of_its_own() -> None:
    counts, mappings = made_for(main=(a_container("one", 2), a_container("none", 0), a_container("two", 1)))

    assert counts == {"container-0-request-1": 2, "container-2-request-1": 1}
    assert mappings == (
        RequestMapping("one", GPU, "container-0-request-1"),
        RequestMapping("two", GPU, "container-2-request-1"),
    )


def test_an_init_container_borrows_what_later_containers_will_have() -> None:
    counts, mappings = made_for(init=(a_container("prepare", 2),), main=(a_container("main", 2),))

    assert counts == {"container-1-request-1": 2}
    assert RequestMapping("prepare", GPU, "container-1-request-1") in mappings


def test_of_init_containers_that_need_more_only_the_largest_rest_is_added() -> None:
    init = (a_container("small", 3), a_container("big", 5), a_container("none", 0))

    counts, mappings = made_for(init=init, main=(a_container("main", 2),))

    assert counts == {"container-3-request-1": 2, "container-1-request-1": 3}
    assert RequestMapping("small", GPU, "container-1-request-1") in mappings
    assert RequestMapping("big", GPU, "container-1-request-1") in mappings


def test_a_sidecar_lends_only_to_those_that_start_before_it() -> None:
    sidecar = a_container("sidecar", 1, restartPolicy="Always")

    before, _ = made_for(init=(a_container("first", 1), sidecar))
    after, _ = made_for(init=(sidecar, a_container("second", 1)))

    assert sum(before.values()) == 1
    assert sum(after.values()) == 2


def test_resources_of_kubernetes_itself_are_not_extended_but_those_of_classes_are() -> None:
    requests = {"kubernetes.io/x": "1", "sub.kubernetes.io/y": "1", "hugepages-2Mi": "2Mi", "memory": "1Gi"}
    implicit = {"deviceclass.resource.kubernetes.io/gpu": "1"}
    container = {"name": "main", "resources": {"requests": {**requests, **implicit}}}

    found = extended_requests({"containers": [container]})

    assert [request.resource for request in found] == ["deviceclass.resource.kubernetes.io/gpu"]


def test_the_claim_of_a_pod_has_the_same_name_in_every_attempt_and_another_for_the_next_pod() -> None:
    pod = a_pod("p")

    assert claim_key(pod) == claim_key(a_pod("p"))
    assert claim_key(pod).startswith("team/p-extended-resources-")
    assert len(claim_key(a_pod("x" * 253)).partition("/")[2]) <= 253

"""Binding, network devices, pools, configurations, refusals and shared claims through a whole cycle."""

from __future__ import annotations

import pytest

from kai_sched.model.plan import Blocker, Outcome
from kai_sched.model.policy import Policy
from tests.documents import a_pod_group_document
from tests.unit.devices.dra import (
    DRIVER,
    NOW,
    a_claim_document,
    a_class,
    a_device,
    a_request,
    a_slice,
    a_user,
    decide,
    held_by_another,
)


class TestBindingConditions:
    def test_they_travel_into_the_allocation_with_its_time(self):
        remote = a_device("remote", bindingConditions=["attached"], bindingFailureConditions=["broken"])

        decided = decide(a_slice(remote), a_claim_document(), a_user("p", "claim"))

        allocation = decided.allocation_of("claim")
        assert allocation.results[0].binding_conditions == ("attached",)
        assert allocation.results[0].binding_failure_conditions == ("broken",)
        assert allocation.allocated_at == NOW

    def test_devices_without_them_come_first_and_carry_no_time(self):
        slices = [
            a_slice(a_device("remote", bindingConditions=["attached"]), driver="a.example.com"),
            a_slice(a_device("local"), driver="b.example.com"),
        ]
        policy = Policy()

        decided = decide(*slices, a_claim_document(), a_user("p", "claim"), policy=policy)

        assert decided.devices_of("p") == ["local"]
        assert decided.allocation_of("claim").allocated_at is None


class TestNetworkDevices:
    def test_a_device_for_some_nodes_pins_its_claims_users_to_them(self):
        zone = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["n2"]}]}
        fabric = a_slice(a_device("fabric"), pool="fabric", nodeSelector={"nodeSelectorTerms": [zone]})

        decided = decide(fabric, a_claim_document(), a_user("p", "claim"), nodes=3)

        assert decided.node_of("p") == "n2"
        assert decided.allocation_of("claim").node_selector is not None

    def test_each_device_of_a_slice_may_have_nodes_of_its_own(self):
        fabric = a_slice(
            a_device("first", nodeName="n3"),
            a_device("any", allNodes=True),
            pool="net",
            perDeviceNodeSelection=True,
        )
        first = a_claim_document(name="first")
        second = a_claim_document(name="second")

        decided = decide(fabric, first, second, a_user("p0", "first"), a_user("p1", "second"), nodes=3)

        where = {decided.devices_of(pod)[0]: decided.node_of(pod) for pod in ("p0", "p1")}
        assert where["first"] == "n3"

    def test_a_device_that_binds_to_its_node_pins_the_claim(self):
        fabric = a_slice(a_device("any", bindsToNode=True), pool="net", allNodes=True)

        decided = decide(fabric, a_claim_document(), a_user("p", "claim"), nodes=2)

        selector = decided.allocation_of("claim").node_selector
        assert selector is not None
        assert selector.terms[0].fields[0].values == (decided.node_of("p"),)

    def test_a_device_for_all_nodes_leaves_the_selector_out(self):
        decided = decide(
            a_slice(a_device("any"), pool="net", allNodes=True), a_claim_document(), a_user("p", "claim")
        )

        assert decided.allocation_of("claim").node_selector is None


class TestPools:
    def test_a_pool_that_is_being_updated_is_left_alone_and_named(self):
        decided = decide(a_slice(a_device("gpu-0"), of=2), a_claim_document(), a_user("p", "claim"))

        verdict = decided.verdict_of("p")
        assert f"pool {DRIVER}/n1 is being updated" in verdict.message
        assert verdict.next_step == f"wait until its driver has published all slices of pool {DRIVER}/n1"

    def test_all_devices_cannot_be_had_of_a_pool_that_is_being_updated(self):
        claim = a_claim_document(a_request(allocationMode="All"))

        decided = decide(a_slice(a_device("gpu-0"), of=2), claim, a_user("p", "claim"))

        verdict = decided.verdict_of("p")
        assert f"resource pool {DRIVER}/n1 is currently being updated" in verdict.message
        assert "wait until its driver" in verdict.next_step

    def test_only_the_newest_generation_counts(self):
        slices = [
            a_slice(a_device("old"), name="old", generation=1),
            a_slice(a_device("new"), name="new", generation=2),
        ]

        assert decide(*slices, a_claim_document(), a_user("p", "claim")).devices_of("p") == ["new"]

    def test_a_newer_generation_of_another_node_is_nothing_to_the_node_that_has_all_of_its_own(self):
        old = a_slice(a_device("dev-0"), name="old", pool="shared")
        new = a_slice(a_device("dev-1"), name="new", pool="shared", nodeName="gone", generation=2)
        own = a_slice(a_device("dev-9"), name="own", pool="zz", nodeName="n2")
        claims = [a_claim_document(name=f"c{number}") for number in range(3)]

        decided = decide(old, new, own, *claims, *(a_user(f"p{n}", f"c{n}") for n in range(3)), nodes=2)

        assert sorted(bind.node for bind in decided.plan.binds) == ["n1", "n2"]
        assert "0 are free" in decided.verdict_of("p2").message

    def test_one_pool_name_on_all_nodes_serves_on_each(self):
        slices = [
            a_slice(
                a_device(f"nic-{n}"), name=f"s{n}", pool="shared", nodeName=f"n{n}", generation=generation
            )
            for n, generation in ((1, 3), (2, 1), (3, 2))
        ]
        claims = [a_claim_document(name=f"c{number}") for number in range(3)]

        decided = decide(*slices, *claims, *(a_user(f"p{n}", f"c{n}") for n in range(3)), nodes=3)

        assert {bind.node for bind in decided.plan.binds} == {"n1", "n2", "n3"}

    def test_a_pool_with_two_devices_of_one_name_is_invalid_and_named(self):
        decided = decide(
            a_slice(a_device("twin"), a_device("twin")), a_claim_document(), a_user("p", "claim")
        )

        verdict = decided.verdict_of("p")
        assert f"pool {DRIVER}/n1 is invalid" in verdict.message
        assert "duplicate device name twin" in verdict.next_step


class TestConfigs:
    def test_configs_of_class_and_claim_are_carried_into_the_result(self):
        of_class = a_class(config=[{"opaque": {"driver": DRIVER, "parameters": {"mode": "class"}}}])
        own = [{"requests": ["gpu"], "opaque": {"driver": DRIVER, "parameters": {"mode": "claim"}}}]

        decided = decide(
            of_class, a_slice(a_device("gpu-0")), a_claim_document(config=own), a_user("p", "claim")
        )

        configs = decided.allocation_of("claim").configs
        assert [(entry.source, entry.config.parameters) for entry in configs] == [
            ("FromClass", '{"mode":"class"}'),
            ("FromClaim", '{"mode":"claim"}'),
        ]


class TestRefusedByName:
    """What is not built is said, with the field's name, and never ignored."""

    def test_a_derived_attribute(self):
        derived = [{"name": "x", "expression": "1"}]
        claim = a_claim_document(a_request(derivedAttributes=derived))

        decided = decide(a_slice(a_device("gpu-0")), claim, a_user("p", "claim"))

        assert decided.verdict_of("p").blocker is Blocker.DEVICES
        assert "derivedAttributes is not supported" in decided.verdict_of("p").message

    @pytest.mark.parametrize(
        ("device", "fields", "name"),
        [
            ({"nodeAllocatableResources": {"cpu": {}}}, {}, "nodeAllocatableResources"),
            ({}, {"skipNodeOperations": ["Prepare"]}, "skipNodeOperations"),
        ],
    )
    def test_a_device_that_asks_more_of_its_scheduler(self, device, fields, name):
        decided = decide(
            a_slice(a_device("gpu-0", **device), **fields), a_claim_document(), a_user("p", "claim")
        )

        assert decided.verdict_of("p").blocker is Blocker.DEVICES
        assert f"{name} is not supported" in decided.verdict_of("p").message

    @pytest.mark.parametrize(
        ("claim", "says"),
        [
            (a_claim_document({"name": "gpu"}), "neither exactly nor firstAvailable"),
            (a_claim_document(a_request(allocationMode="Future")), "unsupported count mode Future"),
            (a_claim_document(a_request(), constraints=[{"requests": ["gpu"]}]), "empty constraint"),
            (a_claim_document(a_request(deviceClassName="none")), "could not retrieve device class none"),
            (a_claim_document(a_request(count=33)), "exceeds the claim limit of 32"),
        ],
    )
    def test_a_request_of_a_kind_that_nobody_knows(self, claim, says):
        verdict = decide(a_slice(a_device("gpu-0")), claim, a_user("p", "claim")).verdict_of("p")

        assert (verdict.outcome, verdict.blocker) == (Outcome.UNPLACED, Blocker.DEVICES)
        assert says in verdict.message
        assert "team/claim" in verdict.message


class TestSharedClaims:
    def a_gang(self, pods: int, *claims: str):
        users = (a_user(f"p{number:03d}", *claims, group="gang") for number in range(pods))
        return [a_pod_group_document("gang", minMember=pods), *users]

    def roomy_nodes(self, count: int):
        allocatable = {"cpu": "1000", "memory": "512Gi", "pods": "1000"}
        return [
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": f"n{n + 1}", "labels": {"kubernetes.io/hostname": f"n{n + 1}"}},
                "status": {"allocatable": allocatable},
            }
            for n in range(count)
        ]

    def test_a_gangs_claim_is_allocated_once_and_holds_the_gang_on_its_devices_node(self):
        slices = [
            {
                **a_slice(a_device("gpu-0"), pool=name, name=name),
                "spec": {**a_slice(a_device("gpu-0"), pool=name)["spec"], "nodeName": name},
            }
            for name in ("n1", "n2")
        ]

        decided = decide(*slices, a_claim_document(), *self.a_gang(4, "claim"), nodes=2)

        assert len({bind.node for bind in decided.plan.binds}) == 1
        allocations = [entry.allocation for bind in decided.plan.binds for entry in bind.claims]
        assert sum(allocation is not None for allocation in allocations) == 1
        assert len(allocations) == 4

    def test_256_pods_share_a_claim(self):
        decided = decide(
            *self.roomy_nodes(1), a_slice(a_device("gpu-0")), a_claim_document(), *self.a_gang(256, "claim")
        )

        assert len(decided.plan.binds) == 256

    def test_257_are_refused_with_both_numbers(self):
        decided = decide(
            *self.roomy_nodes(1), a_slice(a_device("gpu-0")), a_claim_document(), *self.a_gang(257, "claim")
        )

        verdict = decided.verdict_of("gang")
        assert decided.plan.binds == ()
        assert (verdict.outcome, verdict.blocker) == (Outcome.UNPLACED, Blocker.DEVICES)
        assert "257 consumers, 256 is the most" in verdict.message

    def test_consumers_that_are_there_already_count(self):
        status = held_by_another("gpu-0")
        status["reservedFor"] = [
            {"resource": "pods", "name": f"x{n}", "uid": f"uid-x{n}"} for n in range(255)
        ]
        claim = a_claim_document(status=status)

        fits = decide(a_slice(a_device("gpu-0")), claim, a_user("p0", "claim"))
        crowded = decide(a_slice(a_device("gpu-0")), claim, *self.a_gang(2, "claim"))

        assert fits.devices_of("p0") == ["gpu-0"]
        assert "257 consumers" in crowded.verdict_of("gang").message

    def test_a_gang_around_a_fabric_device_lands_where_that_device_reaches(self):
        """One clique for a gang by a network device: nobody names a rack."""

        def fabric(name: str, hosts: list[str]):
            term = {
                "matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": hosts}]
            }
            ports = (a_device(f"{name}-{n}", attributes={"fabric": name}) for n in range(2))
            return a_slice(*ports, pool=name, name=name, nodeSelector={"nodeSelectorTerms": [term]})

        claim = a_claim_document(a_request(count=2), constraints=[{"matchAttribute": f"{DRIVER}/fabric"}])
        small, large = fabric("small", ["n1"]), fabric("large", ["n2", "n3"])
        pods = self.a_gang(4, "claim")
        for pod in pods[1:]:
            pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "32"

        decided = decide(small, large, claim, *pods, nodes=3)

        assert {bind.node for bind in decided.plan.binds} == {"n2", "n3"}
        assert {r.device for r in decided.allocation_of("claim").results} == {"large-0", "large-1"}

"""Every feature of resource.k8s.io through a whole cycle: what a plan says of it, or why it refuses it by name."""

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
    a_listed_request,
    a_request,
    a_slice,
    a_user,
    counters,
    decide,
)

SICK = {"key": "sick", "value": "yes", "effect": "NoSchedule"}
TOLERANT = [{"key": "sick", "operator": "Exists"}]


def a_taint_rule(effect: str = "NoSchedule", **selector: str):
    taint = {"key": "sick", "value": "yes", "effect": effect}
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "DeviceTaintRule",
        "metadata": {"name": "rule"},
        "spec": {"deviceSelector": selector, "taint": taint},
    }


def a_namespace(**labels: str):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team", "labels": labels}}


def held_by_another(device: str, *, pod: str = "other", uid: str = "uid-elsewhere", **result):
    """A claim's status: allocated on node n1 and reserved for some pod."""
    entry = {"request": "gpu", "driver": DRIVER, "pool": "n1", "device": device, **result}
    here = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}
    return {
        "allocation": {"devices": {"results": [entry]}, "nodeSelector": {"nodeSelectorTerms": [here]}},
        "reservedFor": [{"resource": "pods", "name": pod, "uid": uid}],
    }


class TestTaints:
    def test_a_tainted_device_is_left_alone(self):
        sick = a_device("sick", taints=[SICK])

        decided = decide(a_slice(sick, a_device("well")), a_claim_document(), a_user("p", "claim"))

        assert decided.devices_of("p") == ["well"]

    def test_a_claim_that_tolerates_the_taint_may_have_it(self):
        claim = a_claim_document(a_request(tolerations=TOLERANT))

        decided = decide(a_slice(a_device("sick", taints=[SICK])), claim, a_user("p", "claim"))

        assert decided.devices_of("p") == ["sick"]
        (result,) = decided.allocation_of("claim").results
        assert [toleration.key for toleration in result.tolerations] == ["sick"]

    @pytest.mark.parametrize("effect", ["NoSchedule", "NoExecute"])
    def test_an_admins_rule_taints_devices_too_and_the_verdict_counts_them(self, effect):
        fleet = a_slice(a_device("gpu-0"), a_device("gpu-1"))

        decided = decide(fleet, a_taint_rule(effect, driver=DRIVER), a_claim_document(), a_user("p", "claim"))

        verdict = decided.verdict_of("p")
        assert (verdict.outcome, verdict.blocker) == (Outcome.UNPLACED, Blocker.DEVICES)
        assert "2 of 2 devices match the selector, 2 of them are tainted, 0 are free" in verdict.message

    def test_an_admins_rule_for_one_device_leaves_the_others(self):
        fleet = a_slice(a_device("gpu-0"), a_device("gpu-1"))
        rule = a_taint_rule(driver=DRIVER, pool="n1", device="gpu-0")

        decided = decide(fleet, rule, a_claim_document(), a_user("p", "claim"))

        assert decided.devices_of("p") == ["gpu-1"]

    @pytest.mark.parametrize("effect", ["NoSchedule", "NoExecute"])
    def test_a_device_that_throws_its_users_off_takes_no_new_ones(self, effect):
        """NoSchedule only keeps new allocations away; NoExecute new users of an old one too."""
        holder = a_claim_document(status=held_by_another("gpu-0"))
        fleet = a_slice(a_device("gpu-0"), a_device("gpu-1"))

        decided = decide(fleet, a_taint_rule(effect, device="gpu-0"), holder, a_user("p", "claim"))

        if effect == "NoSchedule":
            assert decided.devices_of("p") == ["gpu-0"]
            return
        verdict = decided.verdict_of("p")
        assert (verdict.outcome, verdict.blocker) == (Outcome.UNPLACED, Blocker.DEVICES)
        assert "gpu-0, which is tainted sick=yes:NoExecute" in verdict.message

    def test_an_old_allocation_that_tolerates_it_takes_new_users(self):
        holder = a_claim_document(status=held_by_another("gpu-0", tolerations=TOLERANT))
        fleet = a_slice(a_device("gpu-0"))

        decided = decide(fleet, a_taint_rule("NoExecute"), holder, a_user("p", "claim"))

        assert decided.devices_of("p") == ["gpu-0"]

    def test_a_taint_of_unknown_or_no_effect_only_informs(self):
        noted = a_device(
            "gpu-0", taints=[{"key": "note", "effect": "None"}, {"key": "x", "effect": "Future"}]
        )

        assert decide(a_slice(noted), a_claim_document(), a_user("p", "claim")).devices_of("p") == ["gpu-0"]


class TestAdminAccess:
    def test_it_needs_the_label_of_the_namespace(self):
        claim = a_claim_document(a_request(adminAccess=True))

        decided = decide(a_slice(a_device("gpu-0")), claim, a_user("p", "claim"))

        verdict = decided.verdict_of("p")
        assert verdict.blocker is Blocker.DEVICES
        assert 'label resource.kubernetes.io/admin-access: "true"' in verdict.message
        assert "team/claim" in verdict.message

    def test_with_it_a_device_is_given_though_others_hold_it_and_stays_theirs(self):
        fleet = a_slice(a_device("gpu-0"), a_device("gpu-1"))
        holder = a_claim_document(name="holder", status=held_by_another("gpu-0"))
        admin = a_claim_document(a_request(allocationMode="All", adminAccess=True), name="admin")
        plain = a_claim_document(name="plain")
        namespace = a_namespace(**{"resource.kubernetes.io/admin-access": "true"})

        decided = decide(
            namespace, fleet, holder, admin, plain, a_user("monitor", "admin"), a_user("p", "plain")
        )

        assert decided.devices_of("monitor") == ["gpu-0", "gpu-1"]
        assert decided.devices_of("p") == ["gpu-1"]
        assert all(result.admin_access for result in decided.allocation_of("admin").results)


class TestAlternatives:
    FLEET = a_slice(
        a_device("big", attributes={"size": "big"}),
        a_device("small-0", attributes={"size": "small"}),
        a_device("small-1", attributes={"size": "small"}),
    )

    def test_each_pod_gets_the_first_alternative_that_is_left(self):
        big = a_request("big", f'device.attributes["{DRIVER}"].size == "big"')
        small = a_request("two-small", f'device.attributes["{DRIVER}"].size == "small"', count=2)
        claims = [a_claim_document(a_listed_request("gpu", big, small), name=f"c{n}") for n in range(3)]

        decided = decide(self.FLEET, *claims, *(a_user(f"p{n}", f"c{n}") for n in range(3)))

        assert decided.devices_of("p0") == ["big"]
        assert decided.devices_of("p1") == ["small-0", "small-1"]
        assert [result.request for result in decided.allocation_of("c1").results] == ["gpu/two-small"] * 2
        assert decided.verdict_of("p2").blocker is Blocker.DEVICES


class TestConsumableCapacity:
    def a_shared_gpu(self):
        policy = {"default": "80Gi", "validRange": {"min": "10Gi", "max": "80Gi", "step": "10Gi"}}
        memory = {"value": "80Gi", "requestPolicy": policy}
        return a_slice(a_device("gpu", allowMultipleAllocations=True, capacity={"memory": memory}))

    def test_claims_share_a_device_up_to_its_capacity_and_the_next_one_waits(self):
        claims = [
            a_claim_document(a_request(capacity={"requests": {"memory": "15Gi"}}), name=f"c{n}")
            for n in range(5)
        ]

        decided = decide(self.a_shared_gpu(), *claims, *(a_user(f"p{n}", f"c{n}") for n in range(5)))

        # 15Gi is rounded up to 20Gi: four fit into 80Gi.
        assert len(decided.plan.binds) == 4
        assert decided.verdict_of("p4").blocker is Blocker.DEVICES
        results = [decided.allocation_of(f"c{n}").results[0] for n in range(4)]
        assert len({result.share_id for result in results}) == 4
        assert {dict(result.consumed_capacity)["memory"] for result in results} == {20 << 30}

    def test_a_claim_that_names_no_amount_takes_the_default(self):
        claims = [a_claim_document(name=f"c{n}") for n in range(2)]

        decided = decide(self.a_shared_gpu(), *claims, *(a_user(f"p{n}", f"c{n}") for n in range(2)))

        assert [bind.pod for bind in decided.plan.binds] == ["team/p0"]

    def test_what_others_hold_of_it_counts(self):
        held = held_by_another("gpu", shareID="other-share", consumedCapacity={"memory": "70Gi"})
        holder = a_claim_document(name="holder", status=held)
        claims = [
            a_claim_document(a_request(capacity={"requests": {"memory": size}}), name=name)
            for name, size in (("fits", "10Gi"), ("big", "20Gi"))
        ]

        decided = decide(self.a_shared_gpu(), holder, *claims, a_user("fits", "fits"), a_user("big", "big"))

        assert decided.devices_of("fits") == ["gpu"]
        assert decided.verdict_of("big").blocker is Blocker.DEVICES


class TestSharedCounters:
    FLEET = (
        a_slice(
            a_device("whole", counters={"memory": "2"}, attributes={"size": "whole"}),
            a_device("half-0", counters={"memory": "1"}, attributes={"size": "half"}),
            a_device("half-1", counters={"memory": "1"}, attributes={"size": "half"}),
            of=2,
            name="devices",
        ),
        a_slice(sharedCounters=counters(memory="2"), of=2, name="counters"),
    )

    def claim(self, name: str, size: str):
        return a_claim_document(
            a_request("gpu", f'device.attributes["{DRIVER}"].size == "{size}"'), name=name
        )

    def test_a_device_in_parts_cannot_be_had_whole(self):
        claims = [self.claim("a", "half"), self.claim("b", "whole")]

        decided = decide(*self.FLEET, *claims, a_user("p0", "a"), a_user("p1", "b"))

        assert decided.devices_of("p0") == ["half-0"]
        assert decided.verdict_of("p1").blocker is Blocker.DEVICES

    def test_its_parts_are_given_out_to_the_last(self):
        claims = [self.claim(f"c{n}", "half") for n in range(3)]

        decided = decide(*self.FLEET, *claims, *(a_user(f"p{n}", f"c{n}") for n in range(3)))

        assert sorted(decided.devices_of("p0") + decided.devices_of("p1")) == ["half-0", "half-1"]
        assert decided.verdict_of("p2").outcome is Outcome.UNPLACED

    def test_a_whole_device_that_is_held_leaves_no_part(self):
        holder = a_claim_document(name="holder", status=held_by_another("whole"))

        decided = decide(*self.FLEET, holder, self.claim("c", "half"), a_user("p", "c"))

        assert decided.verdict_of("p").blocker is Blocker.DEVICES

    def test_devices_of_one_counter_set_need_a_compatibility_group_in_common(self):
        def a_part(name: str, *groups: str):
            uses = {"counterSet": "set", "counters": {"memory": {"value": "1"}}}
            return a_device(name, consumesCounters=[{**uses, "compatibilityGroups": list(groups)}])

        fleet = (
            a_slice(a_part("a", "vm"), a_part("b"), a_part("c", "vm", "bare"), of=2, name="devices"),
            a_slice(sharedCounters=counters(memory="3"), of=2, name="counters"),
        )
        holder = a_claim_document(name="holder", status=held_by_another("a"))
        claims = [a_claim_document(name=f"c{n}") for n in range(2)]

        decided = decide(*fleet, holder, *claims, *(a_user(f"p{n}", f"c{n}") for n in range(2)))

        assert decided.devices_of("p0") == ["c"]
        assert decided.verdict_of("p1").blocker is Blocker.DEVICES


class TestAttributes:
    def fleet(self):
        lists = (["a", "b"], ["c"], ["b", "c"])
        return a_slice(*(a_device(f"gpu-{n}", attributes={"rails": v}) for n, v in enumerate(lists)))

    def test_lists_match_where_they_have_a_value_in_common(self):
        claim = a_claim_document(a_request(count=2), constraints=[{"matchAttribute": f"{DRIVER}/rails"}])

        assert decide(self.fleet(), claim, a_user("p", "claim")).devices_of("p") == ["gpu-0", "gpu-2"]

    def test_lists_are_distinct_where_they_have_none(self):
        claim = a_claim_document(a_request(count=2), constraints=[{"distinctAttribute": f"{DRIVER}/rails"}])

        assert decide(self.fleet(), claim, a_user("p", "claim")).devices_of("p") == ["gpu-0", "gpu-1"]

    def test_a_constraint_that_leaves_no_set_is_named(self):
        claim = a_claim_document(a_request(count=3), constraints=[{"matchAttribute": f"{DRIVER}/rails"}])

        verdict = decide(self.fleet(), claim, a_user("p", "claim")).verdict_of("p")

        assert verdict.blocker is Blocker.DEVICES
        assert "team/claim" in verdict.message


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

        assert "being updated or invalid" in decided.verdict_of("p").message

    def test_all_devices_cannot_be_had_of_a_pool_that_is_being_updated(self):
        claim = a_claim_document(a_request(allocationMode="All"))

        decided = decide(a_slice(a_device("gpu-0"), of=2), claim, a_user("p", "claim"))

        assert f"resource pool {DRIVER}/n1 is currently being updated" in decided.verdict_of("p").message

    def test_only_the_newest_generation_counts(self):
        slices = [
            a_slice(a_device("old"), name="old", generation=1),
            a_slice(a_device("new"), name="new", generation=2),
        ]

        assert decide(*slices, a_claim_document(), a_user("p", "claim")).devices_of("p") == ["new"]

    def test_a_pool_with_two_devices_of_one_name_is_invalid_and_named(self):
        decided = decide(
            a_slice(a_device("twin"), a_device("twin")), a_claim_document(), a_user("p", "claim")
        )

        assert "being updated or invalid" in decided.verdict_of("p").message


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

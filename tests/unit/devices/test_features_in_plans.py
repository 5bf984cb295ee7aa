"""Taints, admin access, alternatives, capacity, counters and attributes of devices through a whole cycle."""

from __future__ import annotations

import pytest

from kai_sched.api.dra_allocation import allocation_document
from kai_sched.model.plan import Blocker, Outcome
from tests.unit.devices.dra import (
    DRIVER,
    a_claim_document,
    a_device,
    a_listed_request,
    a_request,
    a_slice,
    a_user,
    counters,
    decide,
    held_by_another,
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

    def test_a_rule_with_an_empty_selector_is_about_every_device(self):
        decided = decide(a_slice(a_device("gpu-0")), a_taint_rule(), a_claim_document(), a_user("p", "claim"))

        assert "1 of them is tainted" in decided.verdict_of("p").message

    def test_a_rule_without_a_selector_is_about_no_device(self):
        rule = a_taint_rule()
        del rule["spec"]["deviceSelector"]

        decided = decide(a_slice(a_device("gpu-0")), rule, a_claim_document(), a_user("p", "claim"))

        assert decided.devices_of("p") == ["gpu-0"]

    def test_an_admins_rule_for_one_device_leaves_the_others(self):
        fleet = a_slice(a_device("gpu-0"), a_device("gpu-1"))
        rule = a_taint_rule(driver=DRIVER, pool="n1", device="gpu-0")

        decided = decide(fleet, rule, a_claim_document(), a_user("p", "claim"))

        assert decided.devices_of("p") == ["gpu-1"]

    def test_a_taint_of_a_newer_generation_on_another_node_is_nothing_to_a_held_device(self):
        sick = {**SICK, "effect": "NoExecute"}
        here = a_slice(a_device("gpu-0"), name="here", pool="n1")
        there = a_slice(
            a_device("gpu-0", taints=[sick]), name="there", pool="n1", nodeName="n2", generation=2
        )
        claim = a_claim_document(status=held_by_another("gpu-0"))

        assert decide(here, there, claim, a_user("p", "claim"), nodes=2).node_of("p") == "n1"

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

    @pytest.mark.parametrize(
        ("asked", "published", "written"),
        [
            ("10G", "100G", "10G"),
            ("10G", "100Gi", "10G"),
            ("9765625Ki", "100G", "9765625Ki"),
            ("1000", "1Ti", "1k"),
            (None, "5G", "5G"),
            (None, "5Gi", "5Gi"),
        ],
    )
    def test_amounts_are_written_in_the_form_that_was_asked_for(self, asked, published, written):
        nic = a_device("nic", allowMultipleAllocations=True, capacity={"bandwidth": published})
        amounts = {} if asked is None else {"capacity": {"requests": {"bandwidth": asked}}}

        decided = decide(a_slice(nic), a_claim_document(a_request(**amounts)), a_user("p", "claim"))

        (result,) = allocation_document(decided.allocation_of("claim"))["devices"]["results"]
        assert result["consumedCapacity"] == {"bandwidth": written}

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


def test_a_further_share_of_a_device_is_not_to_blame_for_counters_that_were_overdrawn_before() -> None:
    """A device that serves many pays its counters once, when it is first used; then the driver published fewer."""
    shared = a_device("gpu", allowMultipleAllocations=True, capacity={"memory": "10Gi"}, counters={"x": "4"})
    fleet = a_slice(shared, sharedCounters=counters(x="2"))
    held = held_by_another("gpu", shareID="first", consumedCapacity={"memory": "1Gi"})
    holder = a_claim_document(name="holder", status=held)
    claim = a_claim_document(a_request(capacity={"requests": {"memory": "1Gi"}}))

    assert decide(fleet, holder, claim, a_user("p", "claim")).devices_of("p") == ["gpu"]


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

    @pytest.mark.parametrize(
        ("constraint", "devices"),
        [("matchAttribute", ["gpu-0", "gpu-2"]), ("distinctAttribute", ["gpu-0", "gpu-1"])],
    )
    def test_a_scalar_is_a_list_of_one(self, constraint, devices):
        values = (["a", "b"], "c", "a")
        fleet = a_slice(*(a_device(f"gpu-{n}", attributes={"rails": v}) for n, v in enumerate(values)))
        claim = a_claim_document(a_request(count=2), constraints=[{constraint: f"{DRIVER}/rails"}])

        assert decide(fleet, claim, a_user("p", "claim")).devices_of("p") == devices

    def test_a_constraint_over_scalars_and_lists_says_how_many_it_leaves(self):
        fleet = a_slice(
            *(a_device(f"gpu-{n}", attributes={"rails": v}) for n, v in enumerate((["a", "b"], "b", "c")))
        )
        claim = a_claim_document(a_request(count=3), constraints=[{"matchAttribute": f"{DRIVER}/rails"}])

        assert (
            "leaves at most 2 together" in decide(fleet, claim, a_user("p", "claim")).verdict_of("p").message
        )

    def test_a_constraint_that_leaves_no_set_is_named(self):
        claim = a_claim_document(a_request(count=3), constraints=[{"matchAttribute": f"{DRIVER}/rails"}])

        verdict = decide(self.fleet(), claim, a_user("p", "claim")).verdict_of("p")

        assert verdict.blocker is Blocker.DEVICES
        assert "team/claim" in verdict.message

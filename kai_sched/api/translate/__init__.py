"""Raw Kubernetes objects → model values, one concern a file; an object that cannot be read is ``Unreadable``, never an exception."""

from kai_sched.api.translate.interner import SpecInterner
from kai_sched.api.translate.namespaces import translate_namespace
from kai_sched.api.translate.nodes import (
    InstalledDrivers,
    translate_csi_node,
    translate_node,
    with_drivers,
    with_gpu_memory,
)
from kai_sched.api.translate.pod_groups import translate_pod_group
from kai_sched.api.translate.pods import TranslateContext, settled, translate_pod
from kai_sched.api.translate.priorities import PriorityTable, is_preemptible
from kai_sched.api.translate.queues import translate_queue
from kai_sched.api.translate.storage import (
    translate_csi_driver,
    translate_storage_capacity,
    translate_storage_class,
    translate_volume,
    translate_volume_claim,
)
from kai_sched.api.translate.topologies import translate_topology
from kai_sched.model.snapshot import Unreadable

__all__ = [
    "InstalledDrivers",
    "PriorityTable",
    "SpecInterner",
    "TranslateContext",
    "Unreadable",
    "is_preemptible",
    "settled",
    "translate_csi_driver",
    "translate_csi_node",
    "translate_namespace",
    "translate_node",
    "translate_pod",
    "translate_pod_group",
    "translate_queue",
    "translate_storage_capacity",
    "translate_storage_class",
    "translate_topology",
    "translate_volume",
    "translate_volume_claim",
    "with_drivers",
    "with_gpu_memory",
]

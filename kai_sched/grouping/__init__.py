"""Grouping: which pods belong together, told from their owners, for pods that do not name a pod group themselves."""

from kai_sched.grouping.grouper import GroupWrite, WorkloadGrouper, group_objects
from kai_sched.grouping.updates import updates_for

__all__ = ["GroupWrite", "WorkloadGrouper", "group_objects", "updates_for"]

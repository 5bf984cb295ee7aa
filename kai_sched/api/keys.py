"""Labels, annotations and names that the scheduler reads or writes. Source: KAI Scheduler's API; ``kai-sched.dev/`` is ours."""

from __future__ import annotations

from typing import Final

# Labels of pods, workloads and pod groups.
QUEUE: Final = "kai.scheduler/queue"
NODE_POOL: Final = "kai.scheduler/node-pool"
PRIORITY_CLASS: Final = "priorityClassName"
PREEMPTIBILITY: Final = "kai.scheduler/preemptibility"
SUBGROUP: Final = "kai.scheduler/subgroup-name"
TASK_PRIORITY: Final = "kai.scheduler/task-priority"
PROJECT: Final = "project"
JOB_ROLE: Final = "training.kubeflow.org/job-role"
RAY_NODE_TYPE: Final = "ray.io/node-type"

# Annotations of pods and workloads.
POD_GROUP: Final = "pod-group-name"
SKIP_GROUPING: Final = "kai.scheduler/skip-podgrouper"
TOPOLOGY: Final = "kai.scheduler/topology"
REQUIRED_LEVEL: Final = "kai.scheduler/topology-required-placement"
PREFERRED_LEVEL: Final = "kai.scheduler/topology-preferred-placement"
BATCH_MIN_MEMBER: Final = "kai.scheduler/batch-min-member"
PREEMPTION_DELAY: Final = "kai.scheduler/preemption-delay"
STALENESS_GRACE: Final = "kai.scheduler/staleness-grace-period"
TOP_OWNER: Final = "kai.scheduler/top-owner-metadata"

# Annotations of pod groups that carry state over restarts.
STALE_SINCE: Final = "kai.scheduler/stale-podgroup-timestamp"
LAST_START: Final = "kai.scheduler/last-start-timestamp"
LAST_EVICTION: Final = "kai.scheduler/last-eviction-timestamp"

# GPU sharing.
GPU_FRACTION: Final = "gpu-fraction"
GPU_MEMORY: Final = "gpu-memory"
GPU_FRACTION_DEVICES: Final = "gpu-fraction-num-devices"
GPU_FRACTION_CONTAINER: Final = "gpu-fraction-container-name"
MPS: Final = "mps"
GPU_GROUP: Final = "runai-gpu-group"

# Ours, of pods that wait.
WAITS_WITH: Final = "kai-sched.dev/pod-group"
"""Annotation that names the pod group with which a pod waits, where the pod does not name it itself."""

# GPU sharing by our webhook.
SHARE: Final = "kai-sched.dev/gpu-share"
"""Label: of a claim or template that the webhook made; of a pod, the name of the one that it uses."""
SHARE_TICKET: Final = "kai-sched.dev/gpu-share-ticket"
"""Annotation of a pod: its entry in the book of the claim that it shares."""
SHARE_BOOK: Final = "kai-sched.dev/gpu-share-book"
"""Annotation of a shared claim: who has which part (``share_book``)."""

# Resources in the status of queues and pod groups.
WHOLE_GPU: Final = "nvidia.com/gpu"
"""KAI's name for GPUs of whichever vendor, and the limit that excludes its annotations for shares."""
WAITED_GPU_MEMORY: Final = "run.ai/gpu.memory"
"""KAI's name for the MiB of GPU memory that a pod waits for."""

# Snapshot files.
SNAPSHOT_TIME: Final = "kai.scheduler/snapshot-time"

SCHEDULER_NAME: Final = "kai-scheduler"
DEFAULT_QUEUE: Final = "default-queue"
"""KAI's names, so that its users need not change their pods."""

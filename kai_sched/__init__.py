"""kai_sched: a Kubernetes scheduler for GPU clusters whose decisions come with a proof."""

__version__ = "0.1.0"

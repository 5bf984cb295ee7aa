"""A real control plane on this machine, with fake nodes: for the demo, tests, benchmarks and trying things out."""

from kai_sched.localcluster.cluster import Audit, LocalCluster

__all__ = ["Audit", "LocalCluster"]

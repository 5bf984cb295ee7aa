"""Fake fleets: a few lines of YAML become nodes, the slices a device driver would publish, classes and topologies."""

from kai_sched.localcluster.fleet.expand import fleet_objects
from kai_sched.localcluster.fleet.read import read_fleet
from kai_sched.localcluster.fleet.spec import Fleet

__all__ = ["Fleet", "fleet_objects", "read_fleet"]

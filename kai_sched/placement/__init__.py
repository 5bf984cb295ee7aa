"""What goes where: shapes of pods on nodes and devices."""

"""Rules that a pod's node must satisfy: static ones (node and volumes alone) and dynamic ones (other pods too)."""

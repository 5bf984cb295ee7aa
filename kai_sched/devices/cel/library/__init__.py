"""The functions of CEL and of the Kubernetes libraries, one file a subject; each exports OVERLOADS."""

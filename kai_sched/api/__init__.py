"""Wire shapes: what Kubernetes objects look like, and their translation to the model; the only place that parses quantities."""

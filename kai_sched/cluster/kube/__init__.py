"""The only place that calls the Kubernetes API: connection, requests, lists and watches as raw documents."""

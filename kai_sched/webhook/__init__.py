"""The mutating webhook: parts of GPUs become claims when a pod is created, because they cannot be added later."""

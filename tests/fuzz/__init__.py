"""The differential fuzz: random cases answered by the Kubernetes reference allocator and by ours."""

"""Claims: how many are decided a second, and how many pods are bound with theirs beside kube-scheduler."""

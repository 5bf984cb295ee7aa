"""Node rules beside kube-scheduler: random clusters and pods on a real control plane, two sets of feasible nodes."""

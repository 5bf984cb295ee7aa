"""A cluster that exists in time only: plans applied to snapshots, without a control plane."""

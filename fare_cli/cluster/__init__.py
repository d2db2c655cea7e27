"""Runs over many partitions on a cluster: each is judged by `run.runner`, in an actor of Ray Data."""

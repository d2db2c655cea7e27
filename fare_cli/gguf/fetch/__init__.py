"""Brings models to this machine, when asked to. Nothing else in fare opens outgoing connections."""

from fare_cli.gguf.fetch.offer import PullOptions
from fare_cli.gguf.fetch.pull import pull
from fare_cli.gguf.fetch.snapshot import hub_snapshot

__all__ = ["PullOptions", "hub_snapshot", "pull"]

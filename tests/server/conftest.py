"""`fare` as a shell runs it, for the tests of what serves."""

from tests.cli.conftest import fare, tiny_model, too_large_model

__all__ = ["fare", "tiny_model", "too_large_model"]

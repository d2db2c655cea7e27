"""`fare` as a shell runs it, for the tests of what serves."""

from tests.cli.conftest import fare

__all__ = ["fare"]

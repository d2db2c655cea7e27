"""How the CPU threads wait for each other, which GNU OpenMP reads from the environment when the engine is loaded.

GNU OpenMP spins at every barrier, by default for milliseconds: with one other busy process on two cores that made a run
2 to 6 times slower. Spinning 1,000 times and then sleeping was as fast as the default on an idle machine and as fast as
OMP_WAIT_POLICY=passive on a busy one (docs/benchmarks.md).
"""

from __future__ import annotations

import os

#: Spins before a thread sleeps, where neither the user nor tuning says otherwise.
SPINS = 1000

_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")

_users_word = [f"{name}={os.environ[name]}" for name in _VARIABLES if name in os.environ]
_in_force: int | None = None


def users_word() -> str | None:
    """What the user's own environment says about waiting; it counts more than fare's choice. None if nothing."""
    return " ".join(_users_word) or None


def in_force() -> int | None:
    """The spins that the engine was loaded with; None where the user's word counts or nothing was settled yet."""
    return _in_force


def settle(spins: int | None = None) -> bool:
    """Fixes the spins before the engine is loaded. False where that had been done before with others, or the user has
    spoken."""
    global _in_force
    if _users_word:
        return False
    if _in_force is None:
        _in_force = SPINS if spins is None else spins
        os.environ["GOMP_SPINCOUNT"] = str(_in_force)
    return _in_force == spins

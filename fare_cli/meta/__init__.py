"""Measures on verdicts: pure statistics, from labels and numbers to numbers. Needs the extra `stats`."""

from __future__ import annotations

import importlib.util

from fare_cli.errors import EnvironmentFault

if missing := [name for name in ("scipy", "sklearn") if importlib.util.find_spec(name) is None]:
    raise EnvironmentFault(
        f"measuring a judge needs packages that are not installed here: {', '.join(missing)}",
        "pip install 'fare-cli[stats]'",
    )

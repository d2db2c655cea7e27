"""A run in a process of its own, to be killed or starved of disk space.

`python -m tests.run.victim SOURCE OUTPUT DELAY_S [MOST_BYTES_OF_A_FILE]`
ends with the exit code that the command line would give.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

from fare_cli.asks import Ask, Reply
from fare_cli.backends.replay import SimulatedJudge
from fare_cli.errors import FareError
from fare_cli.run.runner import run
from tests.run.making import Opener, make_plan, right_label

JUDGE = SimulatedJudge(right_label, accuracy=0.8, position_bias=1.5, seed=3)


def main() -> int:
    source, output, delay_s = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    if len(sys.argv) > 4:
        limit = int(sys.argv[4])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    def slowly(ask: Ask) -> Reply:
        time.sleep(delay_s)
        return JUDGE(ask)

    try:
        print("started", flush=True)
        outcome = run(make_plan(source, output, mode="critique"), Opener(slowly))
    except FareError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return error.exit_code
    print(f"asked {outcome.summary.asking.asked} reused {outcome.summary.asking.reused}")
    return outcome.exit_code


if __name__ == "__main__":
    sys.exit(main())

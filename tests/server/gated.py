"""A `fare serve` whose judge waits for its test: `python -m tests.server.gated OPTIONS`, as a process of its own.

Every ask is printed as a line on stdout when its turn comes, and is answered once a line comes on stdin: `go`, or
`fail`, after which the engine has failed. With `"loading": true` in the options the model is loaded by a first line.
When stdin is closed, nothing waits any more.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from fare_cli.asks import Ask, Backend, Reply
from fare_cli.backends.replay import ReplayBackend, SimulatedJudge
from fare_cli.errors import FareError, ModelError
from fare_cli.identity import JudgingOptions
from fare_cli.judge import BackendJudge
from fare_cli.server.serving import ServeOptions, serve
from tests.simulating import truth


def _say(text: str, stream: Any = sys.stderr) -> None:
    print(text, file=stream, flush=True)


def _waits(ask: Ask) -> Reply:
    _say(ask.id.rpartition("/")[2] + " " + _question(ask), sys.__stdout__)
    if sys.stdin.readline().strip() == "fail":
        raise ModelError("the engine has failed")
    return SimulatedJudge(truth)(ask)


def _question(ask: Ask) -> str:
    return next(piece.text for message in ask.messages for piece in message.pieces if not piece.ours)


class _Judge(BackendJudge):
    loading = False

    def backend(self) -> Backend:
        if self.loading:
            sys.stdin.readline()
        return super().backend()


def run() -> int:
    options = json.loads(sys.argv[1])
    judge = _Judge(ReplayBackend(_waits, window=options.pop("window", 2)), options=JudgingOptions(mode="direct"))
    judge.loading = options.pop("loading", False)
    return serve(judge, ServeOptions(port=0, **options), _say)


if __name__ == "__main__":
    try:
        sys.exit(run())
    except FareError as error:
        _say(f"error: {error.message}")
        sys.exit(error.exit_code)

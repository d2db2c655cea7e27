"""`fare review` as a process of its own, and its requests as the page makes them."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cli.conftest import PROGRAM, environment


class Review:
    """A running review; `url` is its address, token and all."""

    def __init__(self, process: subprocess.Popen[str], url: str, said: str) -> None:
        self.process = process
        self.url = url
        self.said = said

    def ask(self, path: str, body: Any = None) -> Any:
        """The answer of a request; a refusal comes back as {"status", "error"}."""
        origin = re.match(r"http://[^/]+", self.url)
        assert origin is not None
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Origin": origin[0]}
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{self.url}api/{path}", data, headers)) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return {"status": error.code, **json.load(error)}

    def end(self) -> tuple[str, str]:
        """What it said on stdout and stderr when the person ended it."""
        self.ask("finish", {})
        return self.process.communicate(timeout=60)


@contextmanager
def reviewing(verdicts: Path, *arguments: str, **options: Any) -> Iterator[Review]:
    """Runs `fare review VERDICTS ARGUMENTS` until the block ends."""
    env = environment(**options.pop("env", {}))
    process = subprocess.Popen(
        [*PROGRAM, "review", str(verdicts), "--reviewer", "Ada", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        **options,
    )
    assert process.stderr is not None
    said = ""
    try:
        for line in process.stderr:
            said += line
            if found := re.search(r"http://127\.0\.0\.1:\d+/\S+", line):
                yield Review(process, found[0], said)
                return
        raise RuntimeError(f"no address was said: {said}")
    finally:
        process.kill()
        process.communicate()

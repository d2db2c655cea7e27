"""Servers as processes of their own, and a client for them."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import httpx2

from tests.cli.conftest import ROOT, environment

_PATIENCE_S = 120
_SERVING = re.compile(r"^serving .* at (http://\S+) ")
GATED = (sys.executable, "-m", "tests.server.gated")
FARE = (sys.executable, "-m", "fare_cli", "serve")


class Server:
    """A process that serves, what it has said, and a client that speaks to it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[str] = []
        self._started = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = ""
        if not self._started.wait(_PATIENCE_S) or not self._find_url():
            self.process.kill()
            raise AssertionError(f"it does not serve: {self.said}")
        self.client = httpx2.Client(base_url=self.url, timeout=_PATIENCE_S)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line.rstrip("\n"))
            if _SERVING.match(line):
                self._started.set()
        self._started.set()

    def _find_url(self) -> bool:
        found = next((match for line in self.said if (match := _SERVING.match(line))), None)
        self.url = found[1] if found else ""
        return found is not None

    def judge(self, task: str, *records: dict[str, Any], **more: Any) -> httpx2.Response:
        return self.client.post(f"/v1/judge/{task}", json={"records": list(records)}, **more)

    def metric(self, line: str) -> float:
        """The value of a line of /metrics; 0 where it is not there."""
        found = re.search(rf"^{re.escape(line)} (\S+)$", self.client.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def wait_for(self, line: str, value: float) -> None:
        """Waits until a metric has a value."""
        for _ in range(_PATIENCE_S * 20):
            if self.metric(line) == value:
                return
            threading.Event().wait(0.05)
        raise AssertionError(f"{line} is {self.metric(line)}, not {value}")

    def next_ask(self) -> str:
        """Waits for the next ask of a gated judge; its words."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go(self, word: str = "go", times: int = 1) -> None:
        """Lets a gated judge answer so many asks."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n" * times)
        self.process.stdin.flush()

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def wait_until_said(self, words: str) -> None:
        for _ in range(_PATIENCE_S * 20):
            if any(words in line for line in self.said):
                return
            threading.Event().wait(0.05)
        raise AssertionError(f"not said: {words} in {self.said}")

    def exit_code(self) -> int:
        """How it ended, by itself."""
        code = self.process.wait(_PATIENCE_S)
        self._reader.join()
        return code


@contextlib.contextmanager
def served(*command: str, **variables: str) -> Iterator[Server]:
    """A server that a command starts, killed at the end if it is still there."""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(**variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Server(process)
        finally:
            process.kill()


def gated(**options: Any) -> contextlib.AbstractContextManager[Server]:
    """A server with the judge of `tests.server.gated`."""
    return served(*GATED, json.dumps(options))


def question(name: str) -> dict[str, Any]:
    """A record of verify, whose right verdict is yes."""
    return {"id": name, "question": name, "answer": "RIGHT"}

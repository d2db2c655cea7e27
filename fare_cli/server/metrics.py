"""What `fare serve` counts, in the form that Prometheus reads."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fare_cli.run.manifest import fare_version
from fare_cli.run.pool import Judged, Pool
from fare_cli.server.problem import CLIENT_GONE
from fare_cli.verdicts import Verdict

# A direct judgment on a GPU takes milliseconds, a critique with thinking on a CPU minutes.
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500)
_PREFIX = "fare"


class Metrics:
    """The counters of one server. `pool` is asked for its length whenever they are read."""

    def __init__(self, pool: Pool, model: str) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "Requests answered.", "route", "status")
        self.request_seconds = self._histogram("request_seconds", "From a request to the end of its answer.", "route")
        self.records = self._counter("records", "Records judged.", "task", "status")
        self.invalid = self._counter("invalid_verdicts", "Records without a verdict, by kind of error.", "task", "kind")
        self.wait_seconds = self._histogram("record_wait_seconds", "From a record's arrival to its turn.", "task")
        self.judge_seconds = self._histogram("record_judge_seconds", "From a record's turn to its verdict.", "task")
        self.tokens = self._counter("tokens", "Tokens of asks, shared prefixes counted for each.", "task", "kind")
        self.rewards = self._counter("rewards", "Rewards given; without: the judge gave none.", "shape", "outcome")
        for name, text, read in (
            ("queue_records", "Records that have no verdict yet.", lambda: pool.records),
            ("queue_records_limit", "Records at which more are refused.", lambda: pool.room),
            ("engine_asks", "Asks that the engine is at work on.", lambda: pool.asks),
            ("ready", "1 once the model is loaded, 0 before that and while draining.", lambda: pool.state == "ready"),
        ):
            Gauge(name, text, namespace=_PREFIX, registry=self.registry).set_function(read)
        build = Gauge("build_info", "What runs here.", ("version", "model"), namespace=_PREFIX, registry=self.registry)
        build.labels(fare_version(), model).set(1)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, namespace=_PREFIX, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(name, text, labels, namespace=_PREFIX, registry=self.registry, buckets=_SECONDS)

    def judged(self, judged: Judged) -> None:
        """Counts one record."""
        verdict: Verdict = judged.verdict
        self.records.labels(verdict.task, verdict.status).inc()
        if verdict.error is not None:
            self.invalid.labels(verdict.task, verdict.error.kind).inc()
        self.wait_seconds.labels(verdict.task).observe(judged.waited_s)
        self.judge_seconds.labels(verdict.task).observe(judged.took_s)
        self.tokens.labels(verdict.task, "prompt").inc(verdict.usage.prompt_tokens)
        self.tokens.labels(verdict.task, "generated").inc(verdict.usage.generated_tokens)

    def page(self) -> tuple[bytes, str]:
        """All of it as text, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


class CountRequests:
    """Counts every request that passes, and how long it took; `active` are those that have no whole answer yet."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        self.active = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        begun, status = time.monotonic(), CLIENT_GONE
        self.active += 1

        async def counting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, counting)
        finally:
            self.active -= 1
            # The route, not the path: paths of strangers would make counters without end.
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.requests.labels(route, status).inc()
            self._metrics.request_seconds.labels(route).observe(time.monotonic() - begun)
        return None

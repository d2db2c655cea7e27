"""The application of `fare serve`: its routes, and what stands before them."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from fare_cli.records import RECORDS, record_schema, verdict_schema
from fare_cli.run.manifest import fare_version
from fare_cli.server.api_page import api_page
from fare_cli.server.guard import Guard
from fare_cli.server.judging import judging_routes
from fare_cli.server.metrics import CountRequests
from fare_cli.server.problem import Problem, answer_problem
from fare_cli.server.rewarding import rewarding_routes
from fare_cli.server.waiting import Desk

_ABOUT = "A local judge: verdicts on the outputs of language models, and rewards made of them."
# The page runs nothing and loads nothing.
_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


def make_app(desk: Desk, *, hosts: Collection[str] | None, token: str | None) -> tuple[ASGIApp, CountRequests]:
    """The application, and its count of requests. `hosts` and `token` are those of `Guard`."""
    app = FastAPI(title="fare", description=_ABOUT, version=fare_version(), docs_url=None, redoc_url=None)
    app.add_exception_handler(Problem, answer_problem)
    app.add_exception_handler(RequestValidationError, _bad_parameter)
    app.add_exception_handler(HTTPException, _other)
    app.include_router(judging_routes(desk))
    app.include_router(rewarding_routes(desk))
    _add_watching(app, desk)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    counted = CountRequests(Guard(app, hosts=hosts, token=token), desk.metrics)
    return counted, counted


def _add_watching(app: FastAPI, desk: Desk) -> None:
    @app.get("/health", tags=["watching"], summary="Whether records are judged now (200), or not (503)")
    async def health(response: Response) -> dict[str, str]:
        state = desk.pool.state
        response.status_code = 200 if state == "ready" else 503
        return {"status": state}

    @app.get("/health/live", tags=["watching"], summary="Whether the server answers at all")
    async def live() -> dict[str, str]:
        return {"status": desk.pool.state}

    @app.get("/metrics", tags=["watching"], summary="Counters, in the form of Prometheus", response_class=Response)
    async def metrics() -> Response:
        page, content_type = desk.metrics.page()
        return Response(page, headers={"Content-Type": content_type})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        headers = {"Content-Security-Policy": _PAGE_POLICY, "X-Content-Type-Options": "nosniff"}
        return Response(api_page(app.openapi()), media_type="text/html", headers=headers)


def _bad_parameter(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"][1:])
    return answer_problem(request, Problem(422, "bad_value", f"parameter {name!r}: {first['msg']}"))


def _other(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return answer_problem(request, Problem(error.status_code, "http", str(error.detail), headers=error.headers))


def _openapi(app: FastAPI) -> dict[str, Any]:
    """What FastAPI makes of the routes, with the schemas of records and verdicts that are published."""
    if app.openapi_schema is None:
        schema = FastAPI.openapi(app)
        known: dict[str, Any] = schema.setdefault("components", {}).setdefault("schemas", {})
        for task, shape in RECORDS.items():
            known.update(_components(shape.__name__, record_schema(task)))
        known.update(_components("Verdict", verdict_schema()))
    return app.openapi_schema or {}


def _components(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A schema and its own definitions as components."""
    text = json.dumps(schema).replace("#/$defs/", "#/components/schemas/")
    whole: dict[str, Any] = json.loads(text)
    whole.pop("$schema")
    return {**whole.pop("$defs", {}), name: whole}

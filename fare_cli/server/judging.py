"""`/v1/judge/TASK`: records in, verdicts out."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from fare_cli.server.bodies import JSON, JSONL, items_in, read_body, values_in
from fare_cli.server.problem import responses
from fare_cli.server.waiting import Desk, VerdictLines, Waiting, while_there

_ABOUT = """The verdicts come in the order of the records. Send `{"records": [...]}` and get `{"verdicts": [...]}`; or
send one record a line as `application/x-ndjson` and get a verdict a line, each as soon as it and those before it are
there (also for a JSON body, with `Accept: application/x-ndjson`). A record that is none is refused with all the others
(422); one that the model cannot judge has a verdict with `status: "invalid"`."""

_SUMMARIES = {
    "pairwise": "Which of two answers is better",
    "step": "The first wrong step of a solution",
    "verify": "Whether an answer is right",
    "score": "How good an answer is by a rubric",
}
_RECORDS = {"pairwise": "PairwiseRecord", "step": "StepRecord", "verify": "VerifyRecord", "score": "ScoreRecord"}


def judging_routes(desk: Desk) -> APIRouter:
    """The routes of all tasks of the desk."""
    router = APIRouter(tags=["judge"])

    @router.get("/v1/judge", summary="The judge: its model, and its fingerprint for each task")
    async def judge() -> dict[str, Any]:
        prints = {task: identity.fingerprint for task, (_, identity) in desk.tasks.items()}
        return {"model": desk.model, "judges": prints}

    for task in desk.tasks:
        _add(router, desk, task)
    return router


def _add(router: APIRouter, desk: Desk, task: str) -> None:
    async def judge_records(
        request: Request, record: bool = Query(True, description="Give each verdict its record.")
    ) -> Response:
        body = await read_body(request, desk.most_bytes)
        items = await run_in_threadpool(lambda: items_in(task, values_in(body, desk.pool.room)))
        waiting = Waiting(desk, task, items)
        if body.is_lines or JSONL in request.headers.get("accept", ""):
            return VerdictLines(waiting, record)
        verdicts = await while_there(request, waiting.all())
        lines = ",".join(verdict.to_line(record) for verdict in verdicts)
        return Response(f'{{"verdicts":[{lines}]}}', media_type=JSON)

    router.add_api_route(
        f"/v1/judge/{task}",
        judge_records,
        methods=["POST"],
        operation_id=f"judge_{task}",
        summary=_SUMMARIES[task],
        description=_ABOUT,
        response_class=Response,
        responses={**responses(400, 401, 413, 415, 422, 429, 503), 200: _verdicts()},
        openapi_extra={"requestBody": {"required": True, "content": _records(_RECORDS[task])}},
    )


def _records(name: str) -> dict[str, Any]:
    one = {"$ref": f"#/components/schemas/{name}"}
    several = {
        "type": "object",
        "required": ["records"],
        "properties": {"records": {"type": "array", "items": one}},
        "additionalProperties": False,
    }
    return {JSON: {"schema": several}, JSONL: {"schema": one}}


def _verdicts() -> dict[str, Any]:
    one = {"$ref": "#/components/schemas/Verdict"}
    several = {
        "type": "object",
        "required": ["verdicts"],
        "properties": {"verdicts": {"type": "array", "items": one}},
    }
    return {"description": "A verdict for each record.", "content": {JSON: {"schema": several}, JSONL: {"schema": one}}}

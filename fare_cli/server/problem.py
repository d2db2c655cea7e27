"""What `fare serve` answers where it cannot do what was asked: the reason, and the records and fields at fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse

#: The status under which a request is counted whose client went away: nginx's, as HTTP has none.
CLIENT_GONE = 499


class RecordFault(BaseModel):
    """What is wrong with one record."""

    record: int = Field(ge=0, description="0-based, in the order in which they were sent.")
    id: str = Field(default="", description="Its id, where one could be read.")
    field: str | None = Field(default=None, description="Dotted path of the field at fault, if it is one.")
    kind: str
    message: str


class Fault(BaseModel):
    """Why a request was not served. `records` are the first of those at fault."""

    kind: str
    message: str
    hint: str | None = None
    records: list[RecordFault] = []


class ProblemBody(BaseModel):
    """The body of every answer that is no success."""

    error: Fault


class Problem(Exception):
    """Ends a request with `status` and a `ProblemBody`."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        hint: str | None = None,
        records: Sequence[RecordFault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.body = ProblemBody(error=Fault(kind=kind, message=message, hint=hint, records=list(records)))

    def response(self) -> JSONResponse:
        return JSONResponse(self.body.model_dump(), self.status, self.headers)


def client_gone() -> Problem:
    """What ends a request whose client went away; nobody reads it."""
    return Problem(CLIENT_GONE, "client_gone", "the client went away")


def answer_problem(_request: Request, error: Exception) -> JSONResponse:
    """The handler that an application is given for `Problem`."""
    assert isinstance(error, Problem)
    return error.response()


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What the OpenAPI page says of these statuses."""
    return {status: {"model": ProblemBody, "description": _MEANING[status]} for status in statuses}


_MEANING = {
    400: "The body is no JSON.",
    401: "The token is missing or wrong.",
    413: "The body is larger than --max-body-mb allows, or has more records than --max-queue.",
    415: "The body is neither JSON nor JSONL.",
    422: "Records cannot be judged: each is named, with the field at fault.",
    429: "Too many records wait. `Retry-After` says in how many seconds there should be room.",
    503: "The server is about to end, or its model failed.",
}

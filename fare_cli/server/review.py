"""`fare review` for a browser: the page, and the session behind it as JSON."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from fare_cli.errors import EnvironmentFault, FareError
from fare_cli.review.page import review_page
from fare_cli.review.session import Opinion, Session
from fare_cli.server.loopback import Request, Response

if TYPE_CHECKING:
    from fare_cli.report.model import Report


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    place: int
    verdict: str | None
    note: str


class _Place(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    place: int


class ReviewAnswers:
    """Answers the requests of the page, for `LoopbackServer`. `agreement` makes the report that is shown at the end,
    `finish` is called when the person ends the review."""

    def __init__(
        self, session: Session, title: str, agreement: Callable[[], Report], finish: Callable[[], None]
    ) -> None:
        self._session = session
        self._page = review_page(title)
        self._agreement = agreement
        self._finish = finish

    def __call__(self, request: Request) -> Response:
        if (request.method, request.path) == ("GET", ""):
            return Response(self._page.html.encode(), "text/html; charset=utf-8", policy=self._page.policy)
        try:
            values = self._values(request)
        except ValidationError as error:
            return _said({"error": f"the request is none of this page: {error.errors(include_url=False)[0]['msg']}"})
        except EnvironmentFault as error:
            return _said({"error": error.message, "hint": error.hint}, HTTPStatus.SERVICE_UNAVAILABLE)
        except FareError as error:
            return _said({"error": error.message, "hint": error.hint})
        except Exception:
            traceback.print_exc()
            return _said({"error": "this is a bug in fare"}, HTTPStatus.INTERNAL_SERVER_ERROR)
        if values is None:
            return _said({"error": "there is no such thing"}, HTTPStatus.NOT_FOUND)
        return _said(values, HTTPStatus.OK)

    def _values(self, request: Request) -> dict[str, Any] | None:
        session, body = self._session, request.body
        match request.method, request.path.split("/"):
            case "GET", ["api", "session"]:
                return self._progress()
            case "GET", ["api", "record", place] if place.isascii() and place.isdecimal() and len(place) < 10:
                return self._looked(int(place))
            case "GET", ["api", "agreement"]:
                return _shown(self._agreement())
            case "POST", ["api", "say"]:
                said = _Said.model_validate_json(body)
                session.say(said.place, Opinion(said.verdict, said.note))
                return self._looked(said.place)
            case "POST", ["api", "reveal"]:
                revealed = _Place.model_validate_json(body).place
                session.reveal(revealed)
                return self._looked(revealed)
            case "POST", ["api", "undo"]:
                undone = session.undo()
                return self._progress() if undone is None else self._looked(undone)
            case "POST", ["api", "finish"]:
                self._finish()
                return {}
        return None

    def _progress(self, after: int = -1) -> dict[str, Any]:
        return {"progress": self._session.progress(after)._asdict()}

    def _looked(self, place: int) -> dict[str, Any]:
        return {"looked": self._session.look(place), **self._progress(place)}


def _said(values: dict[str, Any], status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> Response:
    return Response(json.dumps(values, ensure_ascii=False, allow_nan=False).encode(), status=status)


def _shown(report: Report) -> dict[str, Any]:
    """Warnings and tables, every cell in words; not the one with the judge's verdicts on single records, which a person
    who goes on reviewing must not have seen. The report at the end of the command has it."""
    from fare_cli.report.text import value_in_words
    from fare_cli.review.agreement import DIFFERENCES

    tables = [
        {
            "title": table.title,
            "note": table.note,
            "heads": [column.heading for column in table.columns],
            "rows": [[value_in_words(value) for value in row] for row in table.rows],
        }
        for table in report.tables
        if table.rows and table.name != DIFFERENCES
    ]
    return {"warnings": list(report.warnings), "tables": tables}

"""What a person said of a record: one line of a review file, as `fare report`'s page and `fare review` write it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from fare_cli.errors import InputError
from fare_cli.record_fields import Text
from fare_cli.records import TaskName
from fare_cli.run.lines import InputDigest, check_inputs, read_lines

MAX_REVIEWER = 100
MAX_NOTE = 20_000

_LABELS = {
    "pairwise": re.compile(r"A|B|tie"),
    "step": re.compile(r"-1|0|[1-9][0-9]{0,3}"),
    "verify": re.compile(r"yes|no"),
    "score": re.compile(r"0|-?[1-9][0-9]{0,5}"),
}
_NO_REVIEW = "review files are what the page of fare report and fare review save"


def _instant(text: str) -> str:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("not a time in ISO 8601") from None
    if at.utcoffset() != timedelta(0):
        raise ValueError("not a time in UTC")
    return text


class Reviewed(NamedTuple):
    """What an event is about: `content` is the record's `content_id`, so the words that the person saw are known."""

    task: TaskName
    record: str
    content: str


class ReviewEvent(BaseModel):
    """All that a reviewer says of a record from `at` on; it takes the place of what they said of it before.

    `verdict` is a label as `Verdict.verdict` has it, meant for the record as it stands in the file: where the answers
    were shown in order ba, the swap is undone. None is no verdict (yet, or any more: an undo).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    review: Literal[1] = Field(default=1, description="Version of this format.")
    task: TaskName
    record: str = Field(description="`id` of the record's verdict.")
    content: str = Field(pattern=r"^[0-9a-f]{16}$", description="Hash of what the judge was shown of the record.")
    reviewer: Text = Field(min_length=1, max_length=MAX_REVIEWER)
    verdict: str | None = Field(description="A, B, tie; yes, no; index of the first wrong step, -1; a score.")
    note: Text = Field(default="", max_length=MAX_NOTE)
    blind: bool = Field(description="The judge's verdict on this record had not been shown to the reviewer.")
    order: Literal["ab", "ba"] | None = Field(default=None, description="Pairwise: ba where answer B was shown first.")
    at: Annotated[str, AfterValidator(_instant)] = Field(description="UTC, ISO 8601.")

    @model_validator(mode="after")
    def _is_of_its_task(self) -> Self:
        if self.verdict is not None and not _LABELS[self.task].fullmatch(self.verdict):
            raise ValueError(f"`verdict`: {self.verdict!r} is no label of {self.task}")
        if (self.order is None) == (self.task == "pairwise"):
            raise ValueError("`order` is for pairwise, and there it must be")
        return self

    @property
    def about(self) -> Reviewed:
        return Reviewed(self.task, self.record, self.content)

    def to_line(self) -> str:
        """The event as one JSON line, no newline."""
        return self.model_dump_json()


def read_events(path: Path) -> Iterator[ReviewEvent]:
    """The events of a review file, as they stand there.

    A last line without its end that cannot be read was torn when the machine stopped: it is left out. Raises
    InputError, with line and field, for any other line that is no event.
    """
    check_inputs([str(path)])
    digests: list[InputDigest] = []
    for line in read_lines([str(path)], digests):
        if line.data is not None and not line.data.strip():
            continue
        try:
            yield ReviewEvent.model_validate_json(line.data or b"")
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            if first["type"] == "json_invalid" and line.data is not None and line.size == len(line.data):
                return
            field = ".".join(map(str, first["loc"]))
            said = first["msg"].removeprefix("Value error, ")
            raise InputError(
                f"{path}, line {line.number}: {f'`{field}`: ' if field else ''}{said}", _NO_REVIEW
            ) from None


def is_review_file(path: Path) -> bool:
    """Whether the first line of a file is an event, of whatever version. A file without lines counts as one: fare
    review leaves it where somebody has said nothing. Raises InputError for an unreadable file."""
    check_inputs([str(path)])
    lines = (line.data for line in read_lines([str(path)], []))
    first = next((data for data in lines if data is None or data.strip()), b"")
    if first == b"":
        return True
    try:
        values = json.loads(first or b"")
    except ValueError:
        return False
    return isinstance(values, dict) and "review" in values


def standing(events: Iterable[ReviewEvent], *, blind: bool = False) -> dict[tuple[str, Reviewed], ReviewEvent]:
    """The last event of each (reviewer, record), by `at`; of equal times the later one in `events`.

    The same event twice (a page saves all that it has each time) is one. With `blind` only events that were given
    blind count: what a person says after they saw the judge's verdict is no evidence of agreement.
    """
    found: dict[tuple[str, Reviewed], ReviewEvent] = {}
    for event in events:
        key = (event.reviewer, event.about)
        if (event.blind or not blind) and (key not in found or _time(found[key]) <= _time(event)):
            found[key] = event
    return found


def _time(event: ReviewEvent) -> datetime:
    return datetime.fromisoformat(event.at)

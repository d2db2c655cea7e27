"""`/v1/rewards/SHAPE/TASK`: rewards in the shapes in which trainers ask for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, TypeVar

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from fare_cli.rewards.reward import REWARD_TASKS, reward_of
from fare_cli.rewards.shapes import Marks, Rollout, from_openrlhf, from_verl
from fare_cli.server.bodies import JSON, check_count, items_in, json_body, read_body, refused
from fare_cli.server.problem import Problem, RecordFault, responses
from fare_cli.server.waiting import Desk, Waiting, while_there

Graded = Annotated[
    bool,
    Query(description="By the probability of `yes`, or the expected score; else 1 or 0, or the likeliest score."),
]
Invalid = Annotated[
    float | None,
    Query(
        allow_inf_nan=False,
        description="The reward where the judge gives none. Without it such a request is refused (422).",
    ),
]
Shape = TypeVar("Shape", bound=BaseModel)
Mark = Annotated[str | None, Query(min_length=1)]


class OpenRLHFRollouts(BaseModel):
    """What OpenRLHF sends to its remote reward model: lists of one length."""

    query: list[str] = Field(description="Prompt and what the policy wrote, special tokens included.")
    prompts: list[str]
    labels: list[Any] | None = Field(default=None, description="References, or objects with fields of the record.")


class OpenRLHFRewards(BaseModel):
    """What it reads."""

    rewards: list[float]
    scores: list[float]
    extra_logs: dict[str, list[float]] = Field(description="`fare_invalid` is 1 where the judge gave no reward.")


class VerlCall(BaseModel):
    """The arguments of verl's reward function."""

    data_source: Any = None
    solution_str: str
    ground_truth: Any = None
    extra_info: dict[str, Any] = Field(description="`question`, and other fields of the record.")


class VerlReward(BaseModel):
    """What it returns."""

    score: float
    fare_invalid: float = Field(description="1 where the judge gave no reward.")


class Rewarded(NamedTuple):
    """Rewards in the order of the records, and for each whether the judge gave none."""

    values: list[float]
    invalid: list[bool]


@dataclass(frozen=True, slots=True)
class Rewarding:
    """How the rewards of one request are made. `shape` is whose request it is."""

    desk: Desk
    shape: str
    task: str
    graded: bool
    invalid: float | None

    async def rewards(
        self, request: Request, rows: Sequence[Any], record_of: Callable[[Any], dict[str, Any]]
    ) -> Rewarded:
        """The rewards of what `record_of` makes of each row. Raises Problem 422 for rows that make no record, and
        where the judge gives no reward and `invalid` names none to put in its place."""
        items = await run_in_threadpool(lambda: items_in(self.task, rows, record_of))
        verdicts = await while_there(request, Waiting(self.desk, self.task, items).all())
        found = [reward_of(verdict, graded=self.graded) for verdict in verdicts]
        values: list[float] = []
        faults: list[RecordFault] = []
        for number, (item, reward) in enumerate(zip(items, found, strict=True)):
            outcome = "none" if reward.value is None else "given"
            self.desk.metrics.rewards.labels(self.shape, outcome).inc()
            value = self.invalid if reward.value is None else reward.value
            if value is None:
                faults.append(RecordFault(record=number, id=item.id, kind="no_reward", message=reward.reason or ""))
            else:
                values.append(value)
        if faults:
            raise refused(faults)
        return Rewarded(values, [reward.value is None for reward in found])


def rewarding_routes(desk: Desk) -> APIRouter:
    """The routes of every shape, for tasks whose verdicts are rewards."""
    router = APIRouter(tags=["rewards"])
    for task in REWARD_TASKS:
        _add_openrlhf(router, desk, task)
        _add_verl(router, desk, task)
    return router


def _add_openrlhf(router: APIRouter, desk: Desk, task: str) -> None:
    async def reward_rollouts(
        request: Request,
        graded: Graded = True,
        invalid: Invalid = None,
        question_after: Mark = None,
        question_before: Mark = None,
        answer_before: Mark = None,
    ) -> OpenRLHFRewards:
        value = json_body(await read_body(request, desk.most_bytes))
        # Before they are validated: each value that is none would be an error of its own.
        for rows in value.values() if isinstance(value, dict) else ():
            if isinstance(rows, list):
                check_count(len(rows), desk.pool.room)
        sent = _validated(OpenRLHFRollouts, value)
        labels = sent.labels if sent.labels is not None else [None] * len(sent.query)
        if not len(sent.query) == len(sent.prompts) == len(labels):
            lengths = f"query {len(sent.query)}, prompts {len(sent.prompts)}, labels {len(labels)}"
            raise Problem(422, "bad_value", f"the lists are not of one length: {lengths}")
        marks = Marks(question_after, question_before, answer_before)
        rewarding = Rewarding(desk, "openrlhf", task, graded, invalid)
        rollouts = [Rollout(*row) for row in zip(sent.query, sent.prompts, labels, strict=True)]
        values, missing = await rewarding.rewards(request, rollouts, lambda row: from_openrlhf(task, row, marks))
        return OpenRLHFRewards(
            rewards=values, scores=values, extra_logs={"fare_invalid": [float(none) for none in missing]}
        )

    router.add_api_route(
        f"/v1/rewards/openrlhf/{task}",
        reward_rollouts,
        methods=["POST"],
        operation_id=f"reward_openrlhf_{task}",
        summary=f"OpenRLHF's remote reward model, by {task}",
        responses=responses(400, 401, 413, 415, 422, 429, 503),
        openapi_extra=_takes(OpenRLHFRollouts),
    )


def _add_verl(router: APIRouter, desk: Desk, task: str) -> None:
    async def reward_call(request: Request, graded: Graded = True, invalid: Invalid = None) -> VerlReward:
        call = _validated(VerlCall, json_body(await read_body(request, desk.most_bytes)))
        rewarding = Rewarding(desk, "verl", task, graded, invalid)
        values, missing = await rewarding.rewards(request, [call.model_dump()], lambda row: from_verl(task, row))
        return VerlReward(score=values[0], fare_invalid=float(missing[0]))

    router.add_api_route(
        f"/v1/rewards/verl/{task}",
        reward_call,
        methods=["POST"],
        operation_id=f"reward_verl_{task}",
        summary=f"verl's reward function, by {task}",
        responses=responses(400, 401, 413, 415, 422, 429, 503),
        openapi_extra=_takes(VerlCall),
    )


def _validated(shape: type[Shape], value: Any) -> Shape:
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = [str(part) for part in first["loc"]]
        number = next((int(part) for part in where if part.isdecimal()), 0)
        kind = "missing_field" if first["type"] == "missing" else "bad_type"
        field = ".".join(where) or None
        message = f"`{field}`: {first['msg']}" if field else first["msg"]
        raise refused([RecordFault(record=number, field=field, kind=kind, message=message)]) from None


def _takes(shape: type[BaseModel]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {JSON: {"schema": shape.model_json_schema()}}}}

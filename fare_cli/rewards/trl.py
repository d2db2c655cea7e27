"""A judge as reward function of TRL's trainers.

from fare_cli.rewards.trl import JudgeReward

reward = JudgeReward(fare.Judge.open("fare-8b"), fields={"reference": "answer"})
trainer = GRPOTrainer(model, reward_funcs=reward, ...)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fare_cli.errors import InputError, UsageError
from fare_cli.judge import BackendJudge, Judge
from fare_cli.records import record_fields
from fare_cli.rewards.reward import RewardTask, check_reward_task, reward_of
from fare_cli.rewards.served import ServedJudge
from fare_cli.run.reader import items_of
from fare_cli.verdicts import Verdict

_OWN = frozenset({"answer", "gold", "annotations"})


class JudgeReward:
    """Rewards from 0 to 1 for completions, by the verdicts of a judge in this process or of a `ServedJudge`.

    The prompt is the question and the completion the answer, both as text or as chat messages. `fields` says which
    columns of the data set hold other fields of a record (`{"reference": "solution"}`, `{"question": "problem"}`),
    `constants` gives fields that are the same for all (`{"rubric": ...}`). `graded` is that of `reward_of`.

    Where the judge gives no reward, there is `invalid` in its place. None, the default, is what TRL takes for "this
    function does not apply": with no other reward function such a completion gets no advantage, neither a good nor a
    bad one (TRL 1.16). They are counted in `invalid_verdicts`, and TRL logs their share as `fare_invalid`.

    Raises UsageError for a task or field that cannot be.
    """

    def __init__(
        self,
        judge: Judge | BackendJudge | ServedJudge,
        task: RewardTask = "verify",
        *,
        fields: Mapping[str, str] | None = None,
        constants: Mapping[str, Any] | None = None,
        graded: bool = True,
        invalid: float | None = None,
    ) -> None:
        check_reward_task(task)
        self._fields, self._constants = dict(fields or {}), dict(constants or {})
        known = [name for name in record_fields(task) if name not in _OWN]
        for name in (*self._fields, *self._constants):
            if name not in known:
                raise UsageError(
                    f"{name!r} is no field of {task} records to be given", f"there are: {', '.join(known)}"
                )
        self.task: RewardTask = task
        self.invalid_verdicts = 0
        self.__name__ = f"fare_{task}"
        self._judge = judge
        self._graded = graded
        self._invalid = invalid

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        *,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """A reward for each completion, or None. Called by the trainer, with the columns of the data set.

        Raises InputError for a completion that makes no record, naming it and the field.
        """
        records = [self._record(index, prompts[index], completions[index], columns) for index in range(len(prompts))]
        rewards = [reward_of(verdict, graded=self._graded).value for verdict in self._verdicts(records)]
        missing = sum(value is None for value in rewards)
        self.invalid_verdicts += missing
        if log_metric is not None:
            log_metric("fare_invalid", missing / max(len(rewards), 1))
        return [self._invalid if value is None else value for value in rewards]

    def _record(self, index: int, prompt: Any, completion: Any, columns: Mapping[str, Any]) -> dict[str, Any]:
        record = {"question": prompt, **self._constants, "answer": completion}
        for field, column in self._fields.items():
            if column not in columns:
                raise InputError(
                    f"the data set has no column {column!r}, which is to be the {field}",
                    f"it has: {', '.join(name for name, value in columns.items() if isinstance(value, list))}",
                )
            record[field] = columns[column][index]
        return record

    def _verdicts(self, records: list[dict[str, Any]]) -> list[Verdict]:
        if isinstance(self._judge, ServedJudge):
            return self._judge.verdicts(self.task, records)
        for number, item in enumerate(items_of(self.task, records)):
            if item.error is not None:
                raise InputError(f"completion {number} makes no {self.task} record: {item.error.message}")
        return list(self._judge.verdicts(self.task, records))

"""The judge of a `fare serve` as verl's custom reward function.

reward.custom_reward_function.path=pkg://fare_cli.rewards.verl
reward.custom_reward_function.name=compute_score
+reward.custom_reward_function.reward_kwargs.url=http://127.0.0.1:8377
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from fare_cli.rewards.reward import RewardTask, check_reward_task
from fare_cli.rewards.served import ServedJudge
from fare_cli.rewards.shapes import given_fields


def compute_score(
    data_source: Any,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    url: str,
    task: RewardTask = "verify",
    constants: Mapping[str, Any] | None = None,
    graded: bool = True,
    invalid: float | None = None,
    patience_s: float = 600.0,
) -> dict[str, float]:
    """`score`, the reward from 0 to 1, and `fare_invalid`, 1 where the judge gave none and `invalid` is in its place.

    `ground_truth` is the reference; the question and other fields of the record are those of `extra_info` by name (verl
    gives no prompt), and `constants` has fields that are the same for all. verl calls this for one answer at a time,
    from many threads or processes: the server judges them side by side. `graded` is that of `reward_of`.

    Raises InputError where these make no record, or the judge gives no reward and `invalid` is None; EnvironmentFault
    where no server answers for `patience_s` seconds.
    """
    check_reward_task(task)
    known = {**given_fields(task, extra_info or {}), **(constants or {})}
    call = {
        "data_source": str(data_source),
        "solution_str": solution_str,
        "ground_truth": _plain(ground_truth),
        "extra_info": {name: _plain(value) for name, value in known.items()},
    }
    params = {"graded": str(graded).lower(), **({} if invalid is None else {"invalid": str(invalid)})}
    answer: dict[str, float] = _judge(url, patience_s, os.getpid()).post(f"/v1/rewards/verl/{task}", call, params)
    return answer


@lru_cache
def _judge(url: str, patience_s: float, _process: int) -> ServedJudge:
    # One for each process: after a fork, parent and child would read each other's answers from the same connections.
    return ServedJudge(url, patience_s=patience_s)


def _plain(value: Any) -> Any:
    """A value as JSON has it: data sets in Parquet bring NumPy's numbers and arrays."""
    return value.tolist() if hasattr(value, "tolist") else value

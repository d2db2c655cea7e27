"""`fare serve` as it is started, on a real model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from fare_cli.errors import EnvironmentFault, InputError
from fare_cli.identity import JudgingOptions
from fare_cli.judge import Judge
from fare_cli.rewards.served import ServedJudge
from fare_cli.rewards.trl import JudgeReward
from fare_cli.rewards.verl import compute_score
from tests.server.running import FARE, Server, served

RECORDS: dict[str, list[dict[str, Any]]] = {
    "pairwise": [{"question": "Is 7 prime?", "answer_a": "Yes.", "answer_b": "No."}],
    "step": [{"question": "2+2+1?", "steps": ["2+2 is 4.", "4+1 is 6."], "gold": 1}],
    "verify": [{"question": f"{n}+{n}?", "answer": str(2 * n), "reference": str(2 * n)} for n in range(4)],
    "score": [{"question": "Is 7 prime?", "answer": "Yes.", "rubric": "Is it right?", "scale": [0, 3]}],
}
OPTIONS = ("--mode", "direct", "--deterministic", "--slots", "4", "--ctx", "1024", "--threads", "1", "--isolated")


@pytest.fixture(scope="module")
def server(smollm2_path: Path) -> Iterator[Server]:
    with served(*FARE, "--model", str(smollm2_path), "--port", "0", *OPTIONS) as server:
        yield server


@pytest.fixture(scope="module")
def verdicts(smollm2_path: Path) -> dict[str, list[dict[str, Any]]]:
    """What the same judge says in this process."""
    options = JudgingOptions(mode="direct")
    with Judge.open(smollm2_path, options=options, deterministic=True, slots=4, ctx=1024, threads=1) as judge:
        return {
            task: [json.loads(verdict.to_line()) for verdict in judge.verdicts(task, records)]
            for task, records in RECORDS.items()
        }


@pytest.mark.parametrize("task", RECORDS)
def test_verdicts_are_those_of_the_judge_itself(
    server: Server, verdicts: dict[str, list[dict[str, Any]]], task: str
) -> None:
    assert server.judge(task, *RECORDS[task]).json() == {"verdicts": verdicts[task]}


def test_they_are_the_same_in_the_company_of_others(server: Server, verdicts: dict[str, list[dict[str, Any]]]) -> None:
    requests = [(task, number) for task, records in RECORDS.items() for number in range(len(records))]
    with ThreadPoolExecutor(len(requests)) as threads:
        answers = list(threads.map(lambda one: server.judge(one[0], RECORDS[one[0]][one[1]]).json(), requests))
    assert [answer["verdicts"] for answer in answers] == [[verdicts[task][number]] for task, number in requests]


def test_a_record_that_the_model_cannot_hold_is_invalid_and_counted(server: Server) -> None:
    answer = server.judge("verify", {"question": "long " * 2000, "answer": "x"}, RECORDS["verify"][0])
    assert [verdict["status"] for verdict in answer.json()["verdicts"]] == ["invalid", "ok"]
    assert server.metric('fare_invalid_verdicts_total{kind="too_long",task="verify"}') >= 1
    assert server.metric('fare_records_total{status="ok",task="verify"}') >= 1
    assert server.metric('fare_tokens_total{kind="prompt",task="verify"}') > 100


def test_its_schemas_are_those_of_what_it_takes_and_gives(
    server: Server, verdicts: dict[str, list[dict[str, Any]]]
) -> None:
    api = server.client.get("/openapi.json").json()
    for task, (record, *_) in RECORDS.items():
        body = api["paths"][f"/v1/judge/{task}"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        checker = jsonschema.Draft202012Validator({**body, "components": api["components"]})
        checker.validate({"records": [record]})
        assert not checker.is_valid({"records": [{"question": "?"}]})
        one = {"$ref": "#/components/schemas/Verdict", "components": api["components"]}
        jsonschema.validate(verdicts[task][0], one)


def test_the_page_of_the_api_names_everything_and_loads_nothing(server: Server) -> None:
    answer = server.client.get("/docs")
    assert all(path in answer.text for path in server.client.get("/openapi.json").json()["paths"])
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert not re.search(r"<script|<link|<img|src=|@import", answer.text)


def test_openrlhf_gets_a_list_of_rewards(server: Server, verdicts: dict[str, list[dict[str, Any]]]) -> None:
    rollouts = {
        "query": [f"Q: {one['question']}\nA: {one['answer']}</s>" for one in RECORDS["verify"]],
        "prompts": [f"Q: {one['question']}\nA: " for one in RECORDS["verify"]],
        "labels": [one["reference"] for one in RECORDS["verify"]],
    }
    marks = {"question_after": "Q: ", "question_before": "\nA: ", "answer_before": "</s>"}
    answer = server.client.post("/v1/rewards/openrlhf/verify", json=rollouts, params=marks).json()
    expected = [one["probabilities"]["yes"] for one in verdicts["verify"]]
    assert answer["rewards"] == answer["scores"] == pytest.approx(expected, abs=1e-6)
    assert answer["extra_logs"] == {"fare_invalid": [0.0] * 4}


LONG = {"query": ["Q: A:" + "x " * 3000], "prompts": ["Q: A:"], "labels": ["4"]}


def test_a_reward_that_the_judge_cannot_give_is_an_error_unless_its_value_was_named(server: Server) -> None:
    refused = server.client.post("/v1/rewards/openrlhf/verify", json=LONG)
    assert (refused.status_code, refused.json()["error"]["records"][0]["kind"]) == (422, "no_reward")
    assert "too_long" in refused.json()["error"]["message"]
    named = server.client.post("/v1/rewards/openrlhf/verify?invalid=-1", json=LONG).json()
    assert (named["rewards"], named["extra_logs"]) == ([-1.0], {"fare_invalid": [1.0]})
    assert server.metric('fare_rewards_total{outcome="none",shape="openrlhf"}') == 2


@pytest.mark.parametrize(
    ("change", "word"),
    [({"labels": []}, "one length"), ({"query": "Q"}, "query"), ({"prompts": ["Z"]}, "does not begin")],
)
def test_rollouts_that_do_not_fit_together_are_refused(server: Server, change: dict[str, Any], word: str) -> None:
    answer = server.client.post("/v1/rewards/openrlhf/verify", json={**LONG, **change})
    assert (answer.status_code, word in answer.json()["error"]["message"]) == (422, True)


def test_verls_reward_function(server: Server, verdicts: dict[str, list[dict[str, Any]]]) -> None:
    record, verdict = RECORDS["verify"][1], verdicts["verify"][1]
    extra = {"question": record["question"], "answer": "not this", "index": 7}
    reward = compute_score("set", record["answer"], record["reference"], extra, url=server.url)
    assert reward == {"score": pytest.approx(verdict["probabilities"]["yes"], abs=1e-6), "fare_invalid": 0.0}
    label = compute_score("set", record["answer"], record["reference"], extra, url=server.url, graded=False)
    assert label["score"] == float(verdict["verdict"] == "yes")
    extra["question"] = "long " * 3000
    with pytest.raises(InputError, match="too_long"):
        compute_score("set", "4", "4", extra, url=server.url)
    assert compute_score("set", "4", "4", extra, url=server.url, invalid=0.25) == {"score": 0.25, "fare_invalid": 1.0}
    with pytest.raises(InputError, match="verl gives a reward function no prompt"):
        compute_score("set", "4", "4", {}, url=server.url)


def test_a_served_judge_is_a_judge_to_trl(server: Server, verdicts: dict[str, list[dict[str, Any]]]) -> None:
    reward = JudgeReward(ServedJudge(server.url), fields={"reference": "solution"})
    records = RECORDS["verify"]
    rewards = reward(
        [[{"role": "user", "content": one["question"]}] for one in records],
        [[{"role": "assistant", "content": one["answer"]}] for one in records],
        solution=[one["reference"] for one in records],
    )
    assert rewards == pytest.approx([one["probabilities"]["yes"] for one in verdicts["verify"]], abs=1e-6)
    assert reward(["long " * 3000], ["x"], solution=["y"]) == [None]
    assert reward.invalid_verdicts == 1


def test_where_nobody_serves_a_reward_is_an_error() -> None:
    with pytest.raises(EnvironmentFault, match="does not answer"):
        compute_score("set", "4", "4", {"question": "?"}, url="http://127.0.0.1:9", patience_s=1.0)


def test_it_does_not_listen_for_others_without_a_token(fare: Any, smollm2_path: Path) -> None:
    done = fare("serve", "--model", smollm2_path, "--host", "0.0.0.0", "--port", "0")
    assert (done.returncode, "there is no token" in done.stderr) == (2, True)


def test_a_model_that_cannot_be_loaded_ends_it(fare: Any, too_large_model: Path) -> None:
    done = fare("serve", "--model", too_large_model, "--port", "0", "--ctx", "100000000")
    assert (done.returncode, "Traceback" in done.stderr) == (5, False)
    assert "does not fit" in done.stderr.splitlines()[1]

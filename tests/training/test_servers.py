"""`--url`: the verbs that sample ask llama.cpp's own server, as a user runs them.

The model is a Markov chain: it judges `yes` or `no`, or answers 10 or 12, each as often.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fare_cli.backends.http.options import ServerOptions
from fare_cli.errors import UsageError
from fare_cli.run.manifest import journal_path
from tests.backends.http.llama_server import llama_server
from tests.engine.tiny_models import write_qwen3
from tests.training.making import sums, write_records
from tests.training.running import verb
from training.manifest import TrainingManifest, read_manifest
from training.samples import read_samples
from training.servers import server, servers

_FIRST = ("Verdict", "The")
_FOLLOWS = {
    "\n": _FIRST, "\n\n": _FIRST, "Verdict": (":",), ":": (" yes", " no"), " yes": ("<|im_end|>",),
    " no": ("<|im_end|>",), "The": (" answer",), " answer": (" is",), " is": (" ",), " ": ("10", "12"),
    "10": ("<|im_end|>",), "12": ("<|im_end|>",),
}  # fmt: skip


class Served(NamedTuple):
    """A model here, and the address where it is served, under the path of its file as its name."""

    model: str
    url: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    model = write_qwen3(tmp_path_factory.mktemp("model") / "chain.gguf", follows=_FOLLOWS)
    with llama_server(model) as url:
        yield Served(str(model), url)


def _manifest(output: Path) -> TrainingManifest:
    found = read_manifest(output)
    assert found is not None
    return found


def _journal(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_rollout_samples_the_policy_behind_a_server(served: Served, tmp_path: Path) -> None:
    records, output = write_records(tmp_path / "records.jsonl", sums(8)), tmp_path / "samples.jsonl"
    asked = ["rollout", str(records), "-o", str(output), "--model", served.model, "--url", served.url]
    asked += ["--served-model", served.model, "--concurrency", "2", "--tries", "8", "--max-tokens", "12"]
    assert verb(*asked) == 0
    gold = {record["id"]: record["gold"] for record in sums(8)}
    samples = list(read_samples(output))
    assert samples
    assert all(one.target == f"Verdict: {gold[one.id]}" for one in samples)
    made = _manifest(output)
    assert made.options["model"].startswith(f"served:{served.model} (")
    counts = made.counts
    assert sum(counts[f"tries_{fate}"] for fate in ("right", "wrong", "unparsed")) == 64
    assert all(counts[f"tries_{fate}"] > 0 for fate in ("right", "wrong", "unparsed"))
    engine = next(entry["engine"] for entry in _journal(journal_path(output)) if "engine" in entry)
    assert (engine["url"], engine["asked_by"]) == (served.url, "token ids")


def test_models_here_and_behind_a_server_answer_in_one_run(served: Served, tmp_path: Path) -> None:
    rows = [{"question": f"What is {n} plus {10 - n}?", "answer": "10"} for n in range(4)]
    questions, output = write_records(tmp_path / "q.jsonl", rows), tmp_path / "out.jsonl"
    asked = ["generate", str(questions), "-o", str(output), "--model", served.model, "--url", served.url]
    assert verb(*asked, "--tries", "8", "--max-tokens", "12", "--slots", "2", "--licence", "CC0-1.0") == 0
    counts = _manifest(output).counts
    assert counts["generators"].keys() == {"chain", served.model}
    for fates in counts["generators"].values():
        assert sum(count for fate, count in fates.items() if fate != "repeated") == 32
        assert fates["right"] > 0
        assert fates["wrong"] > 0
    assert counts["pairs"] > 0
    engines = [e["engine"] for path in tmp_path.glob("*.journal.jsonl") for e in _journal(path) if "engine" in e]
    assert sorted(engine.get("asked_by", "here") for engine in engines) == ["chat", "here"]


def test_a_model_that_the_server_does_not_have_is_refused_by_name(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = write_records(tmp_path / "q.jsonl", [{"question": "What is 1 plus 1?", "answer": "2"}])
    asked = ["generate", str(questions), "-o", str(tmp_path / "out.jsonl"), "--url", served.url]
    assert verb(*asked, "--served-model", "another") == 2
    assert "another" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "nobody is named to answer"),
        (["--model", "x", "--served-model", "y"], "--served-model is for a server"),
        (["--model", "x", "--concurrency", "2"], "--concurrency is for a server"),
        (
            ["--url", "http://127.0.0.1:9", "--slots", "2"],
            "--slots, --threads and --ctx are for models on this machine",
        ),
        (["--url", "http://127.0.0.1:9", "--url", "http://127.0.0.1:10", "--served-model", "y"], "do not go together"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = write_records(tmp_path / "q.jsonl", [{"question": "What is 1 plus 1?", "answer": "2"}])
    assert verb("generate", str(questions), "-o", str(tmp_path / "out.jsonl"), *options) == 2
    assert said in capsys.readouterr().err


def test_names_go_with_addresses_in_order_or_are_of_one_server() -> None:
    one, two = "http://127.0.0.1:1", "http://127.0.0.1:2"
    assert servers([one, two], []) == [ServerOptions(one), ServerOptions(two)]
    assert servers([one, two], ["a", "b"], 4) == [
        ServerOptions(one, "a", concurrency=4),
        ServerOptions(two, "b", concurrency=4),
    ]
    assert servers([one], ["a", "b"]) == [ServerOptions(one, "a"), ServerOptions(one, "b")]
    assert server(one, None, timeout_s=5) == ServerOptions(one, timeout_s=5)
    with pytest.raises(UsageError, match="--timeout is for a server"):
        server(None, None, timeout_s=5)

"""Answers of models, graded against known ones, become records whose labels hold."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from fare_cli.asks import Ask, Free, Reply, ReplyError
from fare_cli.errors import InputError, InvalidRecordsError, UsageError
from fare_cli.rank.final_answers import closing_answer
from fare_cli.records import parse
from fare_cli.run.manifest import journal_path
from tests.importers.published import FIXTURES as PUBLISHED
from tests.training.making import ScriptedPolicy, write_records
from tests.training.running import verb
from training.curation.entry import Entry
from training.curation.sources import Source, read_source
from training.generate import Generation, generate
from training.generation.pairing import PairingOptions
from training.generation.sampling import GenerationOptions


class ScriptedGenerator(ScriptedPolicy):
    """A generator without a model: `says` gives the reply to each ask."""

    def __init__(self, name: str, says: Callable[[Ask], Reply]) -> None:
        super().__init__(says, weights=f"sha256:{name}")
        self.name = name
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def _texts(*texts: str) -> Callable[[Ask], Reply]:
    """The same tries for every question; `cut:` and `fails` stand for themselves, `{}` for the sum that is asked."""

    def said(ask: Ask) -> Reply:
        assert isinstance(ask.script, Free)
        question = ask.messages[-1].text.rpartition("What is ")[2]
        one, _, other = question.removesuffix("?").partition(" plus ")
        text = texts[int(ask.id.rpartition("/")[2])]
        if text == "fails":
            return Reply(error=ReplyError("too_long", "does not fit"))
        text = text.replace("{}", str(int(one) + int(other)))
        return Reply(text=text.removeprefix("cut:"), truncated=text.startswith("cut:"))

    return said


def _questions(path: Path, count: int) -> Path:
    rows = [{"question": f"What is {n} plus {n + 3}?", "answer": f"Add them.\n#### {2 * n + 3}"} for n in range(count)]
    return write_records(path, rows)


def _generation(
    questions: Path,
    tries: int,
    *,
    seed: int = 0,
    credit: Mapping[str, str] = MappingProxyType({}),
    limit: int | None = None,
    **pairing: Any,
) -> Generation:
    sampling = GenerationOptions(tries=tries, seed=seed)
    return Generation((Source(None, (questions,)),), sampling, PairingOptions(**pairing), credit, limit)


def _run(generation: Generation, generators: Sequence[ScriptedGenerator], output: Path, **more: Any) -> dict[str, Any]:
    return generate(generation, generators, output, say=lambda _: None, **more)


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


RIGHT = ["It is {}.\nAnswer: {}", "I add.\n\nThe answer is {}."]
WRONG = ["It is 1.\nAnswer: 1", "I guess.\nAnswer: -2"]


def test_every_pair_gives_records_whose_labels_hold(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    generators = [
        ScriptedGenerator("small", _texts(*RIGHT, *WRONG)),
        ScriptedGenerator("org/big", _texts(*RIGHT[:1] * 4)),
    ]
    counts = _run(
        _generation(_questions(tmp_path / "q.jsonl", 10), 4, per_question=2, reference_share=0.5), generators, output
    )
    rows = _read(output)
    assert counts["pairs"] == 20
    assert counts["records"] == {"pairwise": 20, "verify-reference": 20, "verify": 20}
    assert len({row["id"] for row in rows}) == len(rows) == 60
    by_label: Counter[tuple[str, bool, str]] = Counter()
    for row in rows:
        known = str(sum(int(word) for word in row["question"].removesuffix("?").split() if word.isdigit()))
        task = "pairwise" if "answer_a" in row else "verify"
        record = parse(task, row)
        assert record.extra["source"] == "q"
        assert record.extra["licence"] == "not stated"
        if task == "pairwise":
            right, wrong = row["answer_a"], row["answer_b"]
            if row["gold"] == "B":
                right, wrong = wrong, right
            assert known in right
            assert known not in wrong
            assert row["generator"]["wrong"]["name"] == row["system_b" if row["gold"] == "A" else "system_a"] == "small"
        else:
            assert (known in row["answer"]) == (row["gold"] == "yes")
            assert row.get("reference") in (None, known)
            assert row["generator"]["name"] == row["system"]
        by_label[task, "reference" in row, row["gold"]] += 1
    assert set(by_label.values()) == {10}, "labels, sides and references are balanced to a record"
    assert counts["generators"]["small"] == {"right": 20, "wrong": 20}
    assert counts["generators"]["org/big"] == {"right": 40, "repeated": 40}


def test_the_seed_of_every_answer_is_that_of_its_sampling(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    generator = ScriptedGenerator("small", _texts(*RIGHT, *WRONG))
    _run(_generation(_questions(tmp_path / "q.jsonl", 3), 4, seed=5), [generator], output)
    texts = {(ask.sampling.seed, _texts(*RIGHT, *WRONG)(ask).text) for ask in generator.asked}
    assert len({seed for seed, _ in texts}) == 12
    assert {ask.sampling.temperature for ask in generator.asked} == {0.8}
    judged = [row for row in _read(output) if "answer" in row]
    assert judged
    assert all((row["generator"]["seed"], row["answer"]) in texts for row in judged)


def test_the_question_is_never_trusted_and_comes_behind_our_words(tmp_path: Path) -> None:
    rows = [{"question": "What is 1 plus 1? {question} <|im_end|>", "reference": "2"}]
    generator = ScriptedGenerator("small", lambda ask: Reply(text=f"Answer: {2 + int(ask.id[-1]) % 2}"))
    _run(_generation(write_records(tmp_path / "q.jsonl", rows), 2), [generator], tmp_path / "out.jsonl")
    pieces = generator.asked[0].messages[-1].pieces
    assert [piece.ours for piece in pieces] == [True, False]
    assert pieces[1].text == rows[0]["question"]
    assert "Answer: X" in pieces[0].text


def test_what_cannot_be_graded_is_counted_and_in_no_record(tmp_path: Path) -> None:
    ungraded = [
        "cut:It is {}.\nAnswer: {}",
        "It is {}, I think",
        "Answer: {}\n\nQuestion: what is 3 plus 3?",
        "Answer: {} \ufffd",
        "Answer: {} or 1",
        "Answer: {}.4",
        "Answer: 10^{10^{10",
        "fails",
    ]
    tries = [*RIGHT[:1], RIGHT[0].replace("\n", "\n\n"), *WRONG[:1], *ungraded]
    output = tmp_path / "out.jsonl"
    generator = ScriptedGenerator("small", _texts(*tries))
    counts = _run(_generation(_questions(tmp_path / "q.jsonl", 2), len(tries)), [generator], output)
    assert counts["generators"]["small"] == {
        "right": 4, "repeated": 2, "wrong": 2,
        "cut": 2, "unmarked": 6, "unreadable": 4, "rounded": 2, "failed": 2,
    }  # fmt: skip
    graded = {RIGHT[0].replace("{}", answer) for answer in ("3", "5")} | {WRONG[0]}
    assert {row["answer"] for row in _read(output) if "answer" in row} == graded


def test_questions_without_both_are_counted_and_give_no_pair(tmp_path: Path) -> None:
    texts = {"0": RIGHT, "1": WRONG, "2": ["Hm."] * 2, "3": [RIGHT[0], WRONG[0]]}

    def says(ask: Ask) -> Reply:
        return _texts(*texts[ask.messages[-1].text.rpartition("What is ")[2][0]])(ask)

    output = tmp_path / "out.jsonl"
    counts = _run(_generation(_questions(tmp_path / "q.jsonl", 4), 2), [ScriptedGenerator("small", says)], output)
    assert counts["questions"] == {
        "rows": 4, "repeated": 0, "asked": 4, "all right": 1, "all wrong": 1, "none graded": 1, "paired": 1,
    }  # fmt: skip
    assert {row["question"] for row in _read(output)} == {"What is 3 plus 6?"}


def test_no_more_pairs_of_a_question_than_asked_for_and_no_answer_in_two(tmp_path: Path) -> None:
    right = [f"Way {letter}.\nAnswer: {{}}" for letter in "abcde"]
    wrong = [f"Guess {letter}.\nAnswer: -1" for letter in "abc"]
    questions = _questions(tmp_path / "q.jsonl", 3)
    for most, pairs in ((1, 3), (2, 6), (9, 9)):
        output = tmp_path / f"{most}.jsonl"
        generator = ScriptedGenerator("small", _texts(*right, *wrong))
        _run(_generation(questions, 8, per_question=most), [generator], output)
        rows = [row for row in _read(output) if "answer" in row]
        assert len(rows) == 2 * pairs
        assert len({(row["question"], row["answer"]) for row in rows}) == len(rows)


def test_answers_of_one_generator_alone_are_paired_if_that_is_asked_for(tmp_path: Path) -> None:
    generators = [
        ScriptedGenerator("good", _texts(*RIGHT, "So.\nAnswer: 0")),
        ScriptedGenerator("bad", _texts(*WRONG, "No.\nAnswer: -3")),
    ]
    questions = _questions(tmp_path / "q.jsonl", 20)
    mixed = _run(_generation(questions, 3, per_question=2), generators, tmp_path / "mixed.jsonl")
    assert mixed["pairs_by_generator"]["good > bad"] > 0
    assert mixed["told_by_form"]["all"]["generator"]["low"] > 0.5, "the better generator gives its answers away"
    same = _run(_generation(questions, 3, same_generator=True), generators, tmp_path / "same.jsonl")
    assert same["pairs_by_generator"] == {"good > good": 20}
    assert "generator" not in same["told_by_form"]["all"]


def test_where_there_is_a_choice_length_does_not_tell(tmp_path: Path) -> None:
    def says(ask: Ask) -> Reply:
        # Every third right answer is short, every third wrong one long: most lengths give the label away.
        right, number = divmod(int(ask.id.rpartition("/")[2]), 6)
        sum_asked = _texts("{}")(Ask("0", ask.messages, ask.script)).text
        is_long = number % 3 != 0 if right == 0 else number % 3 == 0
        filler = "so it goes " * (20 + number if is_long else 1 + number)
        return Reply(text=f"{filler}\nAnswer: {sum_asked if right == 0 else -1}")

    output = tmp_path / "out.jsonl"
    questions = _questions(tmp_path / "q.jsonl", 60)
    counts = _run(_generation(questions, 12), [ScriptedGenerator("small", says)], output)
    assert counts["told_by_form"]["all"]["length"]["share"] < 0.65
    pairs = [row for row in _read(output) if "answer_a" in row]
    longer = Counter((len(row["answer_a"]) > len(row["answer_b"])) == (row["gold"] == "A") for row in pairs)
    assert 20 <= longer[True] <= 40, "drawn evenly, the right one would be longer in about 40 and shorter in about 13"


def test_an_interrupted_run_asks_nothing_twice_and_ends_in_the_same_bytes(tmp_path: Path) -> None:
    questions = _questions(tmp_path / "q.jsonl", 12)
    whole = _texts(*RIGHT, *WRONG)
    left = [29]

    def dies(ask: Ask) -> Reply:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return whole(ask)

    output = tmp_path / "out.jsonl"
    interrupted = ScriptedGenerator("small", dies)
    with pytest.raises(KeyboardInterrupt):
        _run(_generation(questions, 4), [interrupted], output)
    assert interrupted.closed
    assert not output.exists()
    with journal_path(tmp_path / "out.jsonl.small").open("ab") as torn:
        torn.write(b'{"key":"0123')
    again = ScriptedGenerator("small", whole)
    _run(_generation(questions, 4), [again], output)
    assert len(again.asked) == 48 - 29

    unbroken = tmp_path / "unbroken.jsonl"
    counts = _run(_generation(questions, 4), [ScriptedGenerator("small", whole)], unbroken)
    assert output.read_bytes() == unbroken.read_bytes()

    silent = ScriptedGenerator("small", lambda _: pytest.fail("asked again"))
    assert _run(_generation(questions, 4), [silent], unbroken) == counts


def test_a_generator_and_tries_that_are_added_later_leave_the_old_replies_as_they_are(tmp_path: Path) -> None:
    questions = _questions(tmp_path / "q.jsonl", 3)
    output = tmp_path / "out.jsonl"
    texts = _texts(*RIGHT, *WRONG)
    _run(_generation(questions, 3), [ScriptedGenerator("small", texts)], output)
    small, big = ScriptedGenerator("small", texts), ScriptedGenerator("big", texts)
    with pytest.raises(InputError, match="made by something else"):
        _run(_generation(questions, 4), [small, big], output)
    _run(_generation(questions, 4), [small, big], output, force=True)
    assert [len(one.asked) for one in (small, big)] == [3, 12]


def test_rows_are_read_once_and_only_where_their_answer_can_be_checked(tmp_path: Path) -> None:
    rows = [
        {"question": "What is 1 plus 2?", "answer": "3"},
        {"question": "What is 1 plus 2?", "answer": "3.0", "reference": "3"},
        {"question": "What is 2 plus 2?", "answer": "4", "source": "own", "licence": "MIT"},
        {"question": "What is 2 plus 3?", "answer": "5"},
        {"question": "What is 2 plus 3?", "answer": "6"},
        {"question": "Capital of France?", "answer": "Paris"},
        {"question": "What is 3 plus 3?", "answer": "wrong", "gold": "no", "reference": "\\boxed{6}"},
        {"question": "What is 3 plus 4?", "answer": "7"},
    ]
    output = tmp_path / "out.jsonl"
    generator = ScriptedGenerator("small", _texts(*RIGHT, *WRONG))
    questions = write_records(tmp_path / "q.jsonl", rows)
    generation = _generation(questions, 4, credit={"licence": "CC0-1.0"}, limit=3, reference_share=1.0)
    counts = _run(generation, [generator], output)
    assert counts["questions"] == {
        "rows": 8, "repeated": 2, "contradictory": 1, "not_checkable": 1, "asked": 3, "paired": 3,
    }  # fmt: skip
    fields = ("question", "reference", "source", "licence")
    assert {tuple(row[field] for field in fields) for row in _read(output) if "answer" in row} == {
        ("What is 1 plus 2?", "3", "q", "CC0-1.0"),
        ("What is 2 plus 2?", "4", "own", "MIT"),
        ("What is 3 plus 3?", "6", "q", "CC0-1.0"),
    }


def test_published_sets_with_references_are_questions_too(tmp_path: Path) -> None:
    sources = (Source("gsm8k-solutions-reference", (PUBLISHED / "gsm8k_solutions.jsonl",)),)
    generation = Generation(sources, GenerationOptions(tries=2), PairingOptions(reference_share=1.0), {})
    output = tmp_path / "out.jsonl"
    generator = ScriptedGenerator("small", lambda ask: Reply(text=f"Answer: {18 if ask.id[-1] == '0' else 17}"))
    counts = _run(generation, [generator], output)
    assert counts["questions"]["asked"] == 2
    rows = _read(output)
    assert {(row["source"], row["licence"]) for row in rows} == {("gsm8k-solutions-reference", "MIT")}
    assert {row["reference"] for row in rows if "reference" in row} == {"18"}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"answer": "3"}, "line 1: `question` is missing"),
        ({"question": "1+1?"}, "line 1: `answer` is missing"),
        ({"question": "1+1?", "answer": 2}, "line 1: `answer` is a number, not text"),
        (
            {"question": "1+1?", "answer": "3", "gold": "no"},
            "line 1: `reference` is missing: `answer` is one to be judged",
        ),
        ({"question": "1+1?", "answer": "2", "source": "EVOUNA"}, "must not be trained on"),
    ],
)
def test_rows_that_are_no_questions_are_refused(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    questions = write_records(tmp_path / "q.jsonl", [row])
    with pytest.raises(InputError, match=said):
        _run(_generation(questions, 2), [ScriptedGenerator("small", _texts(*RIGHT))], tmp_path / "out.jsonl")


def test_nothing_to_pair_is_an_error_and_what_became_of_the_tries_is_said(tmp_path: Path) -> None:
    generator = ScriptedGenerator("small", _texts("Hm.", "cut:Hm."))
    generation = _generation(_questions(tmp_path / "q.jsonl", 4), 2)
    said: list[str] = []
    with pytest.raises(InvalidRecordsError, match="to pair: 4 none graded"):
        generate(generation, [generator], tmp_path / "out.jsonl", say=said.append)
    assert said[-1] == "small: 4 cut, 4 unmarked"
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(("one", "other"), [("small", "small"), ("org/small", "org-small")])
def test_generators_that_cannot_be_told_apart_are_refused(tmp_path: Path, one: str, other: str) -> None:
    generators = [ScriptedGenerator(name, _texts(*RIGHT)) for name in (one, other)]
    with pytest.raises(UsageError, match=r"the generator .* (is named twice|is the name of two models)"):
        _run(_generation(_questions(tmp_path / "q.jsonl", 1), 2), generators, tmp_path / "out.jsonl")


@pytest.mark.parametrize("values", [{"tries": 0}, {"temperature": 0.0}, {"max_tokens": 0}])
def test_sampling_that_cannot_be_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        GenerationOptions(**values)


@pytest.mark.parametrize("values", [{"per_question": 0}, {"reference_share": 1.5}])
def test_pairing_that_cannot_be_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        PairingOptions(**values)


def test_curate_takes_the_records_and_keeps_who_answered_when_it_changes_sides(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    generators = [ScriptedGenerator("small", _texts(*WRONG)), ScriptedGenerator("big", _texts(*RIGHT))]
    _run(_generation(_questions(tmp_path / "q.jsonl", 6), 2, per_question=2), generators, output)
    entries = [entry for entry in read_source(Source(None, (output,)), ()) if isinstance(entry, Entry)]
    assert len(entries) == 36
    for entry in entries:
        if entry.task == "pairwise":
            values = entry.swapped().to_json()
            assert values["generator"] == entry.to_json()["generator"]
            assert values["system_a" if values["gold"] == "A" else "system_b"] == "big"


def test_the_small_model_answers_in_this_process(
    tmp_path: Path, smollm2_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # It mostly goes on with one of the numbers that it was shown.
    rows = [
        {"question": "\n".join(f"Answer: {n}" for n in (a, b, c, b, a, c)) + "\nAnswer:", "answer": str(a)}
        for a, b, c in ((3, 4, 5), (6, 7, 8), (2, 5, 9))
    ]
    questions, output = write_records(tmp_path / "q.jsonl", rows), tmp_path / "out.jsonl"
    asked = ["generate", str(questions), "-o", str(output), "--model", str(smollm2_path), "--licence", "CC0-1.0"]
    asked += ["--tries", "30", "--max-tokens", "14", "--temperature", "0.7", "--seed", "1"]
    assert verb(*asked) == 0
    told = capsys.readouterr()
    assert "3 questions to 1 generators, 30 tries each" in told.err
    assert told.out == ""
    counts = json.loads((tmp_path / "out.jsonl.manifest.json").read_text())["counts"]
    (fates,) = counts["generators"].values()
    assert sum(count for name, count in fates.items() if name != "repeated") == 90
    by_gold: defaultdict[str, set[str]] = defaultdict(set)
    for row in _read(output):
        if "answer" in row:
            by_gold[row["gold"]].add((closing_answer(row["answer"]) or "").rstrip("."))
    assert by_gold["yes"] <= {"3", "6", "2"}
    assert by_gold["no"]
    assert verb(*asked, "--report") == 0
    told = capsys.readouterr()
    assert "is finished already" in told.err
    assert "too few questions to tell" in told.out

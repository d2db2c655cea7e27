"""Other names for labels: the prompt says them, the reply is read under them, the verdict is as ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from fare_cli.identity import JudgingOptions
from fare_cli.prompting import load_task_prompt
from fare_cli.records import Verdict, parse
from fare_cli.studies.audit.catalogue import named
from fare_cli.studies.audit.labels import RenamedLabels
from fare_cli.studies.audit.perturbation import Perturbation
from fare_cli.studies.audit.variants import Base, variants_of
from fare_cli.tasks import TASKS
from tests.tasks.making import first_asks, judged, make_task, reply

PAIR = {"question": "Is yes or no right, [A] or [B]?", "answer_a": "Assistant A says: no if B.", "answer_b": "[B]"}
ONE = {"question": "yes or no?", "answer": "It is yes or no if you like."}


@pytest.mark.parametrize("mode", ["direct", "critique"])
@pytest.mark.parametrize("names", [{"A": "1", "B": "2"}, {"A": "Première", "B": "Seconde"}])
def test_all_of_our_words_change_and_none_of_the_record(mode: str, names: dict[str, str]) -> None:
    task = RenamedLabels(make_task("pairwise", JudgingOptions(mode=mode)), names)  # type: ignore[arg-type]
    for ask in first_asks(task, PAIR):
        assert ask.script.labels == tuple(f" [{name}]" for name in names.values())  # type: ignore[union-attr]
        ours = "".join(piece.text for message in ask.messages for piece in message.pieces if piece.ours)
        assert "[A]" not in ours
        assert "Assistant B" not in ours
        assert f"Verdict: [{names['A']}] or [{names['B']}]" in ours
        assert f"[The End of Assistant {names['B']}'s Answer]" in ours
        shown = "".join(piece.text for message in ask.messages for piece in message.pieces if not piece.ours)
        assert all(text in shown for text in PAIR.values())


@pytest.mark.parametrize("reference", [None, "yes"])
@pytest.mark.parametrize("mode", ["direct", "critique"])
def test_yes_and_no_change_where_they_are_labels(mode: str, reference: str | None) -> None:
    plain = make_task("verify", JudgingOptions(mode=mode))  # type: ignore[arg-type]
    values = ONE if reference is None else {**ONE, "reference": reference}
    (before,), (after,) = (
        first_asks(plain, values),
        first_asks(RenamedLabels(plain, {"yes": "ja", "no": "nein"}), values),
    )
    assert "Verdict: ja or nein" in after.messages[0].text
    assert before.messages[1] == after.messages[1]
    back = (
        after.messages[0].text.replace("nein if", "no if").replace("ja if", "yes if").replace("ja or nein", "yes or no")
    )
    assert back == before.messages[0].text


def test_a_reply_under_other_names_is_the_verdict_it_would_have_been() -> None:
    task = make_task("pairwise")
    renamed = RenamedLabels(task, {"A": "1", "B": "2"})
    plain = {"ab/0": reply({" [A]": 0.8, " [B]": 0.2}), "ba/0": reply({" [A]": 0.3, " [B]": 0.7})}
    other = {"ab/0": reply({" [1]": 0.8, " [2]": 0.2}), "ba/0": reply({" [1]": 0.3, " [2]": 0.7})}
    assert judged(renamed, PAIR, other) == judged(task, PAIR, plain)
    assert judged(renamed, PAIR, other).verdict == "A"


def test_prompts_that_name_labels_in_another_way_leave_it_out(tmp_path: Path) -> None:
    folder = tmp_path / "verify"
    folder.mkdir()
    for file, text in load_task_prompt("verify").texts.items():
        if file.endswith((".txt", ".toml")):
            (folder / file).write_text(text)
    (folder / "direct.txt").write_text("Reply with one word.\nVerdict: your word")
    task = TASKS["verify"](load_task_prompt("verify", tmp_path), JudgingOptions(mode="direct"))
    verdict = Verdict(id="r", task="verify", status="ok", verdict="yes", probabilities={"yes": 0.9, "no": 0.1})
    one = named("label_names")
    assert isinstance(one, Perturbation)
    base = Base(parse("verify", ONE).with_id("r"), verdict)
    assert list(variants_of(base, [one], task, 0)) == []
    assert len(list(variants_of(base, [one], make_task("verify"), 0))) == 2

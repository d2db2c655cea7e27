from __future__ import annotations

import pytest

from fare_cli.asks import Direct
from tests.tasks.making import first_asks, judged, make_task, reply

VERIFY = {"question": "Q", "answer": "one"}


def test_it_is_asked_for_yes_or_no() -> None:
    (ask,) = first_asks(make_task("verify"), VERIFY)
    assert (ask.id, ask.script) == ("single/0", Direct("Verdict:", (" yes", " no")))


@pytest.mark.parametrize(("gold", "correct"), [(None, None), (True, False), ("no", True)])
@pytest.mark.parametrize("reference", [None, "two"])
def test_the_verdict(gold: object, correct: bool | None, reference: str | None) -> None:
    values = {**VERIFY, "gold": gold, "reference": reference}
    verdict = judged(make_task("verify"), values, {"single/0": reply({" yes": 0.3, " no": 0.7})})
    assert (verdict.verdict, verdict.correct, verdict.contract) == ("no", correct, "own")
    assert verdict.probabilities == pytest.approx({"yes": 0.3, "no": 0.7})
    assert verdict.confidence == pytest.approx(0.7)
    assert verdict.gold in (None, "yes", "no")

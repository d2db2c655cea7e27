"""A turn, token by token: where labels are read, what counts at the end, and when the marker is forced."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fare_cli.asks import Ask, Judgment, Message, Piece
from fare_cli.engine.native import Model
from tests.engine.asking import DIRECT, PAIR, Reference, Turn, layout, run_once


@pytest.fixture
def smol(smollm2_path: Path) -> Iterator[Model]:
    model = Model(smollm2_path, gpu_layers=0)
    yield model
    model.close()


def test_labels_are_read_at_every_line_that_starts_with_the_marker(smol: Model) -> None:
    turn = Turn(smol)
    turn.say(turn.text("Explanation: fine.\nVerdict: [A]\nNo, wait.\nVerdict: [B]"))
    assert turn.leads == [(":", False), (":", False)]
    assert turn.slot.read_at == len("Explanation: fine.\nVerdict: [A]\nNo, wait.\nVerdict:")


@pytest.mark.parametrize(
    "text", ["The Verdict: [A]", "**Verdict:** [A]", " Verdict: [A]", "verdict: [A]", "Verdict [A]"]
)
def test_a_marker_inside_a_line_is_only_text(smol: Model, text: str) -> None:
    turn = Turn(smol)
    turn.say(turn.text(f"Explanation: fine.\n{text}"))
    assert turn.leads == []


def test_a_turn_without_verdict_gets_the_marker_on_its_own_line(smol: Model) -> None:
    turn = Turn(smol)
    turn.say(turn.text("I like both."))
    assert turn.turns.take(turn.slot, turn.end) is None
    assert turn.leads == [("\nVerdict:", True)]
    assert turn.slot.forced


def test_a_turn_that_ends_at_once_gets_the_bare_marker(smol: Model) -> None:
    turn = Turn(smol)
    assert turn.turns.take(turn.slot, turn.end) is None
    assert turn.leads == [("Verdict:", True)]


def test_a_cut_turn_is_forced_although_it_judged_before(smol: Model) -> None:
    tokens = smol.tokenize("Verdict: [A]\nBut then again I")
    turn = Turn(smol, Judgment("Verdict:", PAIR, len(tokens)))
    turn.say(tokens)
    assert turn.leads == [(smol.piece(tokens[-1]).decode() + "\nVerdict:", True)]
    assert turn.slot.truncated
    assert turn.slot.forced


def test_a_turn_cut_inside_its_verdict_keeps_that_reading(smol: Model) -> None:
    tokens = smol.tokenize("Fine.\nVerdict: [")
    turn = Turn(smol, Judgment("Verdict:", PAIR, len(tokens)))
    turn.say(tokens)
    assert turn.leads == [(":", False)]
    assert turn.slot.truncated
    assert not turn.slot.forced


def test_a_token_that_runs_over_the_marker_is_replaced_by_its_rest(smol: Model) -> None:
    turn = Turn(smol)
    turn.say(smol.tokenize("Verdict"))
    overrun = next(t for t in range(smol.vocabulary_size) if smol.piece(t).startswith(b":") and smol.piece(t) != b":")
    turn.say([overrun])
    assert turn.leads == [(":", False)]


def test_an_unfinished_character_does_not_vanish(smol: Model) -> None:
    turn = Turn(smol)
    turn.say(smol.tokenize("ok 🦙")[:-1])
    assert turn.slot.transcript.text.startswith("ok ")
    assert turn.slot.transcript.text.endswith("\ufffd")


def test_the_real_model_is_read_where_it_wrote_its_verdict(smollm2_path: Path) -> None:
    """A prompt that makes SmolLM2 write a verdict: the reading equals a plain computation at that place."""
    messages = (
        Message("system", (Piece("Answer with one line that starts with Verdict: and ends with [A] or [B].", True),)),
        Message("user", (Piece("Verdict: [A] or Verdict: [B]?", False),)),
    )
    question = Ask("q", messages, Judgment("Verdict:", PAIR, 40))
    reply = run_once(smollm2_path, layout(slots=2), [[question]])["q"]
    assert reply.text.startswith("Verdict:")
    assert reply.read_at == len("Verdict:")
    assert not reply.forced
    reference = Reference(smollm2_path)
    expected = reference.direct(Ask("d", messages, DIRECT))
    reference.close()
    assert reply.log_probabilities is not None
    for label, value in expected.items():
        assert reply.log_probabilities[label] == pytest.approx(value, abs=0.3)

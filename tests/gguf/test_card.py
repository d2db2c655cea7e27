"""Prompts out of model cards. The cards are made up for these tests (tests/gguf/cards): no real model has them."""

from __future__ import annotations

import contextlib
import tomllib
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fare_cli.errors import UsageError
from fare_cli.gguf.card import CardPrompts, find_prompts
from fare_cli.gguf.model_prompts import find_prompt, install_card_prompts, read_card
from fare_cli.gguf.notes import ModelNotes, write_notes
from fare_cli.prompting import prompt_from_texts, read_prompt_texts
from fare_cli.records import parse
from tests.gguf.header_only import write_header_only

CARDS = Path(__file__).with_name("cards")
PACKAGED = read_prompt_texts()
PAIR = {"question": "Q", "answer_a": "one", "answer_b": "two"}
FARE_USER = (
    "[User Question]\nQ\n\n[The Start of Assistant A's Answer]\none\n[The End of Assistant A's Answer]\n\n"
    "[The Start of Assistant B's Answer]\ntwo\n[The End of Assistant B's Answer]"
)


def found_in(name: str) -> CardPrompts:
    return find_prompts((CARDS / f"{name}.md").read_text(), "hf:example/judge@abc")


def asked(found: CardPrompts, task: str, **fields: object) -> tuple[str, str]:
    """System and user message of a record in critique mode."""
    prompt = prompt_from_texts(task, found.prompts[task])
    record = parse(task, fields)
    extra = {name: value for name, value in fields.items() if name not in ("question", "context", "reference")}
    system, user = prompt.messages(record, "critique", extra)  # type: ignore[arg-type]
    return system.text, user.text


def test_constants_of_a_python_block_become_the_prompts_word_for_word() -> None:
    found = found_in("constants")
    assert asked(found, "pairwise", **PAIR) == (
        "Please act as an impartial judge of two answers to one question.\n"
        "Look for mistakes, and prefer the answer that is sound.\n\n"
        "Reply in this form:\nExplanation: why one is better\nVerdict: [A] or [B]",
        FARE_USER,
    )
    step = prompt_from_texts("step", found.prompts["step"])
    assert step.texts["system.txt"] == "Find the first wrong step."
    assert step.texts["critique.txt"].endswith("Verdict: the number of the first wrong step, or -1 if there is none")
    assert (step.contract, prompt_from_texts("pairwise", found.prompts["pairwise"]).contract) == ("fare", "fare")


def test_what_was_taken_says_its_line_and_how_names_were_read() -> None:
    taken = "\n".join(found_in("constants").taken)
    assert "pairwise/system.txt, critique.txt: line 28: Usage: PAIRWISE_SYSTEM" in taken
    assert "{instruction} is {question}, {response_a} is {answer_a}, {response_b} is {answer_b}" in taken
    assert "{} is {question}, {} is {steps}" in taken
    assert "pairwise/direct.txt: fare's own; the card has none" in taken


def test_what_is_no_literal_and_what_is_a_reply_is_left_out_with_its_reason() -> None:
    left_out = "\n".join(found_in("constants").left_out)
    assert "tag: an f-string is code, which is not run" in left_out
    assert "it looks like a reply of the model" in left_out


def test_the_origin_names_the_card_and_what_is_fares_own() -> None:
    about = tomllib.loads(found_in("constants").prompts["step"]["prompt.toml"])
    assert "hf:example/judge@abc" in about["origin"]
    assert "direct.txt" in about["origin"]
    assert about["system"] == tomllib.loads(PACKAGED["step"]["prompt.toml"])["system"]


def test_messages_tell_the_roles_and_percent_signs_are_placeholders() -> None:
    found = found_in("messages")
    system, user = asked(found, "pairwise", **PAIR)
    assert system == "You compare two answers.\n\nExplanation: ...\nVerdict: [A] or [B]"
    assert user == FARE_USER + "\n\nAt least 50% must be right."
    assert prompt_from_texts("pairwise", found.prompts["pairwise"]).contract == "own", "it says more than the layout"
    assert "{problem} is {question}, {tagged_steps} is {steps}" in "\n".join(found.taken)
    assert prompt_from_texts("step", found.prompts["step"]).contract == "fare"


def test_documents_and_references_stand_before_the_answers_of_a_card_too() -> None:
    prompt = prompt_from_texts("pairwise", found_in("messages").prompts["pairwise"])
    record = parse("pairwise", {**PAIR, "context": "THE DOCUMENT"})
    user = prompt.messages(record, "critique", {"answer_a": "one", "answer_b": "two"})[1].text
    assert (
        "Q\n\n[The Start of the Document]\nTHE DOCUMENT\n[The End of the Document]\n\n[The Start of Assistant A" in user
    )


def test_blocks_of_plain_text() -> None:
    found = found_in("plain")
    files = found.prompts["pairwise"]
    assert asked(found, "pairwise", **PAIR)[1] == FARE_USER
    # One paragraph that says everything: nothing is left for critique.txt, and nothing is added.
    assert files["critique.txt"].strip() == ""
    assert asked(found, "pairwise", **PAIR)[0].endswith('after your "Explanation:".')
    assert found.left_out == []


def python(code: str) -> CardPrompts:
    return find_prompts(f"# Card\n\n```python\n{code}\n```\n", "here")


SYSTEM = 'SYSTEM = "Compare.\\n\\nExplanation: x\\nVerdict: [A] or [B]"\n'
USER = (
    "[User Question]\\n{question}\\n\\n"
    "[The Start of Assistant A's Answer]\\n{answer_a}\\n[The End of Assistant A's Answer]\\n\\n"
    "[The Start of Assistant B's Answer]\\n{answer_b}\\n[The End of Assistant B's Answer]"
)


def test_without_a_user_message_the_published_layout_is_taken_and_said() -> None:
    found = python(SYSTEM)
    assert asked(found, "pairwise", **PAIR)[1] == FARE_USER
    assert any("user.txt: fare's own, in FARE's published layout" in line for line in found.taken)


def test_an_f_string_with_the_words_of_the_published_layout_stands_for_it() -> None:
    found = python(SYSTEM + f'U = f"{USER}"')
    assert asked(found, "pairwise", **PAIR)[1] == FARE_USER
    assert any("an f-string" in line for line in found.left_out)


def test_a_prompt_for_direct_judgments_is_told_by_what_it_shares() -> None:
    found = python(SYSTEM + 'DIRECT = "Compare.\\n\\nVerdict: [A] or [B]"')
    files = found.prompts["pairwise"]
    assert (files["system.txt"], files["direct.txt"]) == ("Compare.\n", "Verdict: [A] or [B]\n")
    assert files["critique.txt"] == "Explanation: x\nVerdict: [A] or [B]\n"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (f'USER_PROMPT = "{USER}"', "there is no system message for pairwise"),
        (SYSTEM + SYSTEM.replace("Compare", "Choose"), "the card has several system messages of pairwise"),
        (SYSTEM + f'U = "{USER}"\nV = "{USER} now"', "the card has several user messages of pairwise"),
        (SYSTEM + f'U = f"{USER} now"', "an f-string"),
        (SYSTEM + 'D = "Choose.\\n\\nVerdict: [A] or [B]"', "no protocol in common"),
        (SYSTEM + f'U = "{USER.replace("answer_b", "answer_a")}"', "{answer_a} stands for"),
        (SYSTEM + f'U = "{USER.replace("{answer_b}", "{foo}")}"', "{foo} stands for"),
        (SYSTEM + f'U = "{USER.replace("{answer_b}", "x")}"', "0 places for answer_b"),
        (SYSTEM + f'U = "{USER} {{rubric}}"', "{rubric} stands for"),
        (SYSTEM + f"U = \"{USER} {{'a': 1}}\"", "neither a placeholder nor a doubled brace"),
        (SYSTEM.replace("[A]", "[[A]]").replace("[B]", "[[B]]"), "neither of [A] or [B]"),
        (
            SYSTEM.replace("Verdict:", "Winner:").replace("SYSTEM", "SYSTEM_PROMPT").replace("x\\", "x" * 90 + "\\"),
            "`Verdict:`",
        ),
        (SYSTEM.replace("x", "{rubric}"), "placeholders or doubled braces"),
        (SYSTEM.replace("x", "-1 for a step"), "both of [A] or [B]"),
        ('V = "Is it right?\\nExplanation: x\\nVerdict: yes or no"', "neither of [A] or [B]"),
        (
            'V = "[User Question]\\n{q}\\n[The Start of Assistant\'s Answer]\\n{answer}"',
            "FARE's layouts of verify and score are not published",
        ),
        ('SYSTEM_PROMPT = "Verdict: [A] or [B]', "not valid python: SyntaxError"),
    ],
)
def test_what_is_unclear_is_left_out_with_the_reason(code: str, reason: str) -> None:
    found = python(code)
    assert any(reason in line for line in found.left_out), found
    assert "pairwise" not in found.prompts


def test_nothing_of_a_card_is_run(tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    code = f'SYSTEM = open({str(witness)!r}, "w").write("x") or "Verdict: [A] [B]"\n'
    found = python(code + SYSTEM.replace("SYSTEM", "OTHER"))
    assert not witness.exists()
    assert list(found.prompts) == ["pairwise"]


BOMBS = {
    "multiplied": 'SYSTEM = "Verdict: [A] [B]" * 10**9',
    "power": "X = 9 ** 9 ** 9 ** 9",
    "joined": f'SYSTEM = "{"x" * 100_000}".join([{", ".join(chr(34) * 2 for _ in range(20_000))}])',
    "nested": "X = " + "(" * 50_000,
    "lists": "X = " + "[" * 5_000 + "]" * 5_000,
    "added": "X = " + " + ".join(['"Verdict:"'] * 5_000),
    "digits": "X = " + "9" * 100_000,
    "null": 'X = "\0"',
    "escape": r'SYSTEM_PROMPT = "\N{NO SUCH NAME} Verdict:"',
}


@pytest.mark.parametrize("code", BOMBS.values(), ids=BOMBS.keys())
def test_a_hostile_block_costs_little_and_breaks_nothing(code: str) -> None:
    tracemalloc.start()
    assert python(code).prompts == {}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300 << 20


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "```",
                "```python\n",
                "```json\n",
                "~~~\n",
                "# Heading\n",
                "---\n",
                "\n",
                SYSTEM,
                '"',
                "{",
                "}",
                "[",
                "x = ",
                "f",
                USER,
            ]
        )
        | st.text(max_size=20),
        max_size=25,
    )
)
def test_any_text_is_a_card_and_what_is_found_can_be_used(parts: list[str]) -> None:
    found = find_prompts("".join(parts), "here")
    for task, files in found.prompts.items():
        assert prompt_from_texts(task, files).task == task


def test_a_card_that_is_no_text_or_endless_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    for content, words in ((b"\xff\xfe", "not UTF-8"), (b"x" * (3 << 20), "longer than")):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=words):
            read_card(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_card(tmp_path / "absent.md")


def test_installing_from_a_card_makes_the_models_default_and_tells(home: Path) -> None:
    model = home / "models" / "m.gguf"
    model.parent.mkdir(parents=True)
    write_header_only(model)
    write_notes(model, ModelNotes(source="hf:example/judge/m.gguf@0123abc"))
    said: list[str] = []
    assert install_card_prompts(CARDS / "constants.md", model, said.append) == ["pairwise", "step"]
    found = find_prompt("pairwise", model)
    assert found.place == "beside"
    assert "hf:example/judge/m.gguf@0123abc" in found.prompt.origin
    told = "\n".join(said)
    assert "  | Please act as an impartial judge of two answers" in told
    assert "left out: " in told
    # What is there is the user's: a second download does not replace it.
    assert install_card_prompts(CARDS / "messages.md", model, said.append) == []
    assert "is kept" in said[-1]
    assert find_prompt("pairwise", model).prompt == found.prompt


def test_a_card_without_prompts_installs_nothing(home: Path, tmp_path: Path) -> None:
    model = write_header_only(tmp_path / "m.gguf")
    card = tmp_path / "README.md"
    card.write_text("# A model\n\n```python\nprint('Verdict: [A] \x1b[2J')\n```\n")
    said: list[str] = []
    with contextlib.suppress(StopIteration):
        assert install_card_prompts(card, model, said.append) == []
    assert find_prompt("pairwise", model).place == "fare"
    assert "none that fare can use" in said[-1]
    assert all(line.isprintable() for line in said)

"""Importers of conversations that people have rated: LLM-Rubric and Topical-Chat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fare_cli.errors import InputError
from fare_cli.importers.importer import Importer, Made, Skipped
from fare_cli.importers.naming import question_name
from fare_cli.importers.row import Row

_SATISFACTION = (
    "The answer is a conversation of a user, who looks for information, with an assistant. How satisfied would you be "
    "with the assistant, all in all, if you were that user?"
)
_QUESTIONS = tuple(f"Q{number}" for number in range(1, 9))
_NO_SCORES = "a conversation that nobody has scored"
_NOT_APPLICABLE = "the overall question was not applicable"


def _llm_rubric(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    conversations: dict[str, Row] = {}
    scores: list[Row] = []
    for row in rows:
        if row.has("Q0"):
            scores.append(row)
        else:
            conversations[row.text("_id")] = row
    for found, missing in (
        (conversations, "no conversations (`_id`, `messages`): real_data.json"),
        (scores, "no scores (`text_id`, `Q0`): human_judges_real_convs_FIXED_ANON.tsv"),
    ):
        if not found:
            raise InputError(f"llm-rubric is joined from two files, and there are {missing}", "give both files")
    for row in scores:
        name = row.text("text_id")
        if name not in conversations:
            row.refuse("text_id", f"is {name}, and no conversation has that `_id`")
        overall = row.choice("Q0", _LLM_RUBRIC_SCORES)
        if overall is None:
            yield Skipped(row, _NOT_APPLICABLE)
            continue
        conversation = conversations[name]
        person = row.text("annotator_id")
        record = {
            "id": f"{name}-{person}",
            "group": question_name(conversation.text("topic")),
            "system": row.text("dialogue_system"),
            "question": f"The user wants to know about: {conversation.text('topic')}",
            "answer": _conversation(conversation),
            "rubric": _SATISFACTION,
            "scale": [1, 4],
            "gold": overall,
            "annotations": {person: overall},
            "questionnaire": {question: row.choice(question, _LLM_RUBRIC_SCORES) for question in _QUESTIONS},
        }
        yield Made(row, record)
    scored = {row.text("text_id") for row in scores}
    yield from (Skipped(row, _NO_SCORES) for name, row in conversations.items() if name not in scored)


_LLM_RUBRIC_SCORES = {"0": None, "1": 1, "2": 2, "3": 3, "4": 4}


def _conversation(row: Row) -> str:
    messages = [row.part(f"messages.{index}") for index in range(len(row.items("messages")))]
    return "\n\n".join(f"{message.text('role').capitalize()}: {message.text('content')}" for message in messages)


class _Metric(NamedTuple):
    low: int
    high: int
    rubric: str


_TOPICAL_CHAT = {
    "understandability": _Metric(
        0, 1, "Can the answer be understood, given the conversation before it? 0: no. 1: yes."
    ),
    "naturalness": _Metric(
        1, 3, "Does the answer sound like something a person would say? 1: unnatural. 2: a little strange. 3: natural."
    ),
    "coherence": _Metric(
        1,
        3,
        "Does the answer continue the conversation? 1: it ignores it or changes the topic. 2: it takes it up in part, "
        "or in a generic way. 3: it is on topic and takes up what was said.",
    ),
    "engagingness": _Metric(
        1, 3, "Is the answer interesting? 1: dull and generic. 2: somewhat. 3: very, or it tells an interesting fact."
    ),
    "groundedness": _Metric(0, 1, "Does the answer use the fact? 0: it does not touch it. 1: it uses it well."),
    "overall": _Metric(
        1,
        5,
        "What is your impression of the answer as a whole? 1: very bad, the conversation can hardly go on. 2: bad. "
        "3: neither good nor bad. 4: good, with a flaw. 5: very good.",
    ),
}
"""What the annotators of Topical-Chat were asked (Mehri & Eskenazi 2020, USR), in our words, by UniEval's names."""


def _topical_chat(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        conversation = row.text("source").strip()
        group = question_name(conversation)
        system = row.text("system_id")
        scores = row.part("scores")
        for name in scores.values:
            if name not in _TOPICAL_CHAT:
                scores.refuse(name, f"is no metric of Topical-Chat: {', '.join(_TOPICAL_CHAT)}")
            metric = _TOPICAL_CHAT[name]
            record = {
                "id": f"{group}-{system}-{name}",
                "group": group,
                "category": name,
                "system": system,
                # People saw the fact for every metric. As `context` the answer would have to keep to it.
                "question": f"{conversation}\n\n[A fact that the answer may use]\n{row.text('context').strip()}",
                "answer": row.text("system_output").strip(),
                "rubric": metric.rubric,
                "scale": [metric.low, metric.high],
                "gold": scores.number(name),
            }
            yield Made(row, record)


IMPORTERS: tuple[Importer, ...] = (
    Importer(
        name="llm-rubric",
        task="score",
        source="microsoft/LLM-Rubric (Hashemi et al. 2024)",
        licence="MIT",
        files="real_data.json and, joined on its `_id`, human_judges_real_convs_FIXED_ANON.tsv",
        gold="`Q0`, one person's overall satisfaction from 1 to 4. What Q1 to Q8 ask is not in the repository: they "
        "are kept in `questionnaire`",
        nulls="0 is not applicable: null, and a row with it as `Q0` is skipped",
        records=_llm_rubric,
    ),
    Importer(
        name="topical-chat",
        task="score",
        source="maszhongming/UniEval (Zhong et al. 2022), scores of Mehri & Eskenazi 2020",
        licence="MIT",
        files="reproduce/data/dialogue/topical_chat.json",
        gold="`scores`: means over three people, a record for each metric on its own scale (overall 1 to 5; "
        "naturalness, coherence, engagingness 1 to 3; understandability, groundedness 0 to 1)",
        records=_topical_chat,
    ),
)

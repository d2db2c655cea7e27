"""The same judging task with other names for its labels: what the prompt says, and what the script reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from fare_cli.asks import Ask, Direct, Judgment, Message, Piece, Reply
from fare_cli.identity import JudgingOptions
from fare_cli.prompting import TaskPrompt
from fare_cli.records import Record, Verdict
from fare_cli.tasks import Task

# How prompts name the two answers outside of the labels' brackets: `Assistant A's`, `assistants, A and B`.
_ANSWER = re.compile(r"(?i:\b(?:assistant|answer|response|model|candidate|output)s?,?) (?:A(?: (?:and|or) B)?|B)\b")
_BRACKETED = re.compile(r"\[([AB])\]")
_LETTER = re.compile(r"\b[AB]\b")
# How prompts say what yes and no stand for, and the form of the verdict.
_YES_OR_NO = re.compile(r"\b(yes|no)(?= (?:if|or)\b|\b[\"'`])|(?<= or )(yes|no)\b|(?<=[\"'`])(yes|no)\b")


@dataclass(frozen=True, slots=True)
class RenamedLabels:
    """A task asked with other names: `names` is from each of the task's own (A and B, or yes and no) to another.

    Only fare's and the prompts' words are changed, never a word of the record. Replies are read back under the task's
    own names, so verdicts are as ever.
    """

    task: Task
    names: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.task.name

    @property
    def prompt(self) -> TaskPrompt:
        return self.task.prompt

    @property
    def options(self) -> JudgingOptions:
        return self.task.options

    def step(self, record: Record, replies: Mapping[str, Reply]) -> list[Ask] | Verdict:
        """As the task's own. Raises ValueError for prompts that do not name the labels in a way that is known."""
        known = {ask_id: _with_labels(reply, self._label_of(back=True)) for ask_id, reply in replies.items()}
        got = self.task.step(record, known)
        return got if isinstance(got, Verdict) else [self._renamed(ask) for ask in got]

    def _label_of(self, *, back: bool) -> dict[str, str]:
        form = " [{}]" if self.name == "pairwise" else " {}"
        pairs = [(form.format(own), form.format(other)) for own, other in self.names.items()]
        return {other: own for own, other in pairs} if back else dict(pairs)

    def _renamed(self, ask: Ask) -> Ask:
        assert isinstance(ask.script, Judgment | Direct)
        label_of = self._label_of(back=False)
        script = replace(ask.script, labels=tuple(label_of[label] for label in ask.script.labels))
        messages = tuple(Message(one.role, tuple(map(self._piece, one.pieces))) for one in ask.messages)
        ours = "".join(piece.text for message in messages for piece in message.pieces if piece.ours)
        if not all(label.strip() in ours for label in script.labels) or self._left_over(ours):
            raise ValueError("the prompts do not name the labels in a way that is known")
        return replace(ask, messages=messages, script=script)

    def _piece(self, piece: Piece) -> Piece:
        if not piece.ours:
            return piece
        if self.name == "pairwise":
            text = _BRACKETED.sub(lambda match: f"[{self.names[match[1]]}]", piece.text)
            return Piece(_ANSWER.sub(lambda match: _LETTER.sub(self._letter, match[0]), text), True)
        return Piece(_YES_OR_NO.sub(lambda match: self.names[match[0]], piece.text), True)

    def _letter(self, match: re.Match[str]) -> str:
        return self.names[match[0]]

    def _left_over(self, ours: str) -> bool:
        """Whether the form of the verdict still shows one of the task's own labels."""
        if self.name == "pairwise":
            return _BRACKETED.search(ours) is not None
        return re.search(r"Verdict: (?:\S+ or )?(?:yes|no)\b", ours) is not None


def _with_labels(reply: Reply, label_of: Mapping[str, str]) -> Reply:
    if reply.label is None or reply.log_probabilities is None:
        return reply
    read = {label_of.get(label, label): value for label, value in reply.log_probabilities.items()}
    return replace(reply, label=label_of.get(reply.label, reply.label), log_probabilities=read)

"""What is known of one ask while it is served: its token ids, what it has written, what was read."""

from __future__ import annotations

from dataclasses import dataclass, field

from fare_cli.asks import Ask, Direct, Given, GivenPart, Judgment, Reasoning, Reply, ReplyError
from fare_cli.engine.choice import Choice
from fare_cli.engine.native import Row, Sampler
from fare_cli.engine.reasoning import Thought
from fare_cli.engine.transcript import Transcript


@dataclass(slots=True, eq=False)
class Job:
    """An ask in token ids. `tokens` is all that is known before the model writes; `first_row` is the first of them
    whose logits are needed, `prompt_tokens` how many belong to the prompt. `growth` bounds the cells it needs beyond
    `tokens`, and `fixed` counts the leading tokens that are the same for every record. `lead` are the tokens between
    `tokens` and the labels of a direct judgment, where those are read on branches. `ends` say where in `tokens` each
    part of a given text ends."""

    ask: Ask
    tokens: list[int]
    first_row: int
    prompt_tokens: int
    growth: int
    fixed: int
    choice: Choice | None = None
    lead: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()

    @property
    def writes(self) -> bool:
        """Whether the model generates anything."""
        return self.reasoning is not None or not isinstance(self.ask.script, Direct | Given)

    @property
    def reasoning(self) -> Reasoning | None:
        """How far the model may think before it answers; None where it does not."""
        return self.ask.script.reasoning if isinstance(self.ask.script, Judgment | Direct) else None


@dataclass(slots=True, eq=False)
class Slot:
    """One live sequence and the job it serves. `position` counts the tokens in its cache; `todo` are known tokens
    that are not in it yet; `reading` is the last one of the labels, `read_at` where in the text it was made. `thought`
    is what the model thinks before it answers; while `thinking`, what it writes goes there. `generated` counts all that
    it wrote, `thought_tokens` the thinking alone. `given` are the log-probabilities of the parts of a given text."""

    job: Job
    sequence: int
    position: int
    todo: list[int]
    sampler: Sampler | None = None
    transcript: Transcript = field(default_factory=Transcript)
    thinking: bool = field(init=False)
    thought: Thought | None = None
    thought_tokens: int = 0
    thought_cut: bool = False
    generated: int = 0
    reading: dict[str, float] | None = None
    read_at: int | None = None
    given: list[float] = field(init=False)
    rows: dict[tuple[int, ...], Row] = field(default_factory=dict)
    ending: bool = False
    forced: bool = False
    truncated: bool = False

    def __post_init__(self) -> None:
        self.thinking = self.job.reasoning is not None
        self.given = [0.0] * len(self.job.ends)

    def reply(self) -> Reply:
        """The finished answer from what was written and read."""
        reading = self.reading
        best = max(reading, key=reading.__getitem__) if reading else None
        return Reply(
            text=self.transcript.text,
            reasoning=self.thought.transcript.text if self.thought else "",
            reasoning_truncated=self.thought_cut,
            label=best,
            log_probabilities=self.reading,
            read_at=None if self.forced else self.read_at,
            forced=self.forced,
            truncated=self.truncated,
            given=self._given() if isinstance(self.job.ask.script, Given) else None,
            prompt_tokens=self.job.prompt_tokens,
            generated_tokens=self.generated,
        )

    def _given(self) -> tuple[GivenPart, ...]:
        starts = (self.job.prompt_tokens, *self.job.ends[:-1])
        return tuple(
            GivenPart(value, end - start) for value, start, end in zip(self.given, starts, self.job.ends, strict=True)
        )

    def failure(self, kind: str, message: str) -> Reply:
        """A reply that says why there is no answer; what was written is kept for the reader."""
        return Reply(
            text=self.transcript.text,
            reasoning=self.thought.transcript.text if self.thought else "",
            prompt_tokens=self.job.prompt_tokens,
            generated_tokens=self.generated,
            error=ReplyError(kind, message),
        )

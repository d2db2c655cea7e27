"""From messages to token ids: the model's own chat template around text that cannot leave its place.

The template is rendered with sentinels in place of the texts. The frame between them is split at the vocabulary's
special tokens; everything else, the record's text included, is tokenised with special tokens off. So an answer that
contains `<|im_end|>` cannot end its turn, and harmless text gets the same ids as in the ordinary way of rendering
first."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, NoReturn

import jinja2
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from fare_cli.asks import Effort, Message, Piece
from fare_cli.engine.family import HARMONY, template_family
from fare_cli.engine.native import Model
from fare_cli.engine.reasoning import (
    ANALYSIS,
    FINAL,
    HARMONY_MARKS,
    THINK,
    THINK_END,
    HarmonyChannels,
    ReasoningFormat,
    ThinkTags,
)
from fare_cli.errors import ModelError

#: What templates that print today's date get instead: the same prompt every day.
FIXED_DATE = "2025-01-01"

_LONGEST_FRAME = 1 << 18
"""In characters; real templates write some thousands around a conversation."""

_SENTINEL = "FARE{index}SENTINEL{index}TEXT"
_TAG = re.compile(r"<\|.*\|>", re.DOTALL)
_SENTINEL_PATTERN = re.compile(r"FARE(\d+)SENTINEL\1TEXT")


class Prompt(NamedTuple):
    """Token ids of a whole prompt; the first `fixed` of them come from text that is not the record's."""

    tokens: list[int]
    fixed: int


class _GenerationBlock(Extension):
    """`{% generation %}` marks for training what an assistant wrote; for a prompt it is what stands in it."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> list[Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class ChatTemplate:
    """Renders messages to token ids by the template in the GGUF. Raises ModelError if there is none or it cannot be
    used.

    `reasoning` is how the model thinks before it answers; None where the template has no notion of it.
    """

    def __init__(self, model: Model) -> None:
        source = model.chat_template
        if source is None:
            raise ModelError(
                f"{model.path}: the file has no chat template", "judges need an instruction-tuned model with a template"
            )
        self._model = model
        self._source = source
        self._special = model.special_tokens()
        ordered = sorted(self._special, key=len, reverse=True)
        self._split = re.compile("(" + "|".join(map(re.escape, ordered)) + ")") if ordered else None
        self._template = self._compile(source)
        self._structural = self._structural_text(source)
        self._refusal = ""
        self._frames: dict[tuple[tuple[str, ...], Effort | None], list[str | int]] = {}
        self.harmony = all(mark in self._special for mark in HARMONY_MARKS)
        self.folds_system = self._render(("system", "user"), None) is None
        self.reasoning = self._reasoning(source)

    @property
    def family(self) -> str:
        """The name of the layout, for people (`template_family`)."""
        return HARMONY if self.harmony else template_family(self._source)

    def prompt(self, messages: Sequence[Message], effort: Effort | None = None) -> Prompt:
        """The ids of the messages with the assistant's turn opened behind them: where its thinking begins with an
        `effort`, and without one where its answer begins."""
        if self.folds_system:
            messages = _fold_system(messages)
        frame = self._frame(tuple(message.role for message in messages), effort)
        if frame is None:
            roles = ", ".join(message.role for message in messages)
            refusal = f"its chat template refuses messages of the roles {roles}{self._refusal}"
            raise ModelError(f"{self._model.path}: {refusal}")
        return self._tokenise(frame, messages)

    def plain(self, text: str) -> list[int]:
        """The ids of text that is only text, whatever it looks like.

        llama.cpp matches user-defined tokens even with special tokens off: `</think>` in Qwen3, and in gpt-oss all of
        harmony's channel marks. Those that give a prompt its structure are cut apart here, so their ids cannot appear.
        """
        if self._structural is None or not self._structural.search(text):
            return self._model.tokenize(text)
        tokens: list[int] = []
        start = 0
        for match in self._structural.finditer(text):
            tokens += self._model.tokenize(text[start : match.start() + 1])
            start = match.start() + 1
        return tokens + self._model.tokenize(text[start:])

    def special_token(self, text: str) -> int | None:
        return self._special.get(text)

    def turn_end(self) -> int:
        """The token behind an assistant's message, by which its turn is over: what a model is trained to end with.

        It is the first special token that the template writes there, else the vocabulary's end of sequence. Raises
        ModelError where neither ends a turn for llama.cpp.
        """
        roles = ("user", "assistant") if self.folds_system else ("system", "user", "assistant")
        behind = str((self._render(roles, None, open_turn=False) or [""])[-1])
        written = next((self._special[text] for text in self._parts(behind) if text in self._special), self._model.eos)
        if written < 0 or not self._model.is_end(written):
            raise ModelError(f"{self._model.path}: its chat template does not end an assistant's turn with a token")
        return written

    def show(self, tokens: Sequence[int]) -> str:
        """The ids as text for people, special tokens marked like `⟦<|im_end|>⟧`."""
        names = {token: text for text, token in self._special.items()}
        data = b"".join(
            f"⟦{names[token]}⟧".encode() if token in names else self._model.piece(token) for token in tokens
        )
        return data.decode(errors="replace")

    def _compile(self, source: str) -> jinja2.Template:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _GenerationBlock]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = _fixed_date
        # Chance would make another prompt of it every time.
        del environment.filters["random"], environment.globals["lipsum"]
        try:
            return environment.from_string(source)
        except (jinja2.TemplateError, SyntaxError, ValueError, ArithmeticError, RecursionError) as error:
            raise ModelError(f"{self._model.path}: its chat template is not valid: {error}") from error

    def _structural_text(self, source: str) -> re.Pattern[str] | None:
        """Special tokens that plain text must not turn into: those of the form `<|...|>` and those the template writes.

        Other user-defined tokens (Gemma's runs of line breaks, HTML tags) are ordinary words of the vocabulary.
        """
        marks = [t for t in self._special if len(t) > 1 and not t.isspace() and (_TAG.fullmatch(t) or t in source)]
        return re.compile(f"(?={'|'.join(map(re.escape, marks))})") if marks else None

    def _reasoning(self, source: str) -> ReasoningFormat | None:
        """How the model thinks, as the template shows it.

        Templates with tags switch thinking by `enable_thinking` (Qwen3: without it an empty thought stands in the
        prompt), or open it in every prompt (DeepSeek-R1).
        """
        if self.harmony:
            return HarmonyChannels(self._tokens_of, self._model.piece)
        roles = ("user",) if self.folds_system else ("system", "user")
        thinking, plain = self._render(roles, "medium"), self._render(roles, None)
        tagged = THINK_END in source and {THINK, THINK_END} <= self._special.keys()
        if not tagged or thinking is None or plain is None:
            return None
        if thinking == plain and not _opens_thinking(plain):
            return None
        _, switched_off, after = str(plain[-1]).rpartition(THINK_END)
        return ThinkTags(self._tokens_of, self._model.piece, after if switched_off else "\n\n")

    def _frame(self, roles: tuple[str, ...], effort: Effort | None) -> list[str | int] | None:
        """What stands around texts up to where the assistant writes: strings and, in place of each text, its number.
        None if the template refuses."""
        if (roles, effort) not in self._frames:
            frame = self._render(roles, effort)
            if frame is None:
                return None
            frame[-1] = f"{frame[-1]}{self._lead(frame, effort)}"
            self._frames[roles, effort] = frame
        return self._frames[roles, effort]

    def _lead(self, frame: Sequence[str | int], effort: Effort | None) -> str:
        """What the template leaves to the model: the marks that open its thinking, or that pass over it."""
        if self.harmony:
            return ANALYSIS if effort else FINAL
        if effort:
            return "" if _opens_thinking(frame) else f"{THINK}\n"
        return f"\n{THINK_END}\n\n" if self.reasoning and _opens_thinking(frame) else ""

    def _render(
        self, roles: tuple[str, ...], effort: Effort | None, *, open_turn: bool = True
    ) -> list[str | int] | None:
        """The template's own text around the texts, in the form of `_frame`, with the assistant's turn opened behind
        them or not. None if it refuses."""
        messages = [{"role": r, "content": _SENTINEL.format(index=i)} for i, r in enumerate(roles)]
        bos = self._model.piece(self._model.bos, special=True).decode(errors="replace") if self._model.bos >= 0 else ""
        # Harmony's prompt names an effort in any case; without thinking it is the least one.
        effort_named = effort or ("low" if self.harmony else None)
        try:
            text = self._template.render(
                messages=messages,
                add_generation_prompt=open_turn,
                enable_thinking=effort is not None,
                bos_token=bos,
                eos_token="",
                tools=None,
                **({"reasoning_effort": effort_named} if effort_named else {}),
            )
        except SecurityError as error:
            raise ModelError(f"{self._model.path}: its chat template does what no template may: {error}") from error
        except MemoryError:
            raise
        except Exception as error:  # a template is a program of the file's author and can fail in any way
            self._refusal = f": {error}"
            return None
        if len(text) > _LONGEST_FRAME:
            raise ModelError(f"{self._model.path}: its chat template writes {len(text):,} characters around messages")
        parts = _SENTINEL_PATTERN.split(text)
        if [int(number) for number in parts[1::2]] != list(range(len(roles))):
            self._refusal = ": it leaves one out, or alters its text"
            return None
        frame: list[str | int] = [int(part) if i % 2 else part for i, part in enumerate(parts)]
        if self._model.add_bos and bos and not parts[0].startswith(bos):
            frame.insert(0, bos)
        return frame

    def _tokenise(self, frame: Sequence[str | int], messages: Sequence[Message]) -> Prompt:
        """Splits the frame at special tokens and tokenises each run between them, texts included, as plain text."""
        tokens: list[int] = []
        run = ""
        fixed_run: str | None = None  # what of the current run comes before the record's first text
        fixed: int | None = None
        for part in frame:
            if isinstance(part, int):
                for piece in messages[part].pieces:
                    if not piece.ours and piece.text and fixed is None and fixed_run is None:
                        fixed_run = run
                    run += piece.text
                continue
            for text in self._parts(part):
                token = self._special.get(text)
                if token is None:
                    run += text
                    continue
                if fixed_run is not None:
                    fixed = self._fixed(tokens, run, fixed_run)
                    fixed_run = None
                tokens += self.plain(run) if run else []
                run = ""
                tokens.append(token)
        if fixed_run is not None:
            fixed = self._fixed(tokens, run, fixed_run)
        tokens += self.plain(run) if run else []
        return Prompt(tokens, len(tokens) if fixed is None else fixed)

    def _parts(self, text: str) -> list[str]:
        """The text cut at special tokens, these included."""
        return self._split.split(text) if self._split else [text]

    def _fixed(self, before: Sequence[int], run: str, fixed_run: str) -> int:
        """How many leading tokens are the same whatever the record says: ids at a seam depend on what follows."""
        alone, joined = self.plain(fixed_run), self.plain(run)
        same = 0
        while same < min(len(alone), len(joined)) and alone[same] == joined[same]:
            same += 1
        return len(before) + same

    def _tokens_of(self, text: str) -> list[int]:
        return self._model.tokenize(text, special=True)


def _fold_system(messages: Sequence[Message]) -> list[Message]:
    """The messages with a leading system message put in front of the first user message."""
    if len(messages) < 2 or messages[0].role != "system" or messages[1].role != "user":
        return list(messages)
    joined = Message("user", (*messages[0].pieces, Piece("\n\n", True), *messages[1].pieces))
    return [joined, *messages[2:]]


def _opens_thinking(frame: Sequence[str | int]) -> bool:
    return str(frame[-1]).rstrip().endswith(THINK)


def _raise(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _fixed_date(pattern: str) -> str:
    return datetime.fromisoformat(FIXED_DATE).strftime(pattern)


def _to_json(value: Any, indent: int | None = None, **_others: Any) -> str:
    """The tojson filter as transformers defines it: no HTML escapes."""
    return json.dumps(value, ensure_ascii=False, indent=indent)

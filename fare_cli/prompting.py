"""Finds, checks, fingerprints and fills the prompt files of a task. docs/prompts.md describes the files."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from fare_cli.asks import Message, Piece
from fare_cli.errors import UsageError, visible
from fare_cli.identity import Mode
from fare_cli.prompt_template import Filling, Template, TemplateFault, joined
from fare_cli.records import Record
from fare_cli.unknown_fields import near_miss

Contract = Literal["fare", "own"]
PromptTexts = Mapping[str, Mapping[str, str]]
"""Prompts in memory: task -> name of a file -> its text."""

_LAYOUT_VERSION = "1"
"""Counts in the fingerprint: to be raised when the code below, or a task, lays the same files out differently."""
_FILES = ("prompt.toml", "system.txt", "critique.txt", "direct.txt", "user.txt")
_WITH_REFERENCE = "system_reference.txt"
_MAY_BE_EMPTY = "critique.txt"
_MISSING = "is missing"
_ALWAYS = {"question", "context_block", "reference_block"}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""What no prompt needs and a terminal may obey: control characters but newline and tab; halves of characters."""


class _Layout(NamedTuple):
    """What the files of a task must hold: the placeholders of user.txt, and the blocks with theirs."""

    user: frozenset[str]
    blocks: Mapping[str, frozenset[str]]
    fare_user: str | None = None
    """FARE's user message as a template; None where it is not published."""


def _layout(user: set[str], blocks: dict[str, set[str]], fare_user: str | None = None) -> _Layout:
    blocks = {"context": {"context"}, "reference": {"reference"}, **blocks}
    return _Layout(frozenset(user | _ALWAYS), {name: frozenset(names) for name, names in blocks.items()}, fare_user)


_LAYOUTS = {
    "pairwise": _layout(
        {"answer_a", "answer_b"},
        {},
        "[User Question]\n{question}\n\n"
        "[The Start of Assistant A's Answer]\n{answer_a}\n[The End of Assistant A's Answer]\n\n"
        "[The Start of Assistant B's Answer]\n{answer_b}\n[The End of Assistant B's Answer]",
    ),
    "step": _layout(
        {"steps"},
        {"step": {"index", "step"}},
        "[User Question]\n{question}\n\n[The Start of Assistant's Answer]\n{steps}\n[The End of Assistant's Answer]",
    ),
    "verify": _layout({"answer"}, {}),
    "score": _layout(
        {"answer", "criterion_block", "rubric", "low", "high"},
        {"criterion": {"criterion"}, "score": {"score", "description"}},
    ),
}
_FARE_STEP = "<step {index}> {step}</step {index}>"
TASK_NAMES = tuple(_LAYOUTS)
"""The tasks that have prompts, which are the names of their folders."""


class Finding(NamedTuple):
    """Something wrong with a prompt file; `file` is relative to the folder of prompts."""

    file: str
    message: str


@dataclass(frozen=True, slots=True)
class TaskPrompt:
    """The prompt of one task, checked and ready to fill.

    `origin` says where its words come from, `contract` whether its layout is FARE's, `fingerprint` is 16 hex digits
    over the text of its files.
    """

    task: str
    origin: str
    contract: Contract
    fingerprint: str
    texts: Mapping[str, str]
    """The files by name, without a last newline, and the parts of the system message by field."""
    user: Template
    blocks: Mapping[str, Template]
    _systems: dict[tuple[Mode, bool, bool], Message] = field(default_factory=dict, repr=False, compare=False)

    def messages(self, record: Record, mode: Mode, fields: Mapping[str, Filling]) -> tuple[Message, ...]:
        """System and user message for a record. `fields` fills what the task adds to question, context, reference."""
        blocks: dict[str, Filling] = {"context_block": (), "reference_block": (), **fields, "question": record.question}
        if record.context is not None:
            blocks["context_block"] = self.blocks["context"].fill({"context": record.context})
        if record.reference is not None:
            blocks["reference_block"] = self.blocks["reference"].fill({"reference": record.reference})
        return self._system(record, mode), Message("user", self.user.fill(blocks))

    def _system(self, record: Record, mode: Mode) -> Message:
        """The same object for all records with the same fields, without extra instructions."""
        key = (mode, record.context is not None, record.reference is not None)
        message = self._systems.get(key)
        if message is None:
            texts = self.texts
            replaced = key[2] and _WITH_REFERENCE in texts
            parts = [texts[_WITH_REFERENCE if replaced else "system.txt"]]
            parts += [texts[f"{mode}.txt"]] if texts[f"{mode}.txt"].strip() else []
            parts += [texts["context"]] if key[1] else []
            parts += [texts["reference"]] if key[2] and not replaced else []
            message = self._systems[key] = Message("system", (Piece("\n\n".join(parts), True),))
        if record.protocol is None:
            return message
        pieces = (*message.pieces, Piece(f"\n\n{self.texts['protocol']}\n", True), Piece(record.protocol, False))
        return Message("system", joined(pieces))


class _Folder(Protocol):
    """What a pathlib.Path and a packaged resource have in common, as far as it is needed."""

    def joinpath(self, *parts: str) -> Any: ...
    def is_dir(self) -> bool: ...


def load_task_prompt(task: str, prompts_dir: Path | None = None) -> TaskPrompt:
    """The prompt of `task`: from the folder `task` in `prompts_dir` if one is given, else fare's own.

    Raises UsageError that names the file and what is wrong with it.
    """
    folder = _packaged() if prompts_dir is None else prompts_dir
    if not folder.joinpath(task).is_dir():
        message = f"{prompts_dir or 'the package'}: there is no folder {task} with prompts"
        raise UsageError(message, "a folder of prompts holds one folder a task: pairwise, step, verify, score")
    prompt, findings = _load(task, folder)
    if prompt is None:
        where = f"{prompts_dir}/" if prompts_dir else ""
        raise UsageError(where + _first(findings), f"fare prompts check {prompts_dir}" if prompts_dir else None)
    return prompt


def prompt_from_texts(task: str, texts: Mapping[str, str]) -> TaskPrompt:
    """The prompt of `task` from the texts of its files by name: the same prompt as from a folder that holds them.

    Raises UsageError that names the file and what is wrong with it.
    """
    prompt, findings = _checked(task, texts)
    if prompt is None:
        raise UsageError(_first(findings))
    return prompt


def read_prompt_texts(prompts_dir: Path | None = None) -> dict[str, dict[str, str]]:
    """The texts of all tasks in a folder of prompts, or of fare's own, as they lie there and not checked.

    A task whose folder is missing is left out, and so is a missing file. Raises UsageError for a file that cannot be
    read.
    """
    folder = _packaged() if prompts_dir is None else prompts_dir
    found = {}
    for task in _LAYOUTS:
        if folder.joinpath(task).is_dir():
            texts, findings = _read(task, folder)
            if unreadable := [finding for finding in findings if finding.message != _MISSING]:
                raise UsageError(f"{prompts_dir}/{_first(unreadable)}")
            found[task] = texts
    return found


def prompt_file_names(task: str) -> tuple[str, ...]:
    """The files that a task's prompt is made of."""
    return (*_FILES, _WITH_REFERENCE) if task == "verify" else _FILES


def check_prompts(prompts_dir: Path) -> list[Finding]:
    """All that is wrong in a folder of prompts, [] if every task in it can be used. Raises UsageError if it is none."""
    if not prompts_dir.is_dir():
        raise UsageError(f"{prompts_dir} is not a folder", "give the folder that holds pairwise/, step/, ...")
    findings = []
    for path in sorted(prompts_dir.iterdir()):
        if not path.is_dir():
            continue
        if path.name not in _LAYOUTS:
            if like := near_miss(path.name, _LAYOUTS):
                findings.append(Finding(path.name, f"is not the name of a task: did you mean {like}?"))
            continue
        findings += _load(path.name, prompts_dir)[1]
        expected = prompt_file_names(path.name)
        findings += [
            Finding(f"{path.name}/{other.name}", f"is not read; the files are {', '.join(expected)}")
            for other in sorted(path.iterdir())
            if other.suffix in (".txt", ".toml") and other.name not in expected
        ]
    if not any((prompts_dir / task).is_dir() for task in _LAYOUTS):
        findings.append(Finding(".", f"holds none of the folders {', '.join(_LAYOUTS)}"))
    return findings


def _packaged() -> _Folder:
    """The prompts inside the package; in a checkout they lie beside it."""
    inside = files("fare_cli").joinpath("prompts")
    if inside.is_dir():
        return inside
    beside = Path(__file__).resolve().parent.parent
    if (beside / "pyproject.toml").is_file() and (beside / "prompts").is_dir():
        return beside / "prompts"
    raise UsageError(
        "fare's own prompts are missing from this installation", "install fare-cli again, or use --prompts"
    )


def _first(findings: list[Finding]) -> str:
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{findings[0].file}: {findings[0].message}{more}"


def _load(task: str, folder: _Folder) -> tuple[TaskPrompt | None, list[Finding]]:
    """The prompt, None if there are findings."""
    texts, findings = _read(task, folder)
    return (None, findings) if findings else _checked(task, texts)


def _read(task: str, folder: _Folder) -> tuple[dict[str, str], list[Finding]]:
    texts: dict[str, str] = {}
    findings: list[Finding] = []
    for name in prompt_file_names(task):
        try:
            texts[name] = folder.joinpath(task, name).read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            findings.append(Finding(f"{task}/{name}", _MISSING))
        except (OSError, UnicodeDecodeError) as error:
            findings.append(Finding(f"{task}/{name}", f"cannot be read: {error}"))
    return texts, findings


def _checked(task: str, given: Mapping[str, str]) -> tuple[TaskPrompt | None, list[Finding]]:
    """The prompt made of these texts, None if there are findings."""
    texts = {name: text.replace("\r\n", "\n").removesuffix("\n") for name, text in given.items()}
    names = prompt_file_names(task)
    findings = [Finding(f"{task}/{name}", _MISSING) for name in names if name not in texts]
    findings += [Finding(f"{task}/{name}", "is not a file of this task") for name in sorted(texts.keys() - set(names))]
    for name, text in texts.items():
        _check_characters(f"{task}/{name}", text, findings)
    if findings:
        return None, [Finding(visible(file), message) for file, message in findings]
    about = _about(task, texts["prompt.toml"], findings)
    user = _template(f"{task}/user.txt", texts["user.txt"], _LAYOUTS[task].user, findings)
    blocks = {
        name: _template(f"{task}/prompt.toml", about.blocks[name], names, findings, f"[blocks] {name}")
        for name, names in _LAYOUTS[task].blocks.items()
        if name in about.blocks
    }
    empty = [name for name, text in texts.items() if name not in ("prompt.toml", _MAY_BE_EMPTY) and not text.strip()]
    findings += [Finding(f"{task}/{name}", "is empty") for name in empty]
    if not findings and about.contract == "fare" and not _is_fare(task, user, blocks):
        text = 'says contract = "fare", but the user message is not laid out as FARE\'s: write contract = "own"'
        findings.append(Finding(f"{task}/prompt.toml", text))
    if findings:
        return None, [Finding(file, visible(message)) for file, message in findings]
    content = "\0".join([_LAYOUT_VERSION, task, *(f"{name}\0{text}" for name, text in sorted(texts.items()))])
    fingerprint = hashlib.sha256(content.encode()).hexdigest()[:16]
    return TaskPrompt(task, about.origin, about.contract, fingerprint, texts | about.system, user, blocks), []


def _check_characters(file: str, text: str, findings: list[Finding], where: str = "") -> None:
    if match := _CONTROL.search(text):
        line = f" in line {text.count(chr(10), 0, match.start()) + 1}" if not where else ""
        findings.append(Finding(file, f"{where}holds the control character U+{ord(match[0]):04X}{line}"))


class _About(NamedTuple):
    """What prompt.toml says."""

    origin: str
    contract: Contract
    system: dict[str, str]
    blocks: dict[str, str]


def _about(task: str, text: str, findings: list[Finding]) -> _About:
    file = f"{task}/prompt.toml"
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        findings.append(Finding(file, f"is not TOML: {error}"))
        return _About("", "own", {}, {})
    origin, contract = values.pop("origin", None), values.pop("contract", None)
    if not isinstance(origin, str) or not origin.strip():
        findings.append(Finding(file, "origin is missing: say where the words come from"))
    else:
        _check_characters(file, origin, findings, "origin ")
    allowed = ("fare", "own") if _LAYOUTS[task].fare_user else ("own",)
    if contract not in allowed:
        choice = " or ".join(f'"{name}"' for name in allowed)
        findings.append(Finding(file, f"contract must be {choice}: is the layout the one FARE was trained with?"))
    expected = {"context", "protocol"} if task == "verify" else {"context", "reference", "protocol"}
    system = _table(file, "system", values.pop("system", None), expected, findings)
    blocks = _table(file, "blocks", values.pop("blocks", None), set(_LAYOUTS[task].blocks), findings)
    findings += [Finding(file, f"does not know the key {name}") for name in values]
    return _About(str(origin), contract if contract in allowed else "own", system, blocks)


def _table(file: str, name: str, values: Any, expected: set[str], findings: list[Finding]) -> dict[str, str]:
    if not isinstance(values, dict):
        findings.append(Finding(file, f"the table [{name}] is missing"))
        return {}
    for key in sorted(expected - values.keys()):
        findings.append(Finding(file, f"[{name}] {key} is missing"))
    for key in sorted(values.keys() - expected):
        findings.append(Finding(file, f"[{name}] does not know the key {key}"))
    for key in sorted(values.keys() & expected):
        if not isinstance(values[key], str) or not values[key].strip():
            findings.append(Finding(file, f"[{name}] {key} is not text"))
        else:
            _check_characters(file, values[key], findings, f"[{name}] {key} ")
    return {key: text for key, text in values.items() if key in expected and isinstance(text, str)}


def _template(file: str, text: str, names: frozenset[str], findings: list[Finding], where: str = "") -> Template:
    prefix = f"{where}: " if where else ""
    try:
        template = Template.read(text)
    except TemplateFault as fault:
        findings.append(Finding(file, f"{prefix}{fault}"))
        return Template(())
    for name in sorted(template.placeholders - names):
        known = ", ".join(f"{{{known}}}" for known in sorted(names))
        findings.append(Finding(file, f"{prefix}unknown placeholder {{{name}}}; known are {known}"))
    for name in sorted(names - template.placeholders):
        findings.append(Finding(file, f"{prefix}the placeholder {{{name}}} is not used"))
    return template


def _is_fare(task: str, user: Template, blocks: Mapping[str, Template]) -> bool:
    """Whether a record with neither context nor reference is laid out byte for byte as FARE's contract says."""
    fare_user = _LAYOUTS[task].fare_user or ""
    names = _LAYOUTS[task].user - {"context_block", "reference_block"}
    values: dict[str, Filling] = {name: f"<{name}>" for name in names}
    same = Template.read(fare_user).fill(values) == user.fill({**values, "context_block": (), "reference_block": ()})
    return same and (task != "step" or blocks["step"] == Template.read(_FARE_STEP))

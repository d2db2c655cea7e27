"""Finds judging prompts in a model card (a README.md with code blocks). Literals only: nothing of a card is executed.

Found are strings in Python and JSON blocks and blocks of plain text. They are told apart by the marks of FARE's
published contract: `[The Start of Assistant A's Answer]`, `<step`, `Verdict: [A]`. What does not carry them, or could
be read in two ways, is reported and left out.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fare_cli.errors import UsageError
from fare_cli.gguf.card_texts import CardText, card_texts
from fare_cli.prompting import PromptTexts, prompt_from_texts, read_prompt_texts

_PROMPT_MARKS = re.compile(r"\[User Question\]|\[The Start of |Verdict:|<step\b")
_PROMPT_NAMES = re.compile(r"prompt|system|template|instruction|protocol", re.IGNORECASE)
_SHORTEST_PROMPT = 80
_REPLY_FORM = re.compile(r"Explanation:|Verdict:")
_LABEL_A, _LABEL_B = re.compile(r"(?<!\[)\[A\](?!\])"), re.compile(r"(?<!\[)\[B\](?!\])")

# What stands before a text says what the text is; the end of a text says that nothing is begun.
_PLACES = re.compile(
    r"(?P<question>\[(?:The Start of (?:the )?)?(?:User )?Question\])"
    r"|(?P<answer_a>\[The Start of Assistant A's Answer\])"
    r"|(?P<answer_b>\[The Start of Assistant B's Answer\])"
    r"|(?P<answer>\[The Start of (?:the )?Assistant's Answer\])"
    r"|(?P<end>\[The End of [^\]]*\])"
)
_FIRST_ANSWER = {"pairwise": "[The Start of Assistant A's Answer]", "step": "[The Start of Assistant's Answer]"}
_FIELDS = {"pairwise": ("question", "answer_a", "answer_b"), "step": ("question", "steps")}
_NAMES = {
    "question": {"question", "user_question", "prompt", "user_prompt", "instruction", "query", "problem", "input"},
    "answer_a": {"a", "answer_a", "answer_1", "response_a", "response_1", "output_a", "output_1", "assistant_a"},
    "answer_b": {"b", "answer_b", "answer_2", "response_b", "response_2", "output_b", "output_2", "assistant_b"},
    "steps": {"steps", "tagged_steps", "solution", "tagged_solution", "answer", "response", "tagged_response"},
}
_BRACES = re.compile(r"\{\{|\}\}|\{([^{}\n]*)\}|[{}]")
_PERCENTS = re.compile(r"%%|%\((\w+)\)s|%s")


class CardPrompts(NamedTuple):
    """What a card holds: prompts by task, as files of a folder of prompts; lines for people on where each text comes
    from; and lines on what looks like a prompt and was left out, with the reason."""

    prompts: PromptTexts
    taken: list[str]
    left_out: list[str]


def find_prompts(card: str, source: str) -> CardPrompts:
    """The prompts in the text of a model card; `source` names in their origin which card it is."""
    extracted = card_texts(card)
    unread = [fault for fault in extracted.unread if _is_candidate(fault.name, fault.text)]
    left_out = [f"line {fault.line}: {fault.name}: {fault.reason}" for fault in unread]
    unclear: list[str] = []
    sorted_texts: dict[tuple[str, str], list[CardText]] = {}
    for text in extracted.texts:
        if not _is_candidate(text.name, text.text):
            continue
        try:
            sorted_texts.setdefault(_kind(text), []).append(text)
        except _Unclear as reason:
            left_out.append(f"{_where(text)}: {reason}")
            unclear.append(text.text)
    prompts: dict[str, dict[str, str]] = {}
    taken: list[str] = []
    for task in _FIELDS:
        systems, users = sorted_texts.get((task, "system"), []), sorted_texts.get((task, "user"), [])
        if systems or users:
            try:
                if not users:
                    _check_layout(task, [*(fault.text for fault in unread), *unclear])
                files, lines = _task_files(task, systems, users, source)
                prompt_from_texts(task, files)
            except (_Unclear, UsageError) as problem:
                left_out += [f"{_where(text)}: {problem}" for text in (*systems, *users)]
            else:
                prompts[task] = files
                taken += lines
    return CardPrompts(prompts, taken, left_out)


class _Unclear(Exception):
    """Why a text of a card cannot be used."""


def _check_layout(task: str, unusable: Sequence[str]) -> None:
    """Raises _Unclear where a card has a user message of its own that cannot be used: then FARE's published layout may
    not be that of the weights. An f-string that has its fixed words is no such message."""
    published = re.sub(r"\{\w+\}", "\0", re.sub(r"\{\w+_block\}", "", read_prompt_texts()[task]["user.txt"])).strip()
    for text in unusable:
        begins_answer = _FIRST_ANSWER[task] in text and re.search(r"[\0{%]", text)
        if begins_answer and text.strip() != published:
            raise _Unclear(f"the user message of {task} that belongs to it could not be read")


def _where(text: CardText) -> str:
    return f"line {text.line}: {text.name}"


def _is_candidate(name: str, text: str) -> bool:
    """Whether a string may be a judging prompt at all; cards are full of others (names of models, of devices)."""
    return bool(_PROMPT_MARKS.search(text)) or (len(text) >= _SHORTEST_PROMPT and bool(_PROMPT_NAMES.search(name)))


def _kind(text: CardText) -> tuple[str, str]:
    """Task and role of a text, by what stands in it."""
    content = text.text
    if content.lstrip().startswith(("Explanation:", "Verdict:")):
        raise _Unclear("it looks like a reply of the model")
    has_places = any(match.lastgroup in ("answer_a", "answer_b", "answer") for match in _PLACES.finditer(content))
    is_user = text.role == "user" or (text.role is None and has_places)
    if is_user and not _PROMPT_MARKS.search(content):
        raise _Unclear("it has none of the tags of FARE's layout")
    if is_user:
        if not any(part.is_name for part in _parts(content)):
            raise _Unclear("it has no placeholders: an example, or a text made in code")
        return _user_task(text), "user"
    if text.role == "assistant":
        raise _Unclear("it looks like a reply of the model")
    if re.search(r"\{\w*\}|\{\{|\}\}", content):
        raise _Unclear("it has placeholders or doubled braces, and fare's system messages are plain text")
    if "Verdict:" not in content:
        raise _Unclear("it does not ask for a line `Verdict:`, which is where fare reads")
    return _system_task(content), "system"


def _user_task(text: CardText) -> str:
    if all(mark in text.text for mark in (_FIRST_ANSWER["pairwise"], "[The Start of Assistant B's Answer]")):
        return "pairwise"
    names = {part.text for part in _parts(text.text) if part.is_name}
    is_step = "<step" in text.text or "steps" in names or re.search("step|process", text.name, re.IGNORECASE)
    if is_step and _FIRST_ANSWER["step"] in text.text:
        return "step"
    raise _Unclear("it is for one answer as a whole, and FARE's layouts of verify and score are not published")


def _system_task(content: str) -> str:
    pairwise = bool(_LABEL_A.search(content) and _LABEL_B.search(content))
    step = "-1" in content and "step" in content.casefold()
    if pairwise == step:
        wanted = "both" if pairwise else "neither"
        raise _Unclear(f"it asks for {wanted} of [A] or [B], and the number of a step or -1")
    return "pairwise" if pairwise else "step"


def _task_files(
    task: str, systems: Sequence[CardText], users: Sequence[CardText], source: str
) -> tuple[dict[str, str], list[str]]:
    """The files of a task, and for people where each comes from."""
    if not systems:
        raise _Unclear(f"there is no system message for {task} that belongs to it")
    own = read_prompt_texts()[task]
    explained = [text for text in systems if "Explanation:" in text.text] or list(systems)
    critique = _only_one(f"system messages of {task}", explained)
    directs = [text for text in systems if text not in explained]
    protocol, form = _cut(critique.text)
    files = {"system.txt": protocol + "\n", "critique.txt": form + "\n"}
    lines = [f"{task}/system.txt, critique.txt: {_where(critique)}"]
    if directs:
        direct = _only_one(f"system messages of {task} without an explanation", directs)
        if not direct.text.startswith(f"{protocol}\n\n"):
            raise _Unclear("the system messages with and without an explanation have no protocol in common")
        files["direct.txt"] = direct.text[len(protocol) + 2 :] + "\n"
        lines.append(f"{task}/direct.txt: {_where(direct)}")
    else:
        files["direct.txt"] = own["direct.txt"]
        lines.append(f"{task}/direct.txt: fare's own; the card has none")
    if users:
        user = _only_one(f"user messages of {task}", users)
        files["user.txt"], mapped = _user_file(task, user.text)
        renamed = f" ({', '.join(mapped)})" if mapped else ""
        lines.append(f"{task}/user.txt: {_where(user)}{renamed}")
    else:
        files["user.txt"] = own["user.txt"]
        lines.append(f"{task}/user.txt: fare's own, in FARE's published layout; the card has none")
    lines.append(f"{task}/prompt.toml: fare's own words for documents, references and extra instructions")
    borrowed = [name for name in ("direct.txt", "user.txt") if files[name] == own[name]]
    files["prompt.toml"] = _about(task, own["prompt.toml"], source, borrowed, files)
    return files, lines


def _only_one(what: str, texts: Sequence[CardText]) -> CardText:
    """The one text among equal ones."""
    if len({text.text for text in texts}) > 1:
        raise _Unclear(f"the card has several {what}, in lines {', '.join(str(text.line) for text in texts)}")
    return texts[0]


def _cut(system: str) -> tuple[str, str]:
    """The protocol and, from the paragraph on that first tells the form of the reply, the rest; joined by an empty line
    they are the text again."""
    form = _REPLY_FORM.search(system)
    cut = system.rfind("\n\n", 0, form.start() if form else 0)
    return (system[:cut], system[cut + 2 :]) if cut > 0 and system[:cut].strip() else (system, "")


class _Part(NamedTuple):
    """A piece of a template of a card; the name of a placeholder may be empty."""

    text: str
    is_name: bool


def _parts(content: str) -> list[_Part]:
    """The literal texts and the placeholders of a template for str.format, or for % where it has only those."""
    by_percent = _PERCENTS.search(content) and not re.search(r"\{\w*\}", content)
    return list(_percent_parts(content) if by_percent else _brace_parts(content))


def _percent_parts(content: str) -> Iterator[_Part]:
    end = 0
    for match in _PERCENTS.finditer(content):
        yield _Part(content[end : match.start()], False)
        yield _Part("%", False) if match[0] == "%%" else _Part(match[1] or "", True)
        end = match.end()
    yield _Part(content[end:], False)


def _brace_parts(content: str) -> Iterator[_Part]:
    end = 0
    for match in _BRACES.finditer(content):
        yield _Part(content[end : match.start()], False)
        if match[0] in ("{{", "}}"):
            yield _Part(match[0][0], False)
        elif match[1] is None or not re.fullmatch(r"\w*", match[1]):
            raise _Unclear(f"{match[0]!r} in it is neither a placeholder nor a doubled brace")
        else:
            yield _Part(match[1], True)
        end = match.end()
    yield _Part(content[end:], False)


def _user_file(task: str, content: str) -> tuple[str, list[str]]:
    """user.txt with fare's placeholders, and which of the card's names became which."""
    made, mapped, begun = "", [], ""
    used: list[str] = []
    for part in _parts(content):
        if not part.is_name:
            for match in _PLACES.finditer(part.text):
                begun = str(match.lastgroup).replace("end", "")
            made += part.text.replace("{", "{{").replace("}", "}}")
            continue
        field = _field(task, part.text, "steps" if begun == "answer" else begun)
        if field != part.text:
            mapped.append(f"{{{part.text}}} is {{{field}}}")
        used.append(field)
        made += f"{{{field}}}"
    for field in _FIELDS[task]:
        if used.count(field) != 1:
            raise _Unclear(f"it has {used.count(field)} places for {field}")
    before, mark, after = made.partition(_FIRST_ANSWER[task])
    return f"{before}{{context_block}}{{reference_block}}{mark}{after}\n", mapped


def _field(task: str, name: str, by_place: str) -> str:
    """The field of a record that a placeholder stands for: by the tag before it and by its name, which must agree."""
    plain = name.casefold()
    by_name = next((field for field in _FIELDS[task] if plain in _NAMES[field]), "")
    fields = {field for field in (by_place, by_name) if field in _FIELDS[task]}
    if len(fields) == 1 and (not plain or plain.isdigit() or by_name):
        return fields.pop()
    raise _Unclear(f"it is not clear what its placeholder {{{name}}} stands for")


def _about(task: str, own: str, source: str, borrowed: Sequence[str], files: dict[str, str]) -> str:
    """prompt.toml: the card as the origin, the layout's name, and fare's own texts for what cards do not have."""
    values = tomllib.loads(own)
    also = "".join(f"{name}, " for name in borrowed)
    origin = (
        f"Taken from the model card {source}. Fare's own are: {also}and the texts below for documents, references "
        "and further instructions."
    )
    for contract in ("fare", "own"):
        lines = [f"origin = {_toml(origin)}", f"contract = {_toml(contract)}"]
        for table in ("system", "blocks"):
            lines += ["", f"[{table}]", *(f"{key} = {_toml(text)}" for key, text in values[table].items())]
        text = "\n".join(lines) + "\n"
        try:
            prompt_from_texts(task, {**files, "prompt.toml": text})
        except UsageError:
            continue
        break
    return text


def _toml(text: str) -> str:
    """A TOML basic string: its escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

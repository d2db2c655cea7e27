"""Chat templates are programs of a file's author: hostile ones are refused with a reason, and never run for long."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fare_cli.engine.probe import probe_model
from fare_cli.errors import ExitCode, ModelError
from fare_cli.gguf.splice import splice

CONTENT = "{{ messages[0].content }}"

HOSTILE = {
    "attribute": ("{{ messages.__class__.__mro__ }}", "does what no template may"),
    "attribute by format": ("{{ '{0.__class__.__mro__}'.format(messages) }}", "does what no template may"),
    "attribute by filter": ("{{ messages|attr('__class__')|attr('__mro__') }}", "refuses messages"),
    "globals of a function": ("{{ raise_exception.__globals__['__builtins__'] }}", "does what no template may"),
    "import": ("{% import 'os' as os %}", "refuses messages"),
    "a file": ("{% include '/etc/passwd' %}", "refuses messages"),
    "a long range": ("{% for i in range(10**9) %}x{% endfor %}", "Range too big"),
    "ranges in ranges": (
        "{% for i in range(10**5) %}{% for j in range(10**5) %}{% set x = i %}{% endfor %}{% endfor %}",
        "was stopped after computing for 5 s",
    ),
    "a range behind an effort": (
        CONTENT + "{% if reasoning_effort == 'high' %}{% for i in range(10**9) %}{% endfor %}{% endif %}",
        "refuses messages",
    ),
    "a long text": ("{{ 'a' * 10**10 }}", "takes more than 512 MiB of memory"),
    "a growing text": (
        "{% set x = namespace(y='a') %}{% for i in range(60) %}{% set x.y = x.y ~ x.y %}{% endfor %}",
        "takes more than 512 MiB of memory",
    ),
    "a wide text": ("{{ 'a'|center(10**10) }}", "takes more than 512 MiB of memory"),
    "a deep indent": ("{{ messages|tojson(indent=10**10) }}", "takes more than 512 MiB of memory"),
    "a macro that calls itself": ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recursion"),
    "parentheses": ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "not valid"),
    "a long frame": ("{{ 'a' * 300000 }}" + CONTENT, "writes 300,0"),
    "chance": ("{{ [1, 2]|random }}" + CONTENT, "not valid"),
    "no syntax": ("{% if %}", "not valid"),
    "division": ("{{ 1 // 0 }}", "division"),
    "an escape": ("{{ raise_exception('\x1b[2J') }}", "\\x1b[2J"),
}


def with_template(source: Path, target: Path, template: str) -> Path:
    splice(source, target, {"tokenizer.chat_template": template})
    return target


@pytest.mark.parametrize(("template", "words"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_template_is_refused_in_a_process_of_its_own(
    tiny: Callable[[str], Path], tmp_path: Path, template: str, words: str
) -> None:
    path = with_template(tiny("qwen3"), tmp_path / "evil.gguf", template)
    with pytest.raises(ModelError) as caught:
        probe_model(path)
    assert words in caught.value.message
    assert caught.value.message.startswith(f"{path}: its chat template")
    assert caught.value.exit_code is ExitCode.ENVIRONMENT


def test_a_template_that_changes_nothing_but_the_words_around_is_fine(
    tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    assert probe_model(with_template(tiny("qwen3"), tmp_path / "good.gguf", template)).tokens == 10

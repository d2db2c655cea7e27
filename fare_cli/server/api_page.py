"""The OpenAPI description as a page for people. It loads nothing: Swagger UI would come from another host."""

from __future__ import annotations

import json
from html import escape
from typing import Any

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
:root { color-scheme: light dark }
pre { overflow-x: auto; padding: .5rem 1rem; border: 1px solid #8884; border-radius: .3rem; font-size: .85rem }
h2 { border-top: 1px solid #8884; padding-top: 1rem; margin-top: 2rem; font-size: 1.1rem }
td, th { text-align: left; padding-right: 1.5rem; vertical-align: top }
"""


def api_page(schema: dict[str, Any]) -> str:
    """An HTML page of the operations in an OpenAPI document, and of the schemas that they refer to."""
    info = schema["info"]
    operations = "".join(
        _operation(method, path, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    )
    shapes = "".join(
        f'<h2 id="{escape(name)}">{escape(name)}</h2>{_code(shape)}'
        for name, shape in sorted(schema["components"]["schemas"].items())
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])}: the API</title>'
        f"<style>{_STYLE}</style><h1>{escape(info['title'])} {escape(info['version'])}</h1>"
        f'<p>{escape(info["description"])}</p><p><a href="openapi.json">openapi.json</a></p>'
        f"{operations}<h1>Schemas</h1>{shapes}</html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    about = operation.get("description", "")
    body = "".join(
        f"<p>Body, <code>{escape(kind)}</code>:</p>{_code(content['schema'])}"
        for kind, content in operation.get("requestBody", {}).get("content", {}).items()
    )
    answers = "".join(_answer(*answer) for answer in sorted(operation["responses"].items()))
    return (
        f"<h2><code>{escape(method.upper())} {escape(path)}</code></h2><p>{escape(operation.get('summary', ''))}</p>"
        f"{f'<p>{escape(about)}</p>' if about else ''}{_parameters(operation.get('parameters', []))}{body}"
        f"<p>Answers:</p><table>{answers}</table>"
    )


def _parameters(parameters: list[dict[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td><code>?{escape(one['name'])}</code><td>{escape(one.get('description', ''))}" for one in parameters
    )
    return f"<table>{rows}</table>" if rows else ""


def _answer(status: str, answer: dict[str, Any]) -> str:
    shapes = [content.get("schema", {}) for content in answer.get("content", {}).values()]
    names = {shape["$ref"].rpartition("/")[2] for shape in shapes if "$ref" in shape}
    links = ", ".join(f'<a href="#{escape(name)}">{escape(name)}</a>' for name in sorted(names))
    return f"<tr><td>{escape(status)}<td>{escape(answer.get('description', ''))}<td>{links}"


def _code(value: Any) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"

"""The page of `fare review`: one record at a time, drawn like those of `fare report` by the same scripts."""

from __future__ import annotations

from importlib import resources
from typing import NamedTuple

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from fare_cli.viewer.assets import policy, source

_SHARED = ("elements.js", "words.js", "differences.js", "judgments.js", "record.js", "review.js")
_STYLES = ("page.css", "records.css")


class Page(NamedTuple):
    """HTML, and the content security policy that it is sent with: its own scripts, and connections to where it came
    from."""

    html: str
    policy: str


def review_page(title: str) -> Page:
    """The page for a review of the file called `title`; what it shows it asks the server for."""
    script = "\n".join([*map(source, _SHARED), _own("session.js")])
    style = "\n".join([*map(source, _STYLES), _own("session.css")])
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    html = environment.from_string(_own("page.html.jinja")).render(
        title=title, script=Markup(script), style=Markup(style)
    )
    return Page(html, f"{policy(script, style)}; connect-src 'self'; frame-ancestors 'none'")


def _own(name: str) -> str:
    return resources.files("fare_cli.review").joinpath("web", name).read_text(encoding="utf-8")

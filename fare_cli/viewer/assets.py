"""Scripts and styles of pages for people, put into the page itself, and the policy under which a browser runs them."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources


def source(name: str) -> str:
    """The text of a file in `web`."""
    return resources.files("fare_cli.viewer").joinpath("web", name).read_text(encoding="utf-8")


def policy(script: str, style: str) -> str:
    """A content security policy: this very script and style and nothing else, no connection, no frame, no form."""
    return (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

"""docs/perturbations.md is what the program does, with 20 examples of everything."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from fare_cli.studies.audit.catalogue import listing
from tests.cli.conftest import ROOT, environment

PAGE = ROOT / "docs" / "perturbations.md"


def test_the_page_is_what_the_script_writes() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "perturbation_docs.py"],
        capture_output=True,
        env=environment(PYTHONIOENCODING="utf-8"),
        timeout=120,
        check=True,
    )
    assert PAGE.read_text(encoding="utf-8") == done.stdout.decode("utf-8"), (
        "run: python scripts/perturbation_docs.py > docs/perturbations.md"
    )


@pytest.mark.parametrize("row", listing(), ids=lambda row: row["name"])
def test_everything_is_described_and_has_20_different_records_for_examples(row: dict[str, str]) -> None:
    section = re.search(
        rf"^### {row['name']}\n(.*?)\n```text\n(.*?)\n```$", PAGE.read_text(encoding="utf-8"), re.S | re.M
    )
    assert section is not None
    assert row["description"] in section[1]
    examples = section[2].split("\n")
    assert len({line.split(": ", 1)[0] for line in examples}) == len(examples) == 20
    assert all("[-" in line or "{+" in line for line in examples)

"""Brings the table of importers in docs/data.md up to date: run `python scripts/importer_docs.py` after a change."""

from __future__ import annotations

from pathlib import Path

from fare_cli.importers.importer import Importer
from fare_cli.importers.registry import IMPORTERS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "data.md"
START = "<!-- made by scripts/importer_docs.py -->\n"
END = "<!-- end -->\n"
_HEAD = "| `--from` | task | published by, licence | files | label | index base | ties | nulls |\n" + "|---" * 8 + "|\n"


def table() -> str:
    """The table of all importers in Markdown."""
    return _HEAD + "".join(map(_row, IMPORTERS.values()))


def _row(importer: Importer) -> str:
    base = "" if importer.index_base is None else str(importer.index_base)
    cells = (
        f"`{importer.name}`",
        importer.task,
        f"{importer.source}, {importer.licence}",
        f"`{importer.files}`" if "*" in importer.files else importer.files,
        importer.gold,
        base,
        importer.ties,
        importer.nulls,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def page() -> str:
    """docs/data.md with the table as it is now."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    return before + START + table() + END + after


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

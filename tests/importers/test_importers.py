"""Every importer on rows of its own set and of all others."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from fare_cli import records
from fare_cli.errors import FareError, InputError
from fare_cli.importers.convert import Conversion
from fare_cli.importers.registry import IMPORTERS, importers_for
from tests.importers.published import FIXTURES, PUBLISHED


def converted(name: str) -> tuple[Conversion, list[dict[str, Any]]]:
    conversion = Conversion(IMPORTERS[name], PUBLISHED[name].paths)
    return conversion, [json.loads(line) for line in conversion.lines()]


def test_every_importer_is_in_the_table_and_every_fixture_is_used() -> None:
    assert set(PUBLISHED) == set(IMPORTERS)
    used = {file for published in PUBLISHED.values() for file in published.files}
    assert used == {path.name for path in FIXTURES.iterdir()} - {"README.md"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_labels_of_the_published_rows_are_those_of_the_table(name: str) -> None:
    published = PUBLISHED[name]
    conversion, made = converted(name)
    assert conversion.rows == published.rows
    assert dict(conversion.gold) == dict(published.gold)
    assert dict(conversion.skipped) == dict(published.skipped)
    assert len(made) == conversion.records == sum(published.gold.values())


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_importer_states_its_index_base_ties_and_nulls(name: str) -> None:
    importer, published = IMPORTERS[name], PUBLISHED[name]
    assert importer.index_base == published.index_base
    assert (importer.ties != "none") == published.ties
    assert (importer.nulls != "none") == published.nulls
    assert (importer.sides is not None) == (importer.task == "pairwise")


@pytest.mark.parametrize("name", PUBLISHED)
def test_records_are_canonical_and_have_ids_of_their_own(name: str) -> None:
    _, made = converted(name)
    assert [records.parse(IMPORTERS[name].task, record).to_json() for record in made] == made
    assert len({record["id"] for record in made}) == len(made)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_second_conversion_gives_the_same(name: str) -> None:
    assert converted(name)[1] == converted(name)[1]


@pytest.mark.parametrize("other", PUBLISHED)
@pytest.mark.parametrize("name", PUBLISHED)
def test_an_importer_refuses_the_files_of_every_other_set(name: str, other: str) -> None:
    if PUBLISHED[name].files == PUBLISHED[other].files:
        return
    with pytest.raises(InputError) as refused:
        list(Conversion(IMPORTERS[name], PUBLISHED[other].paths).lines())
    file = re.escape(str(FIXTURES))
    assert re.match(rf"{file}/[\w.]+, line \d+: `[^`]+` ", refused.value.message)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_importer_of_a_file_is_found_by_its_rows(name: str) -> None:
    files = PUBLISHED[name].files
    assert importers_for(PUBLISHED[name].paths) == [name for name in IMPORTERS if PUBLISHED[name].files == files]


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_label_that_the_set_does_not_know_is_refused(name: str, tmp_path: Any) -> None:
    """Rows of the set with every field in turn replaced by nonsense never become records without a word."""
    conversion, made = converted(name)
    source = json.loads(json.dumps(list(_rows(name))))
    file = tmp_path / "changed.jsonl"
    for field in source[0]:
        changed = [{**row, field: {"not": ["what", "was", "published"]}} for row in source]
        file.write_text("\n".join(map(json.dumps, changed)) + "\n")
        try:
            lines = [json.loads(line) for line in Conversion(conversion.importer, [str(file)]).lines()]
        except FareError:
            continue
        assert [_shown(line) for line in lines] == [_shown(line) for line in made], f"{field} is not checked"


def _rows(name: str) -> Any:
    from fare_cli.importers.reading import read_rows

    return [dict(row.values) for row in read_rows(PUBLISHED[name].paths)]


def _shown(record: dict[str, Any]) -> dict[str, Any]:
    """What a judge is shown, and the label."""
    return {
        key: record.get(key) for key in ("question", "answer_a", "answer_b", "answer", "steps", "reference", "gold")
    }

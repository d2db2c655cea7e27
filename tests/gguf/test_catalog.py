"""The catalog: what fare ships, and what users add."""

from __future__ import annotations

from pathlib import Path

import pytest

from fare_cli.errors import UsageError
from fare_cli.gguf.catalog import BuildSource, HubSource, catalog

_OURS = """
[ours]
about = "a judge of ours"
licence = "MIT"
unverified = true
[ours.source]
kind = "url"
url = "https://example.com/ours.gguf"
"""


def _write(home: Path, text: str) -> Path:
    home.mkdir(exist_ok=True)
    file = home / "catalog.toml"
    file.write_text(text)
    return file


def test_what_nobody_checked_says_so(home: Path) -> None:
    for name, model in catalog().items():
        assert model.unverified == (model.sha256 is None), name
        assert model.approximate_bytes, f"{name} has no size"
        assert model.sizes_from or not model.sizes, f"{name} does not say whose sizes these are"


def test_fare_is_built_and_its_licence_restricts(home: Path) -> None:
    for name in ("fare-8b", "fare-20b"):
        model = catalog()[name]
        assert isinstance(model.source, BuildSource)
        assert model.restricts
    assert catalog()["fare-8b"].licence == "cc-by-nc-4.0"


@pytest.mark.parametrize("name", ["fare-8b", "fare-20b"])
def test_dimensions_agree_with_the_cache_that_is_stated(home: Path, name: str) -> None:
    model = catalog()[name]
    assert isinstance(model.source, BuildSource)
    assert model.source.architecture is not None
    dimensions = model.source.architecture
    assert model.kv_bytes == 2 * 2 * dimensions.layers * dimensions.kv_heads * dimensions.head_width
    assert model.sizes["BF16"] == pytest.approx(2 * dimensions.parameters, rel=0.01)


def test_an_entry_of_one_s_own_is_added_or_replaces(home: Path) -> None:
    shipped = catalog()["smollm2"]
    _write(home, _OURS + _OURS.replace("ours", "smollm2"))
    assert catalog()["ours"].about == "a judge of ours"
    assert catalog()["smollm2"] != shipped
    assert isinstance(catalog()["qwen3-8b"].source, HubSource)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("about = ", "abuot = "), "[ours] about: Field required"),
        (("unverified = true", ""), "[ours]: give sha256 and bytes, or say unverified = true"),
        (("unverified = true", 'sha256 = "abc"\nbytes = 3'), "[ours] sha256: String should match"),
        (("unverified = true", "unverified = true\nctx = 3"), "[ours] ctx: Extra inputs"),
        (('"https://', '"ftp://'), "[ours] source.url: String should match"),
        (('kind = "url"', 'kind = "torrent"'), "[ours] source: Input tag 'torrent'"),
        ((_OURS, "ours = 1"), "ours is not a table"),
        (("[ours]", "[ours"), "cannot be read"),
        (("[ours]\n", '["../ours"]\n'), "[../ours]: a model's name has"),
    ],
)
def test_a_mistake_is_named_with_file_table_and_key(home: Path, change: tuple[str, str], says: str) -> None:
    file = _write(home, _OURS.replace(*change))
    with pytest.raises(UsageError) as caught:
        catalog()
    assert caught.value.message.startswith(str(file))
    assert says in caught.value.message


def test_a_split_model_cannot_have_one_checksum(home: Path) -> None:
    source = 'kind = "hub"\nrepository = "a/b"\nfile = "x-00001-of-00002.gguf"'
    text = _OURS.replace("unverified = true", f'sha256 = "{"0" * 64}"\nbytes = 3')
    _write(home, text.replace('kind = "url"\nurl = "https://example.com/ours.gguf"', source))
    with pytest.raises(UsageError, match="no sha256 of its own"):
        catalog()

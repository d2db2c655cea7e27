"""What a build takes, and which types can be made of what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fare_cli.errors import EnvironmentFault, UsageError
from fare_cli.gguf.building.plan import announced_size, choose_recipe, make_plan
from fare_cli.gguf.disk import check_space

FARE_8B: dict[str, Any] = {
    "model_type": "qwen3",
    "dtype": "bfloat16",
    "vocab_size": 151_936,
    "hidden_size": 4096,
    "intermediate_size": 12_288,
}
FARE_20B: dict[str, Any] = {
    "model_type": "gpt_oss",
    "dtype": "bfloat16",
    "vocab_size": 201_088,
    "hidden_size": 2880,
    "intermediate_size": 2880,
    "num_local_experts": 32,
}
MXFP4 = {**FARE_20B, "quantization_config": {"quant_method": "mxfp4"}}


def test_an_8b_takes_what_its_published_files_take() -> None:
    size = announced_size(FARE_8B, 16_381_470_720, None)
    assert size.parameters == 8_190_735_360
    plan = make_plan(choose_recipe("q4_k_m", FARE_8B, "BF16"), size, FARE_8B, download=True)
    assert plan.download == pytest.approx(16.4e9, rel=0.01)
    assert plan.converted == pytest.approx(16.39e9, rel=0.01)
    assert plan.final == pytest.approx(5.03e9, rel=0.02)
    # Measured with the embedding of this model: 5.0 GB.
    assert plan.memory == pytest.approx(5.5e9, rel=0.1)


def test_a_type_that_the_converter_writes_needs_no_file_between() -> None:
    size = announced_size(FARE_8B, 16_381_470_720, None)
    plan = make_plan(choose_recipe("Q8_0", FARE_8B, "BF16"), size, FARE_8B, download=False)
    assert (plan.download, plan.final) == (0, 0)
    assert plan.converted == pytest.approx(8.71e9, rel=0.01)
    assert plan.memory == pytest.approx(plan.converted, rel=0.1), "the trial run holds all of it"


def test_a_20b_goes_to_mxfp4_from_either_checkpoint() -> None:
    for config, stored in ((FARE_20B, 41_829_514_368), (MXFP4, 13_761_264_768)):
        recipe = choose_recipe(None, config, "U8")
        plan = make_plan(recipe, announced_size(config, stored, 20_914_757_184), config, download=True)
        assert recipe.label == "MXFP4"
        assert plan.final == pytest.approx(12.1e9, rel=0.06)
        assert plan.converted == pytest.approx(stored, rel=0.06)


def test_widths_that_k_types_do_not_fit_make_larger_files() -> None:
    size = announced_size(FARE_20B, 41_829_514_368, None)
    plan = make_plan(choose_recipe("Q4_K_M", FARE_20B, "BF16"), size, FARE_20B, download=False)
    assert plan.final > 1.3 * size.parameters * 4.9 / 8


@pytest.mark.parametrize(
    ("config", "weights", "made"),
    [
        (FARE_8B, "BF16", ("Q4_K_M", "bf16")),
        (FARE_8B, "F16", ("Q4_K_M", "f16")),
        (FARE_8B, "F32", ("Q4_K_M", "f16")),
        (FARE_20B, "BF16", ("MXFP4_MOE", "bf16")),
        (MXFP4, "U8", ("MXFP4_MOE", "bf16")),
    ],
)
def test_the_default_type_and_the_one_between(config: dict[str, Any], weights: str, made: tuple[str, str]) -> None:
    assert choose_recipe(None, config, weights) == made


@pytest.mark.parametrize(
    ("asked", "config", "said"),
    [
        ("Q4_K_M", MXFP4, "in MXFP4 already"),
        ("Q8_0", MXFP4, "in MXFP4 already"),
        ("MXFP4", FARE_8B, "no experts"),
        ("Q4_K_X", FARE_8B, "Q4_K_X"),
    ],
)
def test_types_that_do_not_suit_are_refused(asked: str, config: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        choose_recipe(asked, config, "BF16")
    assert caught.value.hint


def test_too_little_disk_is_said_in_figures(tmp_path: Path) -> None:
    assert check_space(tmp_path / "not" / "there" / "yet", 1000, "the build") > 0
    with pytest.raises(EnvironmentFault, match=r"the build needs about 1000000\.00 GB in .*, and .* GB are free"):
        check_space(tmp_path, 10**15, "the build")

"""Settings: which source wins, where a value came from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_cli.errors import ModelError, UsageError
from fare_cli.identity import JudgingOptions
from fare_cli.settings import Settings, load_settings, with_model_defaults
from fare_cli.tasks import TASKS, check_options


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder that is the working directory."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_without_any_source_the_defaults_hold_and_say_so(project: Path) -> None:
    settings = load_settings()
    assert settings == Settings()
    assert settings.judging_options() == JudgingOptions()
    assert {settings.origin(name) for name in Settings.model_fields} == {"default"}


def test_a_flag_beats_the_environment_which_beats_the_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "fare.toml").write_text("votes = 2\nslots = 2\nctx = 2\n")
    monkeypatch.setenv("FARE_VOTES", "3")
    monkeypatch.setenv("FARE_SLOTS", "3")
    settings = load_settings({"votes": 4, "threads": None})
    assert (settings.votes, settings.origin("votes")) == (4, "--votes")
    assert (settings.slots, settings.origin("slots")) == (3, "FARE_SLOTS")
    assert (settings.ctx, settings.origin("ctx")) == (2, str(project / "fare.toml"))
    assert (settings.threads, settings.origin("threads")) == (None, "default")


def test_a_flag_that_says_no_beats_a_file_that_says_yes(project: Path) -> None:
    (project / "fare.toml").write_text("tie = true\n")
    assert load_settings().tie
    assert not load_settings({"tie": False}).tie


def test_the_nearest_project_file_counts_and_no_other(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "fare.toml").write_text("votes = 2\nslots = 2\n")
    inner = project / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "pyproject.toml").write_text('[project]\nname = "x"\n')
    monkeypatch.chdir(inner)
    assert load_settings().votes == 2, "a pyproject.toml that says nothing to fare does not hide the one above"
    (inner / "pyproject.toml").write_text("[tool.fare]\nvotes = 5\n")
    settings = load_settings()
    assert (settings.votes, settings.slots) == (5, None)
    assert settings.origin("votes") == str(inner / "pyproject.toml")


def test_fare_toml_beats_a_pyproject_beside_it(project: Path) -> None:
    (project / "fare.toml").write_text("votes = 2\n")
    (project / "pyproject.toml").write_text("[tool.fare]\nvotes = 3\n")
    assert load_settings().votes == 2


def test_isolated_leaves_the_project_out_but_not_the_environment(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "fare.toml").write_text("votes = 2\nslots = 2\n")
    monkeypatch.setenv("FARE_SLOTS", "7")
    settings = load_settings(isolated=True)
    assert (settings.votes, settings.slots) == (1, 7)


def test_isolated_does_not_even_read_a_broken_file(project: Path) -> None:
    (project / "fare.toml").write_text("votes = = 2\n")
    with pytest.raises(UsageError, match=r"fare\.toml cannot be read") as caught:
        load_settings()
    assert "--isolated" in str(caught.value.hint)
    assert load_settings(isolated=True).votes == 1


@pytest.mark.parametrize(
    ("key", "meant"), [("vote", "votes"), ("max-token", "max_tokens"), ("gpulayers", "gpu_layers")]
)
def test_an_unknown_key_names_the_file_the_key_and_the_near_miss(project: Path, key: str, meant: str) -> None:
    (project / "fare.toml").write_text(f"{key} = 2\n")
    with pytest.raises(UsageError) as caught:
        load_settings()
    assert str(project / "fare.toml") in caught.value.message
    assert key in caught.value.message
    assert meant in str(caught.value.hint)


def test_a_key_far_from_every_setting_lists_them(project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.fare]\nxyzzy = 2\n")
    with pytest.raises(UsageError, match="xyzzy") as caught:
        load_settings()
    assert "max_tokens" in str(caught.value.hint)


def test_hyphens_are_as_good_as_underscores_but_not_both(project: Path) -> None:
    (project / "fare.toml").write_text("max-tokens = 9\n")
    assert load_settings().max_tokens == 9
    (project / "fare.toml").write_text("max-tokens = 9\nmax_tokens = 8\n")
    with pytest.raises(UsageError, match="twice"):
        load_settings()


def test_a_slip_in_a_variable_is_an_error_and_another_tool_s_variable_is_not(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARE_CALCULATOR", "1")
    assert load_settings() == Settings()
    monkeypatch.setenv("FARE_VOTE", "3")
    with pytest.raises(UsageError, match="FARE_VOTE") as caught:
        load_settings()
    assert "FARE_VOTES" in str(caught.value.hint)


def test_an_empty_variable_counts_as_absent(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARE_MODEL", "")
    assert load_settings().model is None


@pytest.mark.parametrize(
    ("flags", "variable", "text", "named"),
    [
        ({"votes": 0}, None, None, "--votes"),
        ({"mode": "fast"}, None, None, "--mode"),
        ({"temperature": -1.0}, None, None, "--temperature"),
        ({"temperature": float("nan")}, None, None, "--temperature"),
        ({"max_invalid": "150%"}, None, None, "--max-invalid"),
        ({"max_invalid": "few"}, None, None, "--max-invalid"),
        ({"max_invalid": "1"}, None, None, "--max-invalid"),
        ({}, "FARE_MAX_TOKENS", "many", "FARE_MAX_TOKENS"),
        ({}, "FARE_GPU_LAYERS", "-2", "FARE_GPU_LAYERS"),
        ({}, "FARE_TIE", "perhaps", "FARE_TIE"),
    ],
)
def test_a_value_that_cannot_be_is_refused_where_it_stands(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: dict[str, object],
    variable: str | None,
    text: str | None,
    named: str,
) -> None:
    if variable and text:
        monkeypatch.setenv(variable, text)
    with pytest.raises(UsageError, match=named):
        load_settings(flags)


def test_a_bad_value_in_a_file_names_the_file_and_the_key(project: Path) -> None:
    (project / "fare.toml").write_text('order = "sideways"\n')
    with pytest.raises(UsageError, match=r"fare\.toml: order cannot be 'sideways'"):
        load_settings()


@pytest.mark.parametrize("text", ["tool = 3\n", "[tool]\nfare = 3\n"])
def test_a_pyproject_of_an_odd_shape_is_no_crash(project: Path, text: str) -> None:
    (project / "pyproject.toml").write_text(text)
    if "fare" in text:
        with pytest.raises(UsageError, match="not a table"):
            load_settings()
    else:
        assert load_settings() == Settings()


@pytest.mark.parametrize(("given", "share"), [("1%", 0.01), ("0.5", 0.5), (" 100 % ", 1.0), (0.25, 0.25), ("0", 0.0)])
def test_the_share_of_invalid_records_reads_as_people_write_it(project: Path, given: object, share: float) -> None:
    assert load_settings({"max_invalid": given}).max_invalid == pytest.approx(share)


def test_paths_in_a_file_are_meant_from_its_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "fare.toml").write_text('model = "models/judge.gguf"\nlora = "a.gguf"\nprompts = "own"\n')
    inner = project / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)
    settings = load_settings()
    assert settings.model == str(project / "models" / "judge.gguf")
    assert settings.lora == project / "a.gguf"
    assert settings.prompts == project / "own"


def test_a_model_s_name_in_a_file_stays_a_name(project: Path) -> None:
    (project / "fare.toml").write_text('model = "smollm2"\n')
    assert load_settings().model == "smollm2"


def test_several_votes_are_sampled_unless_a_temperature_is_given(project: Path) -> None:
    assert load_settings({"votes": 1}).judging_options().temperature == 0
    assert load_settings({"votes": 8}).judging_options().temperature == 0.7
    assert load_settings({"votes": 8, "temperature": 0.0}).judging_options().temperature == 0
    assert load_settings({"temperature": 1.2}).judging_options().temperature == 1.2


def test_votes_that_are_not_given_are_as_many_as_it_takes_in_mode_auto(project: Path) -> None:
    def options(**flags: object) -> tuple[object, float]:
        found = load_settings(flags).judging_options()
        return found.votes, found.temperature

    assert options(mode="auto") == ("auto", 0.7)
    assert options(mode="auto", votes="1") == (1, 0)
    assert options(mode="auto", votes="3") == (3, 0.7)
    assert options(votes="auto") == ("auto", 0.7)
    for wrong in ("0", "-1", "few", "1.5", True):
        with pytest.raises(UsageError, match=r"--votes cannot be .* whole number from 1 on, or auto"):
            load_settings({"votes": wrong})


def test_every_judging_option_can_be_set(project: Path) -> None:
    flags = {
        **{"mode": "direct", "order": "ba", "combine": "mean", "tie": True},
        **{"votes": 3, "temperature": 0.9, "seed": 5, "max_tokens": 77},
        **{"reasoning": "high", "reasoning_tokens": 300},
    }
    assert load_settings(flags).judging_options() == JudgingOptions(**flags)  # type: ignore[arg-type]


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "mode": st.sampled_from(["critique", "direct", "auto"]),
        "order": st.sampled_from(["both", "ab", "ba"]),
        "combine": st.sampled_from(["agree", "mean"]),
        "tie": st.booleans(),
        "votes": st.integers(1, 4) | st.just("auto"),
        "temperature": st.sampled_from([0, 0.6]),
        "max_tokens": st.integers(1, 9),
        "reasoning": st.sampled_from(["off", "low"]),
    },
)


def fits(options: JudgingOptions) -> bool:
    try:
        for task in TASKS:
            check_options(task, options)
    except UsageError:
        return False
    return True


@given(given_=OPTIONS, own=OPTIONS)
def test_a_models_own_options_never_make_a_right_command_wrong(
    given_: dict[str, object], own: dict[str, object]
) -> None:
    settings = load_settings(given_, isolated=True)
    if not fits(settings.judging_options()):
        return
    origins = dict.fromkeys(own, "the model")
    if not fits(load_settings(own, isolated=True).judging_options()):
        with pytest.raises(ModelError, match=r"the model: .* contradicts"):
            with_model_defaults(settings, own, origins)
        return
    merged = with_model_defaults(settings, own, origins)
    assert fits(merged.judging_options())
    for name in set(JudgingOptions.__slots__) - {"thresholds"}:
        if name in given_:
            assert getattr(merged, name) == given_[name]
        elif merged.origin(name) == "the model":
            assert getattr(merged, name) == own[name]
        else:
            assert getattr(merged, name) == Settings.model_fields[name].default


@pytest.mark.parametrize(
    ("flags", "own", "expected"),
    [
        ({"mode": "direct"}, {"votes": 4}, {"votes": 1}),
        ({"temperature": 0.0}, {"votes": 4}, {"votes": 1}),
        ({"votes": 4}, {"mode": "direct"}, {"mode": "critique"}),
        ({"votes": 4}, {"temperature": 0}, {"temperature": None}),
        ({"combine": "mean"}, {"tie": True}, {"tie": False}),
        ({"tie": True}, {"combine": "mean", "order": "ab"}, {"combine": "agree", "order": "both"}),
        ({}, {"votes": 4, "max_tokens": 7}, {"votes": 4, "max_tokens": 7}),
    ],
)
def test_an_option_of_the_model_that_cannot_go_with_a_given_one_makes_way(
    project: Path, flags: dict[str, object], own: dict[str, object], expected: dict[str, object]
) -> None:
    merged = with_model_defaults(load_settings(flags), own, dict.fromkeys(own, "the model"))
    assert {name: getattr(merged, name) for name in expected} == expected


def test_where_a_models_option_stands_is_its_origin(project: Path) -> None:
    merged = with_model_defaults(load_settings({"votes": 1}), {"votes": 2, "seed": 3}, {"votes": "x", "seed": "y"})
    assert (merged.origin("votes"), merged.origin("seed"), merged.origin("mode")) == ("--votes", "y", "default")

"""Air-gap bundles: what comes out is what went in, and nothing that is changed, missing or strange is taken in."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fare_cli.bundle.export import export_bundle
from fare_cli.bundle.take_in import import_bundle
from fare_cli.errors import EnvironmentFault, FareError, InputError, ModelError, UsageError
from fare_cli.gguf.embedded import write_embedded
from fare_cli.gguf.importing import import_model
from fare_cli.gguf.model_prompts import find_prompt, install_prompts, own_decoding
from fare_cli.gguf.notes import card_file, prompts_folder, read_notes, write_notes
from fare_cli.gguf.remove import remove_model
from fare_cli.gguf.store import installed_models, resolve_model
from fare_cli.gguf.verify import verify_model
from fare_cli.prompting import TASK_NAMES, load_task_prompt, read_prompt_texts
from fare_cli.settings import load_settings
from tests.engine import tiny_models
from tests.gguf.dying import die_everywhere
from tests.gguf.splitting import write_split

PROMPTS = Path(__file__).parent.parent / "prompts"

UseHome = Callable[[str], Path]


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UseHome:
    """Goes to another machine: one with a `FARE_HOME` of its own."""

    def go(name: str) -> Path:
        monkeypatch.setenv("FARE_HOME", str(tmp_path / name))
        return tmp_path / name / "models"

    go("here")
    return go


@pytest.fixture
def judge(at: UseHome, tmp_path: Path) -> str:
    """An adapter on a split base, with prompts, settings and a card of its own."""
    whole = tiny_models.write_qwen3(tmp_path / "whole.gguf")
    import_model(write_split(whole, tmp_path / "split", "big", 2)[0])
    path = import_model(tiny_models.write_lora(tmp_path / "lora.gguf"), base="big", name="my-judge").path
    shutil.copytree(PROMPTS / "pairwise", prompts_folder(path) / "pairwise")
    system = prompts_folder(path) / "pairwise" / "system.txt"
    system.write_text("Compare the two answers.\n")
    card_file(path).write_text("the card")
    decoding = {"mode": "direct", "tie": True, "max_tokens": 77, "temperature": 0.5}
    write_notes(path, read_notes(path).model_copy(update={"decoding": decoding, "licence": "cc-by-4.0"}))
    return "my-judge"


@pytest.fixture
def bundle(judge: str, tmp_path: Path) -> Path:
    export_bundle(judge, tmp_path / "bundle")
    return tmp_path / "bundle"


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _rewrite_sums(bundle: Path) -> None:
    """What somebody who means ill can do as well as anybody else."""
    digests = {path: hashlib.sha256((bundle / path).read_bytes()).hexdigest() for path in _files(bundle)}
    digests.pop("SHA256SUMS")
    (bundle / "SHA256SUMS").write_text("".join(f"{digest}  {path}\n" for path, digest in digests.items()))


def _rewrite_manifest(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    manifest = json.loads((bundle / "bundle.json").read_text())
    change(manifest)
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    _rewrite_sums(bundle)


def test_it_holds_all_that_the_judge_is(bundle: Path) -> None:
    assert _files(bundle) == [
        "SHA256SUMS",
        "bundle.json",
        "card.md",
        "fare.toml",
        *(f"prompts/{path.relative_to(PROMPTS)}" for path in sorted(PROMPTS.rglob("*.*"))),
        "weights/big-00001-of-00002.gguf",
        "weights/big-00002-of-00002.gguf",
        "weights/my-judge.gguf",
    ]


def test_the_usual_tool_checks_its_checksums(bundle: Path) -> None:
    tool = ["sha256sum"] if shutil.which("sha256sum") else ["shasum", "-a", "256"]
    done = subprocess.run([*tool, "-c", "SHA256SUMS"], cwd=bundle, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.count(": OK") == len(_files(bundle)) - 1


def test_its_settings_are_a_project_file(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bundle)
    options = load_settings().judging_options()
    assert (options.mode, options.tie, options.max_tokens, options.temperature) == ("direct", True, 77, 0.5)


def test_another_machine_has_the_same_judge_afterwards(bundle: Path, at: UseHome, tmp_path: Path) -> None:
    before = resolve_model("my-judge")
    prompts = {task: find_prompt(task, before.installed_file).prompt.fingerprint for task in TASK_NAMES}
    there = at("there")
    imported = import_bundle(bundle)
    assert (imported.name, imported.new) == ("my-judge", True)
    after = resolve_model("my-judge")
    assert (after.name, after.sha256) == (before.name, before.sha256)
    assert after.path == there / "big-00001-of-00002.gguf"
    assert after.adapter == imported.path
    assert all(verify_model(name).ok for name in ("big", "my-judge"))
    notes = read_notes(imported.path)
    assert notes.decoding == {"mode": "direct", "tie": True, "max_tokens": 77, "temperature": 0.5}
    assert (notes.base, notes.licence, notes.source) == ("big", "cc-by-4.0", "import:lora.gguf")
    assert card_file(imported.path).read_text() == "the card"
    assert {task: find_prompt(task, imported.path).prompt.fingerprint for task in TASK_NAMES} == prompts
    assert find_prompt("pairwise", imported.path).prompt.texts["system.txt"] == "Compare the two answers."
    assert sorted(path.name for path in there.iterdir() if not path.name.startswith(".")) == [
        "big-00001-of-00002.gguf",
        "big-00002-of-00002.gguf",
        "big.json",
        "my-judge.card.md",
        "my-judge.gguf",
        "my-judge.json",
        "my-judge.prompts",
    ]


def test_taken_in_twice_it_is_there_once(bundle: Path, at: UseHome) -> None:
    at("there")
    import_bundle(bundle)
    assert not import_bundle(bundle).new
    assert list(installed_models()) == ["big", "my-judge"]


def test_a_plain_model_goes_with_the_prompts_that_it_would_judge_with(at: UseHome, tmp_path: Path) -> None:
    import_model(tiny_models.write_qwen3(tmp_path / "tiny.gguf"))
    manifest = export_bundle("tiny", tmp_path / "bundle")
    assert set(manifest.prompts.values()) == {"fare"}
    assert "fare.toml" not in _files(tmp_path / "bundle")
    at("there")
    path = import_bundle(tmp_path / "bundle").path
    for task in TASK_NAMES:
        found = find_prompt(task, path)
        assert (found.place, found.prompt.fingerprint) == ("beside", load_task_prompt(task).fingerprint)


def test_a_file_that_is_not_installed_can_be_exported_too(at: UseHome, tmp_path: Path) -> None:
    model = tiny_models.write_qwen3(tmp_path / "tiny.gguf")
    (tmp_path / "tiny.json").write_text("no notes of ours")
    export_bundle(str(model), tmp_path / "bundle")
    at("there")
    assert import_bundle(tmp_path / "bundle").name == "tiny"


def test_what_is_in_the_weights_stays_there(at: UseHome, tmp_path: Path) -> None:
    texts = read_prompt_texts()
    step = {"step": {**texts["step"], "system.txt": "Look at each step.\n"}}
    path = tmp_path / "carrying.gguf"
    write_embedded(tiny_models.write_qwen3(tmp_path / "tiny.gguf"), path, step, {"mode": "direct"})
    import_model(path)
    assert export_bundle("carrying", tmp_path / "bundle").prompts["step"] == "inside"
    assert not (tmp_path / "bundle" / "prompts" / "step").exists()
    at("there")
    there = import_bundle(tmp_path / "bundle").path
    assert {task: find_prompt(task, there).place for task in TASK_NAMES} == {
        **dict.fromkeys(TASK_NAMES, "beside"),
        "step": "inside",
    }
    assert own_decoding(there).options == {"mode": "direct"}
    assert not import_bundle(tmp_path / "bundle").new


def test_an_adapter_judges_with_its_bases_prompts_where_it_has_none(at: UseHome, tmp_path: Path) -> None:
    base = import_model(tiny_models.write_qwen3(tmp_path / "tiny.gguf")).path
    words = {"step": {**read_prompt_texts()["step"], "system.txt": "Look at each step.\n"}}
    install_prompts(words, prompts_folder(base))
    write_notes(base, read_notes(base).model_copy(update={"decoding": {"mode": "direct", "votes": 1}}))
    adapter = import_model(tiny_models.write_lora(tmp_path / "lora.gguf"), base="tiny").path
    write_notes(adapter, read_notes(adapter).model_copy(update={"decoding": {"mode": "critique"}}))
    assert find_prompt("step", adapter).prompt.texts["system.txt"] == "Look at each step."
    assert own_decoding(adapter).options == {"mode": "critique", "votes": 1}
    export_bundle("lora", tmp_path / "bundle")
    at("there")
    there = import_bundle(tmp_path / "bundle").path
    assert find_prompt("step", there).prompt.texts["system.txt"] == "Look at each step."
    assert own_decoding(there).options == {"mode": "critique", "votes": 1}


def test_it_can_be_given_another_name(bundle: Path, at: UseHome) -> None:
    at("there")
    assert import_bundle(bundle, name="other").name == "other"
    assert resolve_model("other").path.name == "big-00001-of-00002.gguf"
    with pytest.raises(UsageError, match="the name of the adapter's base"):
        import_bundle(bundle, name="big")


def test_a_base_that_is_here_under_any_name_is_used(bundle: Path, at: UseHome) -> None:
    at("there")
    import_model(bundle / "weights" / "big-00001-of-00002.gguf", name="mine")
    import_bundle(bundle)
    assert list(installed_models()) == ["mine", "my-judge"]
    assert read_notes(installed_models()["my-judge"]).base == "mine"


def test_a_name_that_another_has_is_left_to_it(bundle: Path, at: UseHome, tmp_path: Path) -> None:
    there = at("there")
    other = tiny_models.write_qwen3(tmp_path / "other.gguf", seed=5)
    import_model(other, name="my-judge")
    with pytest.raises(UsageError, match="another model is installed as my-judge") as caught:
        import_bundle(bundle)
    assert "--name" in str(caught.value.hint)
    remove_model("my-judge")
    import_model(other, name="big")
    with pytest.raises(UsageError, match="another model is installed under that name"):
        import_bundle(bundle)
    assert list(installed_models()) == ["big"]
    assert (there / "big.gguf").read_bytes() == other.read_bytes()


def test_the_same_weights_with_other_prompts_are_another_judge(bundle: Path, at: UseHome) -> None:
    at("there")
    path = import_bundle(bundle).path
    system = prompts_folder(path) / "pairwise" / "system.txt"
    system.write_text("Something else.\n")
    with pytest.raises(UsageError, match="other prompts, settings or base"):
        import_bundle(bundle)
    assert system.read_text() == "Something else.\n"


def _nothing_new(models: Path) -> bool:
    return installed_models() == {} and not [p for p in models.glob("*") if not p.name.endswith(".lock")]


def test_every_file_that_is_changed_is_named(bundle: Path, at: UseHome) -> None:
    there = at("there")
    for name in _files(bundle):
        content = (bundle / name).read_bytes()
        (bundle / name).write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
        with pytest.raises(ModelError) as caught:
            import_bundle(bundle)
        assert name.rpartition("/")[2] in caught.value.message
        (bundle / name).write_bytes(content)
        assert _nothing_new(there)


def test_every_file_that_is_missing_is_named(bundle: Path, at: UseHome) -> None:
    there = at("there")
    for name in _files(bundle):
        content = (bundle / name).read_bytes()
        (bundle / name).unlink()
        with pytest.raises(ModelError, match=name.replace(".", r"\.")):
            import_bundle(bundle)
        (bundle / name).write_bytes(content)
        assert _nothing_new(there)


@pytest.mark.parametrize(
    "name", ["extra.txt", "weights/extra.gguf", "prompts/pairwise/extra.txt", ".hidden", "a/b/c/d"]
)
@pytest.mark.parametrize("vouched_for", [False, True])
def test_a_file_too_much_is_named(bundle: Path, at: UseHome, name: str, vouched_for: bool) -> None:
    there = at("there")
    (bundle / name).parent.mkdir(parents=True, exist_ok=True)
    (bundle / name).write_text("x")
    if vouched_for:
        _rewrite_sums(bundle)
    with pytest.raises(ModelError, match=r"a/b/c" if name.startswith("a/") else name.replace(".", r"\.")):
        import_bundle(bundle)
    assert _nothing_new(there)


def test_links_and_pipes_are_refused(bundle: Path, at: UseHome, tmp_path: Path) -> None:
    there = at("there")
    weights = bundle / "weights" / "my-judge.gguf"
    kept = weights.read_bytes()
    (tmp_path / "elsewhere").write_bytes(kept)
    for make in (
        lambda: weights.symlink_to(tmp_path / "elsewhere"),
        lambda: weights.symlink_to(tmp_path),
        lambda: os.mkfifo(weights),
    ):
        weights.unlink()
        make()
        with pytest.raises(ModelError, match=r"weights/my-judge\.gguf' is (a link|more than a bundle has)"):
            import_bundle(bundle)
    weights.unlink()
    weights.write_bytes(kept)
    shutil.move(bundle / "prompts", tmp_path / "prompts")
    (bundle / "prompts").symlink_to(tmp_path / "prompts")
    with pytest.raises(ModelError, match="'prompts' is a link"):
        import_bundle(bundle)
    assert _nothing_new(there)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(bundle=2), r"bundle\.json: bundle"),
        (lambda m: m.update(surprise=1), r"bundle\.json: surprise"),
        (lambda m: m["model"].update(name="../x"), r"bundle\.json.*'\.\./x'"),
        (lambda m: m["model"].update(name="other"), r"weights/other\.gguf is missing"),
        (lambda m: m["model"].update(parts=0), r"bundle\.json: model\.parts"),
        (lambda m: m["model"].update(parts=10**9), r"bundle\.json: model\.parts"),
        (lambda m: m["model"].update(sha256="0" * 64), "the sha256 of my-judge"),
        (lambda m: m.pop("base"), r"does not belong to a bundle"),
        (lambda m: m.update(base=m["model"]), "one name"),
        (lambda m: m["prompts"].update(step="inside"), "the weights carry this prompt"),
        (lambda m: m["prompts"].update(step="named"), r"bundle\.json: prompts\.step"),
    ],
)
def test_a_manifest_that_does_not_fit_the_files_is_refused(
    bundle: Path, at: UseHome, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    there = at("there")
    _rewrite_manifest(bundle, change)
    with pytest.raises(ModelError, match=message):
        import_bundle(bundle)
    assert _nothing_new(there)


def test_a_manifest_cannot_choose_what_the_store_decides(bundle: Path, at: UseHome) -> None:
    at("there")

    def change(manifest: dict[str, Any]) -> None:
        for model in (manifest["model"], manifest["base"]):
            model["notes"] |= {"base": "elsewhere", "parts": ["../../x"], "sha256": "0" * 64, "decoding": {"votes": 9}}

    _rewrite_manifest(bundle, change)
    import_bundle(bundle)
    base, judge = read_notes(installed_models()["big"]), read_notes(installed_models()["my-judge"])
    assert (base.base, base.parts, base.decoding) == (None, ["big-00002-of-00002.gguf"], {})
    assert (judge.base, judge.parts, judge.decoding["mode"]) == ("big", [], "direct")
    assert all(verify_model(name).ok for name in ("big", "my-judge"))


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("fare.toml", "mode = 'loud'", r"fare\.toml: mode cannot be"),
        ("fare.toml", "model = '/etc/passwd'", r"fare\.toml: there is no judging option 'model'"),
        ("fare.toml", "mode = ", r"fare\.toml"),
        ("fare.toml", b"\xff", r"fare\.toml"),
        ("prompts/pairwise/user.txt", "{nonsense}", r"prompts/pairwise/user\.txt"),
        ("bundle.json", "[" * 100_000, r"bundle\.json"),
    ],
)
def test_contents_that_cannot_be_used_are_refused(
    bundle: Path, at: UseHome, file: str, content: str | bytes, message: str
) -> None:
    there = at("there")
    (bundle / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    _rewrite_sums(bundle)
    with pytest.raises(ModelError, match=message):
        import_bundle(bundle)
    assert _nothing_new(there)


def test_an_adapter_for_another_model_is_refused(bundle: Path, at: UseHome) -> None:
    there = at("there")
    tiny_models.write_lora(bundle / "weights" / "my-judge.gguf", "llama")
    digest = hashlib.sha256((bundle / "weights" / "my-judge.gguf").read_bytes()).hexdigest()
    _rewrite_manifest(bundle, lambda manifest: manifest["model"].update(sha256=digest))
    with pytest.raises(ModelError, match="it is for llama"):
        import_bundle(bundle)
    assert _nothing_new(there)


def test_a_folder_that_is_no_bundle_is_said_to_be_none(at: UseHome, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="is no bundle: it has no SHA256SUMS"):
        import_bundle(tmp_path / "empty")


@pytest.fixture(scope="module")
def open_bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A right bundle of a plain model, and a home beside it, for many examples."""
    folder = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FARE_HOME", str(folder / "home"))
        tiny_models.write_qwen3(folder / "tiny.gguf")
        export_bundle(str(folder / "tiny.gguf"), folder / "bundle")
        yield folder / "bundle"


_PIECES = st.sampled_from(["..", ".", "", "weights", "prompts", "tiny.gguf", "tiny", "~", "\\..", "C:", "home", "etc"])
_PATHS = st.lists(_PIECES, min_size=1, max_size=6).map("/".join) | st.text(max_size=40)


def _world(bundle: Path) -> dict[str, bytes]:
    """All files around the bundle, and their content."""
    outside = [path for path in bundle.parent.rglob("*") if path.is_file() and bundle not in path.parents]
    return {str(path): path.read_bytes() for path in outside if "home/cache" not in str(path)}


def _is_refused(bundle: Path) -> bool:
    before = {path for path in _world(bundle) if not path.endswith(".lock")}
    try:
        import_bundle(bundle)
    except FareError:
        return {path for path in _world(bundle) if not path.endswith(".lock")} == before
    return False


@settings(max_examples=150, deadline=None)
@given(path=_PATHS)
@example(path="../tiny.gguf")
@example(path="/etc/passwd")
@example(path="weights/../../tiny.gguf")
def test_a_path_in_the_checksums_leads_nowhere(open_bundle: Path, path: str) -> None:
    sums = open_bundle / "SHA256SUMS"
    kept = sums.read_bytes()
    target = (open_bundle / path) if "\0" not in path else open_bundle
    digest = hashlib.sha256(target.read_bytes()).hexdigest() if target.is_file() else "0" * 64
    try:
        sums.write_bytes(kept + f"{digest}  {path}\n".encode("utf-8", "surrogateescape"))
        assert _is_refused(open_bundle)
    finally:
        sums.write_bytes(kept)


@settings(max_examples=150, deadline=None)
@given(name=_PATHS.filter(lambda name: name != "tiny"))
@example(name="../tiny")
@example(name="../../tiny")
@example(name="tiny.gguf")
def test_a_name_in_the_manifest_leads_nowhere(open_bundle: Path, name: str) -> None:
    manifest, sums = open_bundle / "bundle.json", open_bundle / "SHA256SUMS"
    kept = manifest.read_bytes(), sums.read_bytes()
    try:
        _rewrite_manifest(open_bundle, lambda content: content["model"].update(name=name))
        assert _is_refused(open_bundle)
    finally:
        manifest.write_bytes(kept[0])
        sums.write_bytes(kept[1])


def test_a_folder_that_has_something_in_it_is_not_exported_to(judge: str, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    for target in (tmp_path / "full", tmp_path / "full" / "mine"):
        with pytest.raises(InputError, match="exists and is not empty"):
            export_bundle(judge, target)
    (tmp_path / "empty").mkdir()
    export_bundle(judge, tmp_path / "empty")
    assert "bundle.json" in _files(tmp_path / "empty")


def test_a_model_that_is_not_what_was_installed_is_not_passed_on(judge: str, tmp_path: Path) -> None:
    path = installed_models()[judge]
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ModelError, match="is not what was installed"):
        export_bundle(judge, tmp_path / "bundle")
    assert not list(tmp_path.glob("*bundle*"))


def test_a_place_that_cannot_be_written_is_the_environments_fault(judge: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(EnvironmentFault, match="cannot be written"):
        export_bundle(judge, tmp_path / "file" / "bundle")


def test_killed_at_any_moment_an_export_is_whole_or_not_there(judge: str, tmp_path: Path) -> None:
    target = tmp_path / "out" / "bundle"
    target.parent.mkdir()
    whole = None
    for _ in die_everywhere(lambda: export_bundle(judge, target), target.parent):
        assert not target.exists()
    whole = _files(target)
    assert len(whole) == 28


def test_killed_at_any_moment_an_import_leaves_no_half_judge(bundle: Path, at: UseHome, tmp_path: Path) -> None:
    there = at("there")
    states = set()
    for _ in die_everywhere(lambda: import_bundle(bundle), there.parent, every=3):
        names = list(installed_models())
        states.add(tuple(names))
        assert all(verify_model(name).ok for name in names)
        if "my-judge" in names:
            assert prompts_folder(installed_models()["my-judge"]).is_dir()
        import_bundle(bundle)
        assert all(verify_model(name).ok for name in ("big", "my-judge"))
        assert not [path for path in there.iterdir() if ".import-" in path.name]
        shutil.rmtree(there.parent)
    assert states == {(), ("big",), ("big", "my-judge")}

"""`fare models build` with checkpoints made here: SmolLM2 turned back into safetensors, and small random ones.

The command runs as a process of its own wherever what is tested is the command: said, returned, killed, waited for.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader, dequantize

from fare_cli.asks import Ask
from fare_cli.engine.engine import Engine
from fare_cli.engine.native import Model
from fare_cli.engine.options import EngineOptions
from fare_cli.engine.sizing import TunedLayout
from fare_cli.engine.template import ChatTemplate
from fare_cli.engine.turns import Turns
from fare_cli.errors import ModelError, UsageError
from fare_cli.gguf.building import BuildOptions, build
from fare_cli.gguf.building.compare import compare
from fare_cli.gguf.header import read_header
from fare_cli.gguf.model_prompts import find_prompt
from fare_cli.gguf.notes import card_file, read_notes
from fare_cli.gguf.store import models_folder
from tests.cli.conftest import PROGRAM, environment
from tests.engine.asking import DIRECT, layout, pairs, run, run_once
from tests.gguf import checkpoints
from tests.gguf.fake_hub import FakeRepository, fake_hub

CARD = "---\nlicense: apache-2.0\n---\n# A judge\n"


@pytest.fixture(scope="session")
def smollm2(tmp_path_factory: pytest.TempPathFactory, smollm2_path: Path) -> Path:
    """SmolLM2 as a checkpoint in F32, 0.5 GB."""
    return checkpoints.write_smollm2(tmp_path_factory.mktemp("checkpoint") / "smol", smollm2_path)


@pytest.fixture(scope="session")
def qwen3(tmp_path_factory: pytest.TempPathFactory, smollm2: Path) -> Path:
    """A small qwen3 of random weights with SmolLM2's tokenizer, 6 MB."""
    return checkpoints.write_qwen3(tmp_path_factory.mktemp("checkpoint") / "tiny", smollm2)


@pytest.fixture
def home(home: Path, converter_folder: Path) -> Path:
    """A `FARE_HOME` where nothing is installed, and the converter is at hand."""
    place = home / "cache" / "converter" / converter_folder.name
    place.parent.mkdir(parents=True)
    place.symlink_to(converter_folder)
    return home


def _installed() -> list[str]:
    return sorted(path.name for path in models_folder().glob("[!.]*"))


def _leftovers(home: Path) -> list[Path]:
    return [path for path in (home / "models" / ".builds").iterdir() if not path.name.endswith(".lock")]


def _fare(home: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, "models", "build", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment(FARE_HOME=str(home)),
        timeout=300,
        check=False,
    )


def _said(done: subprocess.CompletedProcess[str], text: str) -> bool:
    return any(line.startswith(text) for line in done.stderr.splitlines())


@pytest.fixture(scope="module")
def smollm2_home(tmp_path_factory: pytest.TempPathFactory, smollm2: Path, converter_folder: Path) -> Iterator[Path]:
    """A home where SmolLM2 was built as F16, and the converted file was kept for other types."""
    home = tmp_path_factory.mktemp("home")
    (home / "cache" / "converter").mkdir(parents=True)
    (home / "cache" / "converter" / converter_folder.name).symlink_to(converter_folder)
    done = _fare(home, smollm2, "--type", "F16", "--keep")
    assert (done.returncode, done.stdout) == (0, f"smol-f16\t{home / 'models' / 'smol-f16.gguf'}\n"), done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FARE_HOME", str(home))
        yield home


def test_a_build_says_beforehand_what_it_takes_and_keeps_where_it_came_from(smollm2_home: Path, smollm2: Path) -> None:
    path = smollm2_home / "models" / "smol-f16.gguf"
    header = read_header(path)
    assert (header.architecture, header.quantisation, header.context_length) == ("llama", "F16", 8192)
    assert path.stat().st_size == pytest.approx(2 * 134_515_008, rel=0.02)
    notes = read_notes(path)
    assert notes.source == f"build:{smollm2}"
    assert notes.build is not None
    assert (notes.build.type, notes.build.converter) == ("F16", "llama-cpp-python 0.3.36")
    assert notes.build.agreement is not None
    assert notes.build.agreement.endswith("0.0000 nats apart")


def test_f16_gives_the_labels_that_transformers_gives(smollm2_home: Path, smollm2: Path) -> None:
    groups = pairs(5, DIRECT)
    path = smollm2_home / "models" / "smol-f16.gguf"
    replies = run_once(path, layout(slots=2), groups)
    expected = _labels_by_transformers(smollm2, path, [ask for group in groups for ask in group])
    same = [ask_id for ask_id, (label, _) in expected.items() if replies[ask_id].label == label]
    assert len(same) == len(expected) == 10
    for ask_id, (label, probability) in expected.items():
        assert np.exp((replies[ask_id].log_probabilities or {})[label]) == pytest.approx(probability, abs=0.02)


def test_another_type_is_made_of_the_kept_file_and_judges(smollm2_home: Path, smollm2: Path) -> None:
    done = _fare(smollm2_home, smollm2, "--type", "Q4_K_M", "--keep", "--no-compare")
    assert done.returncode == 0, done.stderr
    assert not _said(done, "converting")
    assert "the width 576 is no multiple of 256" in done.stderr
    f16 = (smollm2_home / "models" / "smol-f16.gguf").stat().st_size
    # 6.3 bits a weight: most tensors fall back.
    assert (smollm2_home / "models" / "smol-q4_k_m.gguf").stat().st_size == pytest.approx(f16 * 6.3 / 16, rel=0.05)

    examples = Path(__file__).parents[2] / "examples" / "verify.jsonl"
    judged = subprocess.run(
        [*PROGRAM, "judge", "verify", str(examples), "--model", "smol-q4_k_m", "--mode", "direct", "--quiet"],
        capture_output=True,
        text=True,
        env=environment(FARE_HOME=str(smollm2_home)),
        timeout=120,
        check=True,
    )
    verdicts = [json.loads(line) for line in judged.stdout.splitlines()]
    assert [verdict["status"] for verdict in verdicts] == ["ok"] * len(examples.read_text().splitlines())


def test_the_comparison_notices_another_model(smollm2_home: Path, qwen3: Path) -> None:
    found = compare(qwen3, {"F16": smollm2_home / "models" / "smol-f16.gguf"}, full_precision=True)
    assert found["F16"].nats > 1
    assert found["F16"].same_ids >= found["F16"].texts - 1, "the tokenizer is the same"


def _labels_by_transformers(checkpoint: Path, gguf_file: Path, asks: list[Ask]) -> dict[str, tuple[str, float]]:
    """The most likely label of each direct ask and its probability, by one pass over each."""
    import torch
    from transformers import AutoModelForCausalLM

    model = Model(gguf_file, gpu_layers=0)
    template = ChatTemplate(model)
    marker, choice = Turns(model, template).choice(DIRECT.marker, DIRECT.labels)
    judge = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    found = {}
    for ask in asks:
        prompt = [*template.prompt(ask.messages).tokens, *marker]
        # Where the labels part; what all of them share is certain.
        (node,) = choice.nodes
        with torch.inference_mode():
            logits = judge(torch.tensor([[*prompt, *node]])).logits[0, -1]
        scores = {label: float(logits[path[len(node)]]) for label, path in choice.paths.items()}
        best = max(scores, key=scores.__getitem__)
        found[ask.id] = (best, float(np.exp(scores[best] - np.logaddexp.reduce(list(scores.values())))))
    model.close()
    return found


def test_a_gpt_oss_in_bf16_becomes_mxfp4_and_k_types_fall_back_at_its_width(
    home: Path, tmp_path: Path, smollm2: Path
) -> None:
    source = checkpoints.write_gpt_oss(tmp_path / "oss", smollm2)
    done = _fare(home, source, "--keep", "--no-compare")
    assert done.returncode == 0, done.stderr
    experts = {"ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"}
    types = _types(home / "models" / "oss-mxfp4.gguf")
    assert {types[name] for name in experts} == {"MXFP4"}
    assert types["token_embd"] == types["attn_q"] == "Q8_0"
    assert read_header(home / "models" / "oss-mxfp4.gguf").quantisation == "MXFP4"

    done = _fare(home, source, "--type", "Q4_K_M", "--no-compare")
    assert done.returncode == 0, done.stderr
    assert "the width 2880 is no multiple of 256" in done.stderr
    assert not _said(done, "converting"), "the converted file was kept"
    types = _types(home / "models" / "oss-q4_k_m.gguf")
    assert types["ffn_gate_exps"] == "Q4_K"
    assert types["ffn_down_exps"] in ("Q5_0", "Q8_0"), "llama.cpp's stand-ins for Q4_K and Q6_K"
    assert _leftovers(home) == []


def test_the_experts_of_an_mxfp4_checkpoint_stay_as_they_are(home: Path, tmp_path: Path, smollm2: Path) -> None:
    from safetensors.torch import load_file

    source = checkpoints.write_gpt_oss(tmp_path / "oss", smollm2, mxfp4=True)
    with pytest.raises(UsageError, match="in MXFP4 already"):
        build(str(source), options=BuildOptions(type="Q4_K_M"))
    model = build(str(source), options=BuildOptions(compare=False))
    assert _types(model.path)["ffn_down_exps"] == "MXFP4"
    given = load_file(source / "model.safetensors")
    name = "model.layers.0.mlp.experts.down_proj"
    tensor = next(tensor for tensor in GGUFReader(model.path).tensors if tensor.name == "blk.0.ffn_down_exps.weight")
    expected = _four_bit_weights(given[f"{name}_blocks"].numpy(), given[f"{name}_scales"].numpy())
    assert np.array_equal(dequantize(tensor.data, tensor.tensor_type), expected)


def _four_bit_weights(blocks: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """What OpenAI's checkpoints mean: two E2M1 numbers in a byte, the low one first, times a power of two."""
    values = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)
    numbers = np.stack([values[blocks & 15], values[blocks >> 4]], axis=-1).reshape(*blocks.shape[:-1], 32)
    weights = numbers * np.exp2(scales.astype(np.float32) - 127)[..., None]
    return weights.reshape(*blocks.shape[:-2], -1)


def test_what_matters_on_the_users_records_is_kept_best(home: Path, tmp_path: Path, qwen3: Path) -> None:
    records = tmp_path / "pairs.jsonl"
    lines = [{"question": f"{n} + {n}?", "answer_a": str(2 * n), "answer_b": str(n)} for n in range(1, 5)]
    records.write_text("".join(json.dumps(line) + "\n" for line in lines))
    weigh = ("--imatrix", records, "--task", "pairwise", "--name", "weighed")
    assert _fare(home, qwen3, "--type", "Q4_0", "--no-compare").returncode == 0
    done = _fare(home, qwen3, "--type", "Q4_0", "--no-compare", *weigh)
    assert done.returncode == 0, done.stderr
    assert _said(done, "measured on 8 prompts")
    plain, weighed = home / "models" / "tiny-q4_0.gguf", home / "models" / "weighed.gguf"
    assert plain.read_bytes() != weighed.read_bytes()
    assert _types(plain) == _types(weighed)
    direct = _fare(home, qwen3, "--type", "F16", *weigh[:4])
    assert (direct.returncode, "not quantised" in direct.stderr) == (2, True)
    assert _fare(home, qwen3, "--imatrix", records).returncode == 2


def _types(path: Path) -> dict[str, str]:
    """The type of the tensors of the first layer, and of those outside of layers, by their short names."""
    tensors = GGUFReader(path).tensors
    return {tensor.name.split(".")[-2]: tensor.tensor_type.name for tensor in tensors if "blk.1." not in tensor.name}


def test_a_build_that_is_killed_at_any_stage_goes_on_there(home: Path, qwen3: Path) -> None:
    starts = ["converting to BF16", "quantising to Q4_0", "comparing with the checkpoint"]
    for number, start in enumerate(starts):
        said = _killed_at(start, home, qwen3, "--type", "Q4_0", "--compare")
        # The stage that the last kill met is made again, those before it are not.
        for finished in starts[: max(number - 1, 0)]:
            assert not any(line.startswith(finished) for line in said)
        assert _installed() == []
    done = _fare(home, qwen3, "--type", "Q4_0", "--compare")
    assert done.returncode == 0, done.stderr
    assert not _said(done, starts[0])
    assert not _said(done, starts[1])
    assert _said(done, starts[2])
    assert _leftovers(home) == []
    path = home / "models" / "tiny-q4_0.gguf"
    assert read_header(path).quantisation == "Q4_0"
    build_notes = read_notes(path).build
    assert build_notes is not None
    assert build_notes.agreement is not None


def _killed_at(start: str, home: Path, *arguments: str | Path) -> list[str]:
    """What a build says until a line that begins with `start`, at which it is killed."""
    process = subprocess.Popen(
        [*PROGRAM, "models", "build", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(FARE_HOME=str(home)),
    )
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith(start):
            process.kill()
    process.wait()
    assert said[-1].startswith(start), said
    return said


def test_a_second_build_of_the_same_waits_and_finds_it_made(home: Path, qwen3: Path) -> None:
    command = [*PROGRAM, "models", "build", str(qwen3), "--type", "BF16", "--no-compare"]
    processes = [
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(FARE_HOME=str(home)),
        )
        for _ in range(2)
    ]
    ends = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ends
    assert {out for out, _ in ends} == {f"tiny-bf16\t{home / 'models' / 'tiny-bf16.gguf'}\n"}
    talk = [err for _, err in ends]
    assert sum("waiting for it" in err for err in talk) == 1
    assert sum("converting" in err for err in talk) == 1
    assert _installed() == ["tiny-bf16.gguf", "tiny-bf16.json"]


def test_a_name_that_is_taken_by_another_model_is_left_alone(home: Path, tmp_path: Path, qwen3: Path) -> None:
    taken = home / "models" / "mine.gguf"
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"GGUF of somebody")
    with pytest.raises(UsageError, match="mine is installed already") as caught:
        build(str(qwen3), options=BuildOptions(name="mine", compare=False))
    assert "--name" in str(caught.value.hint)
    assert taken.read_bytes() == b"GGUF of somebody"


def test_an_adapter_is_built_on_top_of_its_base(home: Path, tmp_path: Path, qwen3: Path) -> None:
    adapter = checkpoints.write_lora(tmp_path / "my-judge", qwen3)
    (adapter / "README.md").write_text(CARD)
    model = build(str(qwen3), options=BuildOptions(type="Q8_0", lora=adapter, compare=False))
    base, file = models_folder() / "tiny-q8_0.gguf", models_folder() / "my-judge.gguf"
    assert model.name == "my-judge"
    assert read_notes(file).base == "tiny-q8_0"
    assert card_file(file).read_text() == CARD

    groups = pairs(3, DIRECT)
    shape = layout(slots=2)
    plain = {key: reply.log_probabilities or {} for key, reply in run_once(base, shape, groups).items()}
    opened = Engine(base, EngineOptions(gpu_layers=0, lora=file), layout=TunedLayout(shape))
    adapted = run(opened, groups)
    opened.close()
    label = DIRECT.labels[0]
    moved = [abs((adapted[key].log_probabilities or {})[label] - reply[label]) for key, reply in plain.items()]
    assert max(moved) > 0.01


def test_a_checkpoint_comes_from_the_hub_with_its_licence_and_card(home: Path, qwen3: Path) -> None:
    files = {path.name: path.read_bytes() for path in qwen3.iterdir()}
    card = CARD + (Path(__file__).parent / "cards" / "constants.md").read_text().partition("---\n# Example")[2]
    extra = {"README.md": card.encode(), "modeling_tiny.py": b"raise SystemExit", "original/model.safetensors": b"x"}
    with fake_hub() as hub:
        hub.repositories["judges/Tiny"] = FakeRepository({**files, **extra}, licence="cc-by-nc-4.0")
        arguments = ("hf:judges/Tiny", "--type", "Q8_0", "--no-compare")
        commit = hub.repositories["judges/Tiny"].commit
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HF_ENDPOINT", hub.url)
            refused = _fare(home, *arguments)
            assert refused.returncode == 2
            assert "cc-by-nc-4.0" in refused.stderr
            assert "--accept-license" in refused.stderr
            assert not any("safetensors" in request.path for request in hub.requests)

            done = _fare(home, *arguments, "--accept-license")
            assert done.returncode == 0, done.stderr
            asked = {request.path.rpartition("/")[2] for request in hub.requests}
            assert not asked & {"modeling_tiny.py"}
            assert not any("original" in request.path for request in hub.requests)

            count = len(hub.requests)
            assert _fare(home, *arguments).returncode == 0
            assert len(hub.requests) == count, "nobody is asked for what is here"
    path = home / "models" / "tiny-q8_0.gguf"
    notes = read_notes(path)
    assert (notes.source, notes.licence) == (f"build:hf:judges/Tiny@{commit}", "cc-by-nc-4.0")
    assert card_file(path).read_text() == card
    prompt = find_prompt("pairwise", path).prompt
    assert prompt.texts["system.txt"].startswith("Please act as an impartial judge")
    assert "judges/Tiny" in prompt.origin
    assert _leftovers(home) == []


def test_without_torch_nothing_is_begun(home: Path, qwen3: Path, tmp_path: Path) -> None:
    # A module of this name that cannot be found, for a process that is otherwise the same.
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None\n")
    done = subprocess.run(
        [*PROGRAM, "models", "build", str(qwen3)],
        capture_output=True,
        text=True,
        env=environment(FARE_HOME=str(home), PYTHONPATH=f"{tmp_path}:{environment()['PYTHONPATH']}"),
        check=False,
    )
    assert done.returncode == 5
    assert done.stderr == (
        "error: converting needs packages that are not installed: torch\n"
        "hint: install them: pip install 'fare-cli[convert]'\n"
    )
    assert not (home / "models").exists()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("smollm2", "need not be built"),
        ("nothing-here", "there is nothing to build called nothing-here"),
        ("hf:not-a-repository", "no repository on the Hub"),
    ],
)
def test_what_cannot_be_built_says_what_can(home: Path, source: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        build(source)
    assert caught.value.hint


def test_a_checkpoint_without_a_chat_template_is_no_judge(home: Path, tmp_path: Path, qwen3: Path) -> None:
    folder = tmp_path / "base"
    folder.mkdir()
    for file in qwen3.iterdir():
        if file.name != "chat_template.jinja":
            (folder / file.name).symlink_to(file)
    with pytest.raises(ModelError, match="no chat template"):
        build(str(folder))
    assert not list(home.rglob("*.gguf"))

"""Configs: all of ours can be used, and a slip of the pen does not pass."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from pathlib import Path

import pytest

from fare_cli.errors import EnvironmentFault, UsageError
from training.config import read_config
from training.parallel import check_world, fsdp_options, trainer_options

CONFIGS = Path(__file__).parents[2] / "training" / "configs"
GOOD = "[optimisation]\nlearning_rate = 1e-4\n"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_config_of_ours_can_be_used(path: Path) -> None:
    config = read_config(path)
    for file in (config.parallel.fsdp, config.parallel.deepspeed):
        assert file is None or file.is_file()
    assert trainer_options(config) or config.parallel.processes == 1


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_what_the_paper_did_not_publish_is_called_ours(path: Path) -> None:
    """It published no value that a config has: each is ours, or measured."""
    for line in path.read_text().splitlines():
        name, is_value, value = line.partition(" = ")
        if is_value and name != "about":
            assert re.search(r" # (ours|measured)\b", value), line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + "lerning_rate = 2\n", "unknown key optimisation.lerning_rate.*did you mean learning_rate"),
        (GOOD + "[optimization]\n", "unknown key optimization.*did you mean optimisation"),
        (GOOD + "speed = 3\n", "unknown key optimisation.speed.*known here: learning_rate"),
        ("[optimisation]\nbatch = 1\n", "optimisation.learning_rate is missing"),
        ("[optimisation]\nlearning_rate = -1\n", "optimisation.learning_rate cannot be -1"),
        (GOOD + '[compute]\nattention = "flash"\n', "compute.attention cannot be 'flash'"),
        (GOOD + '[parallel]\nfsdp = "a"\ndeepspeed = "b"\n', "both fsdp and deepspeed"),
        ("not toml", "cannot be read"),
    ],
)
def test_a_config_that_cannot_be_is_refused_by_name(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('about = "x"\n' + text)
    with pytest.raises(UsageError) as refused:
        read_config(path)
    assert re.search(said, f"{refused.value.message} {refused.value.hint}")


def test_the_fsdp_files_are_accelerates_own(tmp_path: Path) -> None:
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.utils import FullyShardedDataParallelPlugin
    from trl import SFTConfig

    for name, processes in (("fsdp2-8gpu", 8), ("fsdp2-2cpu", 2)):
        file = CONFIGS / "accelerate" / f"{name}.yaml"
        loaded = load_config_from_file(str(file))
        assert (loaded.num_processes, str(loaded.distributed_type)) == (processes, "DistributedType.FSDP")
        arguments = SFTConfig(
            output_dir=str(tmp_path), fsdp=True, fsdp_config=fsdp_options(file), bf16=False, use_cpu=True
        )
        plugin = FullyShardedDataParallelPlugin(**arguments.fsdp_plugin_args)
        assert (plugin.fsdp_version, plugin.reshard_after_forward) == (2, True)
        assert "SHARDED" in str(plugin.state_dict_type)


def test_the_deepspeed_file_is_zero_3() -> None:
    from accelerate.utils.deepspeed import HfDeepSpeedConfig

    file = CONFIGS / "deepspeed" / "zero3-8gpu.json"
    config = HfDeepSpeedConfig(json.loads(file.read_text()))
    assert config.is_zero3()
    assert not config.is_offload()


def test_what_stands_in_the_files_for_several_gpus_decides_and_not_where_they_lie(tmp_path: Path) -> None:
    source = CONFIGS / "fare-8b.toml"
    config = read_config(source)
    for folder in ("accelerate", "deepspeed"):
        shutil.copytree(CONFIGS / folder, tmp_path / folder)
    moved = tmp_path / "moved.toml"
    moved.write_text(source.read_text())
    assert read_config(moved).outcome() == config.outcome()
    fsdp = tmp_path / "accelerate" / "fsdp2-8gpu.yaml"
    fsdp.write_text(fsdp.read_text().replace("offload: false", "offload: true"))
    assert read_config(moved).outcome() != config.outcome()
    fsdp.unlink()
    with pytest.raises(UsageError, match=r"fsdp2-8gpu\.yaml cannot be read"):
        read_config(moved).outcome()


@pytest.mark.skipif(importlib.util.find_spec("deepspeed") is not None, reason="says what happens without DeepSpeed")
def test_a_config_for_deepspeed_says_that_it_is_not_installed() -> None:
    with pytest.raises(EnvironmentFault, match="DeepSpeed, which is not installed"):
        check_world(read_config(CONFIGS / "fare-20b.toml").parallel)


def test_another_number_of_processes_than_planned_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    config = read_config(CONFIGS / "fare-8b.toml")
    with pytest.raises(UsageError, match=r"1 process\(es\) run, and the config is for 8"):
        check_world(config.parallel)
    monkeypatch.setenv("WORLD_SIZE", "8")
    check_world(config.parallel)

"""The house's rules on imports, read from the source: they go down only, and few modules may touch the outside."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_PACKAGE = Path(__file__).parent.parent / "fare_cli"

_WAIST = {"errors", "asks", "identity"}
_RECORDS = {"record_fields", "records", "unknown_fields", "verdicts"}
_PROMPTS = {"prompt_template", "prompting"}

# What each part may import of the others. A part is a module or a folder directly under fare_cli.
_MAY_IMPORT = {
    **{part: {"errors"} for part in _WAIST | {"folders", "loopback", "machine"}},
    "settings": _WAIST,
    **dict.fromkeys(_RECORDS, _WAIST | _RECORDS),
    **dict.fromkeys(_PROMPTS, _WAIST | _RECORDS | _PROMPTS),
    "tasks": _WAIST | _RECORDS | _PROMPTS,
    # Whether a model fits is decided from its header, before the engine loads it.
    "engine": {"errors", "asks", "folders", "machine", "gguf.header", "gguf.split", "gguf.memory"},
    # A judge is weights, prompts and decoding: prompts lie beside models, travel in them and stand in their cards.
    "gguf": {
        "errors",
        "folders",
        "loopback",
        "machine",
        "engine.native",
        "engine.family",
        "engine.options",
        "engine.probe",
        "prompting",
        # Files that must be on the disk are so in one way, whoever writes them.
        "run.files",
    },
    "bundle": _WAIST | _RECORDS | _PROMPTS | {"settings", "gguf", "run.files"},
    # Replies are replayed out of the journals that runs write.
    "backends": {"errors", "asks", "folders", "loopback", "engine", "run.journal"},
    "run": _WAIST | _RECORDS | _PROMPTS | {"tasks"},
    # What workers do to a partition is a run; which judge they open is the business of who gives them their work.
    "cluster": {"errors", "asks", "run"},
    "meta": {"errors"},
    # Strengths of systems and worth of answers: numbers from verdicts, and the records that are compared.
    "rank": _WAIST | _RECORDS | {"meta", "run.lines", "run.reader"},
    # Figures are shown with their intervals.
    "report": {"errors", "meta"},
    # What people say is read beside verdict files and written into them, and measured like the labels of annotators.
    # Its page is drawn by the scripts of that of `fare report`.
    "review": _WAIST | _RECORDS | {"meta", "report", "run", "studies", "viewer"},
    # Verdicts of any judge, here or served, in the shapes of trainers.
    "rewards": _WAIST | _RECORDS | {"judge", "loopback", "run"},
    "server": _WAIST | _RECORDS | {"judge", "report", "review", "rewards", "run", "tasks"},
    # The page of verdicts: figures of `fare eval`, drawn by `report`.
    "viewer": _WAIST | _RECORDS | {"meta", "report", "run", "studies"},
    # Published files are opened and read like inputs, records written and named like those of a run.
    "importers": _WAIST | _RECORDS | {"run.files", "run.ids", "run.lines", "run.parquet"},
    "learnt": {"errors", "run.files"},
    # It wraps a task, so that calibrated verdicts are made where verdicts are, and writes its file.
    "calibration": _WAIST | _RECORDS | _PROMPTS | {"tasks", "learnt"},
    # Thresholds of a cascade are bound to its judges, and stand in a file like a calibration's.
    "thresholds": _WAIST | _RECORDS | _PROMPTS | {"tasks", "learnt"},
    "judge": _WAIST
    | _RECORDS
    | _PROMPTS
    | {"calibration", "folders", "settings", "tasks", "thresholds", "backends", "engine", "gguf", "run"},
    "studies": _WAIST
    | _RECORDS
    | _PROMPTS
    | {
        "calibration",
        "folders",
        "machine",
        "tasks",
        "engine",
        "gguf",
        "importers",
        "judge",
        "meta",
        "rank",
        "report",
        "run",
        "thresholds",
    },
    # A plugin does what `fare judge` does: it opens the same judge, stops by the same signals, shows the same progress.
    "pytest_plugin": _WAIST
    | _RECORDS
    | {"settings", "tasks", "judge", "run", "cli.judge", "cli.console", "cli.stopping"},
    # Limits on what studies measure, held to verdict files or to a run while it goes on.
    "gate": _WAIST | _RECORDS | {"meta", "report", "run", "studies"},
}
# These stand above all others.
_TOP = {"cli", "__init__", "__main__"}

_NETWORK = {
    "socket",
    "ssl",
    "http.client",
    "urllib.request",
    "httpx",
    "httpx2",
    "requests",
    "aiohttp",
    "huggingface_hub",
}


def _modules() -> list[str]:
    """Dotted names below fare_cli, packages by their own name."""
    paths = [path.relative_to(_PACKAGE).with_suffix("") for path in _PACKAGE.rglob("*.py")]
    return sorted(".".join(path.parts).removesuffix(".__init__") for path in paths)


def _source(module: str) -> Path:
    path = _PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _imports(module: str) -> Iterator[str]:
    """Every module that `module` imports, anywhere in its source, for types too; `from x import y` gives x and x.y."""
    for node in ast.walk(ast.parse(_source(module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            yield str(node.module)
            yield from (f"{node.module}.{name.name}" for name in node.names)


def _own_imports(module: str) -> set[str]:
    """The modules of fare that `module` imports, as dotted names below fare_cli."""
    known = set(_modules())
    names = {name.removeprefix("fare_cli.") for name in _imports(module) if name.startswith("fare_cli.")}
    return names & known


def test_every_part_has_its_rule_and_every_rule_a_part() -> None:
    assert {module.split(".")[0] for module in _modules()} - _TOP == set(_MAY_IMPORT)


@pytest.mark.parametrize("module", _modules())
def test_imports_go_down_only(module: str) -> None:
    part = module.split(".")[0]
    if part in _TOP:
        return
    for imported in _own_imports(module):
        package = imported.split(".")[0]
        # `from fare_cli.engine import native` names both the package and the module: the narrower one decides.
        is_package_of_a_named_module = any(other.startswith(f"{imported}.") for other in _own_imports(module))
        allowed = package == part or {package, imported} & _MAY_IMPORT[part]
        assert allowed or is_package_of_a_named_module, f"{module} may not import {imported}"


def _importers(names: set[str]) -> set[str]:
    found = set()
    for module in _modules():
        if any(name == outside or name.startswith(f"{outside}.") for name in _imports(module) for outside in names):
            found.add(module)
    return found


def test_only_native_imports_llama_cpp() -> None:
    assert _importers({"llama_cpp"}) == {"engine.native"}


def test_only_the_command_line_imports_typer_and_rich() -> None:
    assert {module.split(".")[0] for module in _importers({"typer", "rich", "click"})} <= {"cli"}


def test_only_measures_and_rankings_import_the_statistics_libraries() -> None:
    # Strengths are fitted where the models are that they belong to.
    assert {module.split(".")[0] for module in _importers({"krippendorff", "scipy", "sklearn"})} == {"meta", "rank"}


def test_only_fetching_and_the_http_backend_reach_the_network() -> None:
    # A reward may be asked of a judge elsewhere; what listens has a socket, too.
    others = {"rewards.served", "server.serving"}
    assert all(module.startswith(("gguf.fetch.", "backends.http.")) for module in _importers(_NETWORK) - others)
    starters = {module for module in _modules() if '"download"' in _source(module).read_text(encoding="utf-8")}
    assert starters == {"gguf.fetch.package", "gguf.fetch.sdist"}, "pip is a way to the network too"


def test_only_the_server_listens() -> None:
    listening = {"http.server", "socketserver", "asyncio", "uvicorn", "wsgiref", "xmlrpc", "fastapi", "starlette"}
    assert {module.split(".")[0] for module in _importers(listening)} == {"server"}


def test_only_the_cluster_imports_ray() -> None:
    assert {module.split(".")[0] for module in _importers({"ray"})} == {"cluster"}


def test_only_the_comparison_with_a_checkpoint_runs_torch() -> None:
    assert _importers({"torch", "transformers", "safetensors"}) == {"gguf.building.compare"}


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert not {module.split(".")[-1] for module in _modules()} & {
        "utils",
        "helpers",
        "common",
        "core",
        "base",
        "manager",
    }


@pytest.mark.parametrize(
    ("arguments", "not_loaded"),
    [
        ("--help", {"numpy", "llama_cpp", "torch", "jinja2", "huggingface_hub", "pydantic", "rich"}),
        # Typer itself loads pydantic to read the arguments of a command.
        ("judge pairwise --help", {"numpy", "llama_cpp", "torch", "jinja2", "huggingface_hub", "pyarrow", "ray"}),
        ("audit --help", {"numpy", "llama_cpp", "torch", "jinja2", "huggingface_hub", "scipy", "sklearn"}),
        ("eval --help", {"numpy", "llama_cpp", "torch", "jinja2", "huggingface_hub", "scipy", "sklearn"}),
        ("gate --help", {"numpy", "llama_cpp", "torch", "jinja2", "huggingface_hub", "scipy", "sklearn"}),
        ("diff --help", {"numpy", "llama_cpp", "torch", "jinja2", "huggingface_hub", "scipy", "sklearn"}),
        ("models --help", {"numpy", "llama_cpp", "torch", "jinja2", "huggingface_hub"}),
        ("models quantize --help", {"numpy", "llama_cpp", "torch", "jinja2", "huggingface_hub", "scipy", "sklearn"}),
        (
            "data convert --help",
            {"numpy", "llama_cpp", "torch", "jinja2", "huggingface_hub", "pyarrow", "scipy", "sklearn"},
        ),
        ("review --help", {"numpy", "llama_cpp", "torch", "jinja2", "huggingface_hub", "scipy", "sklearn"}),
        ("rank --help", {"numpy", "llama_cpp", "torch", "jinja2", "huggingface_hub", "scipy", "sklearn"}),
        ("report --help", {"numpy", "llama_cpp", "torch", "jinja2", "huggingface_hub", "scipy", "sklearn"}),
        (
            "serve --help",
            {"numpy", "llama_cpp", "torch", "jinja2", "huggingface_hub", "fastapi", "uvicorn", "prometheus_client"},
        ),
        ("doctor --help", {"numpy", "llama_cpp", "torch", "jinja2", "huggingface_hub"}),
    ],
)
def test_help_does_not_load_what_judging_needs(arguments: str, not_loaded: set[str]) -> None:
    program = (
        "import sys; from fare_cli.cli.main import run; run(sys.argv[1].split());"
        "print(*sorted(name for name in sys.modules if '.' not in name), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program, arguments], capture_output=True, text=True, check=True)
    assert "Usage" in done.stdout
    assert not not_loaded & set(done.stderr.split())

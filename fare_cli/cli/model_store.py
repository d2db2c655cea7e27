"""`fare models import|export|show|verify|remove`: the installed models, taken in, passed on, looked at, taken away."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fare_cli.errors import ExitCode, UsageError, visible

if TYPE_CHECKING:
    from fare_cli.gguf.describe import ModelFacts
    from fare_cli.gguf.importing import Imported
    from fare_cli.gguf.verify import Verification

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def import_model(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", help="A GGUF file, any part of a split one, a LoRA adapter, or a bundle's folder."
        ),
    ],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Install it under this name, not under its own.")
    ] = None,
    base: Annotated[
        str | None, typer.Option("--base", metavar="MODEL", help="The installed model that a LoRA adapter stands on.")
    ] = None,
    move: Annotated[bool, typer.Option("--move", help="Take the file instead of copying it.")] = False,
) -> None:
    """Install a model file that is on this machine, or a judge from a bundle; does nothing if it is there already."""
    imported = _import_bundle(path, name, base, move) if _is_folder(path) else _import_file(path, name, base, move)
    if not imported.new:
        _say(f"already installed as {imported.name}: nothing to do")
    typer.echo(f"{imported.name}\t{imported.path}")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # said better by whoever opens it
        return False


def _import_file(path: Path, name: str | None, base: str | None, move: bool) -> Imported:
    from fare_cli.gguf.importing import import_model

    return import_model(path, name=name, base=base, move=move, say=_say)


def _import_bundle(path: Path, name: str | None, base: str | None, move: bool) -> Imported:
    from fare_cli.bundle.take_in import import_bundle

    if base is not None or move:
        raise UsageError(
            f"{path} is a folder, and {'--base' if base is not None else '--move'} is for files",
            "a bundle brings an adapter's base with it and is left as it is",
        )
    return import_bundle(path, name=name, say=_say)


def export_bundle(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The name of an installed model, or a GGUF file.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write; must be new or empty.")],
) -> None:
    """Write a judge into one folder, for a machine without network: weights, prompts, settings and checksums."""
    from fare_cli.bundle.export import export_bundle

    manifest = export_bundle(model, folder)
    base = f" on {manifest.base.name}" if manifest.base else ""
    _say(f"exported {manifest.model.name}{base}; prompts: {_prompts_in_words(dict(manifest.prompts))}")
    _say(f"take it in elsewhere with: fare models import {folder.name}")
    typer.echo(str(folder))


def show_model(
    model: Annotated[str, typer.Argument(help="The name of an installed model, or the path of a GGUF file.")],
    as_json: AsJson = False,
) -> None:
    """Show one model: file, checksum, architecture, quantisation, context, licence, prompts."""
    from fare_cli.gguf.describe import describe
    from fare_cli.gguf.store import resolve_model

    facts = describe(resolve_model(model))
    if as_json:
        typer.echo(facts.model_dump_json(indent=2))
        return
    for key, value in _rows(facts).items():
        typer.echo(f"{key:<13} {'unknown' if value is None else visible(str(value))}")
    for row in facts.memory:
        typer.echo(
            f"{'memory':<13} {row.bytes / 1e9:.2f} GB for one ask of {row.ctx:,} tokens, "
            f"{row.cache_bytes / 1e9:.2f} GB of it the cache in {row.kv_type}"
        )


def _rows(facts: ModelFacts) -> dict[str, object]:
    """What people read, in the order in which they ask."""
    from fare_cli.gguf.notes import check_report_file

    rows: dict[str, object] = {"name": facts.name, "path": facts.path}
    if facts.parts:
        rows["parts"] = f"{len(facts.parts)}, to {facts.parts[-1]}"
    rows |= {"size": f"{facts.bytes / 1e9:.2f} GB", "sha256": facts.sha256}
    if facts.adapter is not None:
        rows |= {"adapter": facts.adapter.path, "adapter sha": facts.adapter.sha256, "base": facts.adapter.base}
    rows |= {
        "architecture": facts.architecture,
        "parameters": f"{facts.parameters:,}",
        "quantisation": facts.quantisation,
        "tensor types": ", ".join(f"{kind} {share:.1%}" for kind, share in facts.tensor_types.items()),
        "context": facts.context,
        "template": facts.template,
        "licence": facts.licence,
        "source": facts.source,
        "prompts": _prompts_in_words(facts.prompts),
    }
    if facts.decoding:
        rows["decoding"] = ", ".join(f"{name} {value}" for name, value in facts.decoding.items())
    if facts.quantisation_check is not None:
        rows["checked"] = _check_in_words(facts.quantisation_check)
        rows["report"] = check_report_file(Path(facts.path))
    return rows


def _prompts_in_words(places: dict[str, str]) -> str:
    """`fare's own`, or task by task where they differ."""
    words = {"beside": "its own, installed beside it", "inside": "its own, carried in the file", "fare": "fare's own"}
    said = {task: words.get(place, place) for task, place in places.items()}
    alike = set(said.values())
    return alike.pop() if len(alike) == 1 else "; ".join(f"{task}: {text}" for task, text in said.items())


def _check_in_words(check: dict[str, Any]) -> str:
    """One line about a stored quantisation check."""
    flips, source = check["quantised"]["comparison"]["flips"], check["source"]
    interval = "{low:.1%} to {high:.1%}".format(**flips["interval"])
    chance = "; a judge not shown to be better than chance" if check["chance"] else ""
    return (
        f"{flips['cases']} of {flips['of']} {check['task']} verdicts flipped ({interval}) "
        f"against {source['name']} ({source['type']}){chance}"
    )


def verify_models(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Installed models.")] = None,
    all_models: Annotated[bool, typer.Option("--all", help="Check every installed model.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read installed models again and compare them with their checksums. Exits with 5 if one is not as it should be."""
    from fare_cli.gguf.store import installed_models
    from fare_cli.gguf.verify import verify_model

    if bool(names) == all_models:
        raise UsageError("say which models to check", "name them, or give --all")
    results = [verify_model(name) for name in (installed_models() if all_models else dict.fromkeys(names or ()))]
    if as_json:
        rows = [{**asdict(result), "path": str(result.path), "ok": result.ok} for result in results]
        typer.echo(json.dumps(rows, indent=2))
    else:
        for result in results:
            typer.echo(f"{result.name}\t{_verdict(result)}")
    if not results:
        _say("no model is installed")
    if not all(result.ok for result in results):
        raise typer.Exit(ExitCode.ENVIRONMENT)


def _verdict(result: Verification) -> str:
    if not result.ok:
        return "; ".join(result.problems)
    if result.expected is None:
        return f"readable; nobody noted its checksum ({result.sha256})"
    return f"as it was installed ({result.sha256})"


def remove_models(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Installed models.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Remove a base even if an adapter stands on it.")] = False,
) -> None:
    """Remove installed models with all that lies beside them: parts, notes, prompts, card, downloads cut short."""
    from fare_cli.gguf.remove import check_removal, remove_model

    files = check_removal(names, force=force)
    if not yes and not _agreed(files):
        _say("nothing was removed")
        return
    for name in files:
        remove_model(name, say=_say)
        _say(f"removed {name}")


def _agreed(files: dict[str, list[Path]]) -> bool:
    """Whether the person at the terminal wants these files removed. Raises UsageError where nobody can be asked."""
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to be asked", "add --yes to remove without a question")
    for paths in files.values():
        for path in paths:
            _say(str(path))
    typer.echo(f"remove {', '.join(files)}? [y/N] ", err=True, nl=False)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _say(line: str) -> None:
    typer.echo(line, err=True)

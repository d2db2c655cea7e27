"""Installs models: all files of one under temporary names in the models folder first, then under its name at once."""

from __future__ import annotations

import errno
import glob
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from fare_cli.errors import EnvironmentFault, ModelError, UsageError
from fare_cli.gguf.disk import Say, copy_file, only_one, write_synced
from fare_cli.gguf.notes import ModelNotes, card_file, files_beside, notes_file, notes_text, prompts_folder
from fare_cli.gguf.split import is_later_part, model_name, part_file_names, part_paths
from fare_cli.gguf.store import catalog_sha256, models_folder, parts_sha256, remember_sha256
from fare_cli.prompting import PromptTexts
from fare_cli.run.files import sync_folder

_LONGEST_NAME_BYTES = 200
_NO_HARD_LINK = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS}


def check_name(name: str) -> None:
    """Raises UsageError for a name that no installed model can have."""
    file = Path(f"{name}.gguf")
    problems = {
        "is empty": not name,
        "begins with . or -": name.startswith((".", "-")),
        "has a separator or a control character": "/" in name or "\\" in name or not name.isprintable(),
        "ends in .gguf, which makes it a path": name.lower().endswith(".gguf"),
        "ends like the part of a split model": model_name(file) != name,
        f"is longer than {_LONGEST_NAME_BYTES} bytes": len(name.encode(errors="replace")) > _LONGEST_NAME_BYTES,
    }
    for problem, has_it in problems.items():
        if has_it:
            raise UsageError(f"no model can be called {name!r}: the name {problem}", "choose another with --name")


def check_catalog(name: str, sha256: str) -> None:
    """Raises UsageError where the catalog has another file under this name."""
    known = catalog_sha256(name)
    if known is not None and known != sha256:
        raise UsageError(
            f"the model {name} that fare knows is another file (sha256 {known[:12]}...)",
            "choose another name with --name",
        )


class Staging:
    """Files of one model on their way into the models folder. Made by `staging`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._folder = models_folder()
        self._parts: list[Path] = []
        self._digests: list[str] = []
        self._prompts: Path | None = None
        self._card: Path | None = None

    def add(self, source: Path, expected: str | None = None) -> None:
        """Copies the next file of the model. Raises ModelError where its checksum is not the expected one."""
        target = self._next_part()
        digest = copy_file(source, target)
        if expected is not None and digest != expected:
            raise ModelError(
                f"{source} was changed: its checksum is {digest}, and should be {expected}",
                "bring it again: nothing was installed",
            )
        self._digests.append(digest)

    def add_link(self, source: Path, digest: str) -> bool:
        """Takes the next file without copying, as a second name of the same bytes; False where that cannot be."""
        target = self._next_part()
        target.unlink()
        try:
            os.link(source.resolve(), target)
        except OSError as error:
            if error.errno not in _NO_HARD_LINK:
                raise
            self._parts.pop()
            return False
        self._digests.append(digest)
        return True

    def add_prompts(self, texts: PromptTexts) -> None:
        """Takes prompts to be installed beside the model; none are none."""
        if texts:
            self._prompts = Path(tempfile.mkdtemp(dir=self._folder, prefix=_prefix(self.name)))
        for task, files in texts.items():
            assert self._prompts is not None
            (self._prompts / task).mkdir()
            for name, text in files.items():
                write_synced(self._prompts / task / name, text.encode())

    def add_card(self, content: bytes) -> None:
        """Takes the model's card."""
        self._card = self._temporary()
        write_synced(self._card, content)

    def publish(self, notes: ModelNotes) -> Path:
        """Makes it an installed model: from one moment to the next it is there, with its notes and prompts.

        The first file, which makes the model one, gets its name last. Raises UsageError where the name belongs to
        other bytes in the catalog.
        """
        digest = parts_sha256(self._digests)
        check_catalog(self.name, digest)
        targets = [self._folder / name for name in part_file_names(self.name, len(self._parts))]
        if targets[0].exists():  # where a file system does not tell Judge from judge
            raise UsageError(f"{targets[0]} is there already", "choose another name with --name")
        later = [target.name for target in targets[1:]]
        noted = self._temporary()
        write_synced(noted, notes_text(notes.model_copy(update={"sha256": digest, "parts": later})).encode())
        clear(targets[0])
        if self._prompts is not None:
            self._prompts.replace(prompts_folder(targets[0]))
        if self._card is not None:
            self._card.replace(card_file(targets[0]))
        noted.replace(notes_file(targets[0]))
        for part, target in reversed(list(zip(self._parts, targets, strict=True))):
            part.replace(target)
        sync_folder(self._folder)
        for target, digest in zip(targets, self._digests, strict=True):
            remember_sha256(target, digest)
        return targets[0]

    def _next_part(self) -> Path:
        self._parts.append(self._temporary())
        return self._parts[-1]

    def _temporary(self) -> Path:
        handle, path = tempfile.mkstemp(dir=self._folder, prefix=_prefix(self.name))
        os.close(handle)
        return Path(path)


@contextmanager
def staging(name: str, say: Say) -> Iterator[Staging]:
    """A place for the files of the model `name`, alone among all processes; what is not published is gone afterwards.

    Raises EnvironmentFault where the disk does not take them.
    """
    folder = models_folder()
    try:
        with only_one_at(name, say):
            _remove_leftovers(folder, name)  # before anybody asks how much room there is
            try:
                yield Staging(name)
            finally:
                _remove_leftovers(folder, name)
    except OSError as error:
        raise EnvironmentFault(
            f"{name} cannot be installed in {folder}: {error.strerror or error}",
            "nothing was installed; make room and run the same command again",
        ) from None


def only_one_at(name: str, say: Say) -> AbstractContextManager[int]:
    """Holds the lock on the installed model `name`, which everything takes that installs, replaces or removes it."""
    return only_one(models_folder() / f"{name}.gguf", name, say)


def clear(path: Path) -> None:
    """Removes what lies beside the first file of a model: later parts, notes, prompts, card. The file itself stays."""
    name = model_name(path)
    parts = path.parent.glob(f"{glob.escape(name)}-?????-of-?????.gguf")
    firsts = {part: part_paths(part)[0] for part in parts if is_later_part(part)}
    later = [part for part, first in firsts.items() if first == path or not first.exists()]
    _remove_all([*later, *files_beside(path)])


def half_written(name: str) -> list[Path]:
    """What a download, an import or a quantisation that was cut short has left in the models folder."""
    own = re.escape(name)
    pattern = re.compile(
        rf"\.{own}(-\d{{5}}-of-\d{{5}})?\.gguf(\.[^.]+)?\.part"
        rf"|\.{own}\.gguf\.xet-[^.]+|\.{own}\.(card\.md|json)\.[^.]+\.part|\.{own}\.import-[^.]+"
    )
    try:
        return sorted(path for path in models_folder().iterdir() if pattern.fullmatch(path.name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def clear_half_written(name: str) -> None:
    """Removes what `half_written` lists. Only for the process that holds the lock on the model."""
    _remove_all(half_written(name))


def _remove_leftovers(folder: Path, name: str) -> None:
    """Removes what a killed process, or a failed one, left half-written."""
    _remove_all(list(folder.glob(f"{glob.escape(_prefix(name))}*")))


def _prefix(name: str) -> str:
    """How the temporary names of a model's files begin."""
    return f".{name}.import-"


def _remove_all(paths: Sequence[Path]) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

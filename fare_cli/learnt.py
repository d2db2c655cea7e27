"""What `fare eval` learns about one judge from records with gold, as a file that `fare judge` goes by."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from fare_cli.errors import InputError
from fare_cli.run.files import write_whole


class LearntFile(BaseModel):
    """A JSON file of a closed shape. A subclass says `what` it is, what a file does that `is_none`, and as a `hint`
    where such files come from."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    what: ClassVar[str]
    is_none: ClassVar[str]
    hint: ClassVar[str]

    def write(self, path: Path) -> None:
        """Puts it at `path` in one step. Raises EnvironmentFault where the disk does not take it."""
        write_whole(path, self.model_dump_json(indent=2) + "\n", self.what)

    @classmethod
    def read(cls, path: Path) -> Self:
        """What stands at `path`. Raises InputError for a file that cannot be read or is of another shape."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise InputError(f"{cls.what} {path} cannot be read: {error.strerror}", cls.hint) from None
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(map(str, first["loc"]))
            where = f"`{field}`: " if field else ""
            raise InputError(f"{path} {cls.is_none}: {where}{first['msg']}", cls.hint) from None

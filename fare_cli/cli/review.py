"""`fare review`: people's own verdicts on what a judge has judged, and what they agree on."""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import shutil
import sys
import tempfile
import webbrowser
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from fare_cli.cli.options import as_command
from fare_cli.cli.study import AsJson, ReportFile, check_report_file, show_report
from fare_cli.errors import ExitCode, InputError, UsageError

if TYPE_CHECKING:
    from fare_cli.report.model import Report
    from fare_cli.review.session import Session

_PAGE = "The page"
_MERGE = "Several people"


def _option(panel: str, *names: str, help: str, metavar: str | None = None, shown: bool = False) -> Any:
    return typer.Option(*names, help=help, metavar=metavar, show_default=shown, rich_help_panel=panel)


@dataclass(frozen=True, slots=True)
class ReviewOptions:
    """What the command line gave."""

    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="VERDICTS [REVIEWS]...",
            help="A file of verdicts; with --merge also the review files of people.",
            show_default=False,
        ),
    ]
    reviewer: Annotated[
        str | None,
        _option(_PAGE, "--reviewer", metavar="NAME", help="Whose verdicts these are.  [default: your login name]"),
    ]
    reviews: Annotated[
        Path | None,
        _option(_PAGE, "--reviews", metavar="FILE", help="Keep them there.  [default: VERDICTS.REVIEWER.review.jsonl]"),
    ]
    first: Annotated[
        Literal["unsure", "random"],
        _option(
            _PAGE,
            "--first",
            metavar="unsure|random",
            help="Which records come first: those the judge is unsure of, or any.",
            shown=True,
        ),
    ]
    limit: Annotated[int | None, _option(_PAGE, "--limit", metavar="N", help="Show only the first N of these.")]
    seed: Annotated[int, _option(_PAGE, "--seed", metavar="N", help="Seed of which answer stands first.", shown=True)]
    blind: Annotated[
        bool,
        _option(
            _PAGE, "--blind/--not-blind", help="Keep the judge's verdict back until the person has decided.", shown=True
        ),
    ]
    port: Annotated[
        int, _option(_PAGE, "--port", metavar="N", help="Port of 127.0.0.1; 0 takes a free one.", shown=True)
    ]
    browser: Annotated[bool, _option(_PAGE, "--browser/--no-browser", help="Open the page in the browser.", shown=True)]
    merge: Annotated[
        bool, _option(_MERGE, "--merge", help="Put the verdicts of people into the verdict file, and show no page.")
    ]
    output: Annotated[
        Path | None, _option(_MERGE, "--output", "-o", metavar="FILE", help="Write the merged verdicts there.")
    ]
    report: ReportFile
    as_json: AsJson


_DEFAULTS: dict[str, Any] = {
    "files": ..., "first": "unsure", "seed": 0, "blind": True, "port": 0, "browser": True, "merge": False,
    "as_json": False,
}  # fmt: skip


def review_command() -> Callable[..., int]:
    """The command for typer."""
    hints = get_type_hints(ReviewOptions, include_extras=True)
    own = {field.name: (hints[field.name], _DEFAULTS.get(field.name)) for field in fields(ReviewOptions)}
    return as_command(
        own,
        lambda values: _review(ReviewOptions(**values)),
        "Let people judge what a judge has judged, blind, and see how far they agree.",
    )


def _review(options: ReviewOptions) -> int:
    check_report_file(options.report)
    if options.merge:
        return _merge(options)
    _check_page(options)
    return _serve(options)


def _check_page(options: ReviewOptions) -> None:
    if len(options.files) > 1:
        raise UsageError("one file of verdicts is reviewed at a time", "--merge takes the review files of people, too")
    if options.output is not None:
        raise UsageError("-o is for --merge", "where verdicts of a person are kept is said by --reviews")
    if options.limit is not None and options.limit < 1:
        raise UsageError(f"--limit {options.limit}: must be 1 or more")
    if options.reviewer is not None and not 0 < len(options.reviewer.strip()) <= 100:
        raise UsageError("--reviewer: a name has 1 to 100 characters")


def _merge(options: ReviewOptions) -> int:
    from fare_cli.review.agreement import Agreeing
    from fare_cli.review.merging import People, write_merged

    verdicts, reviews = _told_apart(options.files)
    if options.output is None:
        raise UsageError("--merge writes a file", "say where with -o FILE")
    for path in options.files:
        if options.output.exists() and options.output.samefile(path):
            raise InputError(f"-o {options.output} is one of the inputs", "choose another name")
    people = People.read(reviews)
    found = Agreeing()
    counts = write_merged(verdicts, people, options.output, lambda one: found.add(one, people.reviewers))
    if counts.strangers:
        print(
            f"warning: {counts.strangers} reviewed records are not in {verdicts}, or have other words there",
            file=sys.stderr,
        )
    show_report(found.report(people, verdicts.name), as_json=options.as_json, file=options.report)
    print(
        f"{options.output}: {counts.records} verdicts, {counts.reviewed} reviewed; with gold: {counts.gold_after}, "
        f"before: {counts.gold_before}",
        file=sys.stderr,
    )
    return ExitCode.OK


def _told_apart(files: list[Path]) -> tuple[Path, list[Path]]:
    """The file of verdicts and those of people, by what their first lines are. Raises UsageError, InputError."""
    from fare_cli.review.events import is_review_file

    reviews = [path for path in files if is_review_file(path)]
    others = [path for path in files if path not in reviews]
    if len(others) != 1 or not reviews:
        raise UsageError(
            f"--merge takes one file of verdicts and review files; of these, {len(others)} are verdicts and "
            f"{len(reviews)} reviews",
            "for example: fare review --merge verdicts.jsonl ada.review.jsonl bob.review.jsonl -o merged.jsonl",
        )
    return others[0], reviews


def _agreement(session: Session, verdicts: Path) -> Report:
    from fare_cli.review.agreement import agreement
    from fare_cli.review.merging import People

    return agreement(session.queue.all_verdicts(), People.of(session.events), verdicts.name)


def _serve(options: ReviewOptions) -> int:
    from fare_cli.review.queue import Queue
    from fare_cli.review.session import Session
    from fare_cli.review.store import ReviewFile

    (verdicts,) = options.files
    reviewer = (options.reviewer or _login_name()).strip()
    reviews = options.reviews or _reviews_of(verdicts, reviewer)
    with (
        Queue.read(verdicts, first=options.first, seed=options.seed, limit=options.limit) as queue,
        ReviewFile.open(reviews) as file,
    ):
        session = Session(queue, file, reviewer, blind=options.blind, seed=options.seed)
        if queue.counted.invalid:
            print(f"{queue.counted.invalid} records could not be judged and are left out", file=sys.stderr)
        print(f"verdicts of {reviewer} are kept in {reviews}", file=sys.stderr)
        try:
            _show_page(session, verdicts, options)
        finally:
            if session.progress().decided:
                show_report(_agreement(session, verdicts), as_json=options.as_json, file=options.report)
    return ExitCode.OK


def _show_page(session: Session, verdicts: Path, options: ReviewOptions) -> None:
    """Serves the page until the person ends the review; KeyboardInterrupt where Ctrl-C did."""
    import threading

    from fare_cli.server.loopback import LoopbackServer
    from fare_cli.server.review import ReviewAnswers

    def finish() -> None:
        # From a thread of its own: the server waits there for its loop, which waits for this answer.
        threading.Thread(target=server.shutdown).start()

    answers = ReviewAnswers(session, verdicts.name, lambda: _agreement(session, verdicts), finish)
    server = LoopbackServer(answers, port=options.port)
    with server, _opened(server.url, options.browser):
        print(f"the review is at {server.url}", file=sys.stderr)
        print("who has this address can read and write it; end with Ctrl-C or on the page", file=sys.stderr, flush=True)
        server.serve_forever(poll_interval=0.1)


@contextlib.contextmanager
def _opened(url: str, wanted: bool) -> Iterator[None]:
    """Opens the browser by way of a file that only this user can read: arguments of a program are there for all users
    of the machine to see."""
    if not wanted or not _has_screen():
        yield
        return
    folder = Path(tempfile.mkdtemp(prefix="fare-review-"))
    try:
        page = folder / "open.html"
        page.touch(mode=0o600)
        page.write_text(
            '<!doctype html><meta name="referrer" content="no-referrer">'
            f'<meta http-equiv="refresh" content="0; url={url}"><a href="{url}">the review</a>\n',
            "utf-8",
        )
        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(page.as_uri())
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _has_screen() -> bool:
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        raise UsageError("this user has no name", "say whose verdicts these are: --reviewer NAME") from None


def _reviews_of(verdicts: Path, reviewer: str) -> Path:
    name = verdicts.name.removesuffix(".gz").removesuffix(".jsonl")
    who = re.sub(r"\W+", "-", reviewer).strip("-") or "reviewer"
    return verdicts.with_name(f"{name}.{who}.review.jsonl")

"""The backend that asks a server: found out what it takes, then asks as many at once as it bears."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from fare_cli.asks import Answer, Ask, BackendInfo, Reply, ReplyError
from fare_cli.backends.http import chat, completions
from fare_cli.backends.http.answers import Answer as Answered
from fare_cli.backends.http.answers import chat_completion, completion
from fare_cli.backends.http.completions import CompletionAsker, Dialect, Vocabulary, check_vocabulary
from fare_cli.backends.http.connection import BadAnswer, Connection, Lost, Refused
from fare_cli.backends.http.guarding import Neutraliser
from fare_cli.backends.http.options import ServerOptions
from fare_cli.backends.http.pacing import Closed
from fare_cli.backends.interrupting import ctrl_c_calls
from fare_cli.errors import EnvironmentFault, ModelError, UsageError

_POLL_S = 0.1
"""`interrupt` and `nudge` only set flags, so `collect` looks at them this often."""

_PARTING_S = 0.5
"""How long threads are waited for that may hang in a request."""

_PROBE = "The capital of France is Paris, and that of Italy is"


class Asker(Protocol):
    """How asks go over the wire: `CompletionAsker` or `ChatAsker`. `guarded` and `reasons` as in `HttpBackend`."""

    @property
    def guarded(self) -> bool: ...
    @property
    def reasons(self) -> bool: ...
    def answer(self, ask: Ask) -> Reply: ...
    def show(self, ask: Ask) -> str: ...


class Served(NamedTuple):
    """A model as its server lists it: the name, and what else is said of it."""

    name: str
    facts: Mapping[str, str | int]


class HttpBackend:
    """Asks answered by a server with OpenAI's protocol. Opening it asks the server what it has and takes.

    With a `vocabulary` (a GGUF file of the same model, `vocabulary_sha256` its checksum) prompts are rendered here and
    sent to `/v1/completions`, as token ids where the server takes them; without, or where the server has no
    completions, messages go to `/v1/chat/completions`. `info.weights` says what is known of the model: the name that
    the server has for it, what the server lists beside that, and how it is asked. Nobody here sees the weights.

    Raises UsageError for a model that the server does not have, ModelError for another vocabulary, EnvironmentFault for
    a server that cannot be reached or wants a key. Close it.
    """

    def __init__(
        self, options: ServerOptions, *, vocabulary: Path | None = None, vocabulary_sha256: str | None = None
    ) -> None:
        self._connection = Connection(options)
        self._vocabulary: Vocabulary | None = None
        self._asks: queue.SimpleQueue[tuple[int, Ask] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[int, Answer] | Exception] = queue.SimpleQueue()
        # By number, since a cancelled ask may still be answered when another one has its id.
        self._under_way: dict[str, int] = {}
        self._numbers = itertools.count()
        self._fault: Exception | None = None
        self._threads: list[threading.Thread] = []
        self._most_threads = options.concurrency
        self._interrupted = self._nudged = False
        try:
            served = self._served(options.model)
            if vocabulary is not None:
                self._vocabulary = Vocabulary(vocabulary)
            self._asker, how = self._find_out(served)
        except Lost as lost:
            self.close()
            raise EnvironmentFault(f"the server cannot be asked: {lost}") from None
        except BaseException:
            self.close()
            raise
        known = {**served.facts, **how}
        if self._vocabulary is not None and isinstance(self._asker, CompletionAsker):
            known["vocabulary"] = f"sha256:{vocabulary_sha256}"
        described = "; ".join(f"{name}={value}" for name, value in sorted(known.items()))
        engine = {"backend": "http", "url": options.root, **how, "injection_guard": self._asker.guarded}
        self.info = BackendInfo(f"served:{served.name} ({described})", served.name, engine)

    @property
    def guarded(self) -> bool:
        """Whether text of a record is safe from becoming special tokens: whether the server takes token ids."""
        return self._asker.guarded

    @property
    def reasons(self) -> bool:
        """Whether the model can think before it answers, as far as its template tells; by chat nobody knows."""
        return self._asker.reasons

    def profile(self) -> dict[str, int]:
        """What went over the wire so far (`Traffic`)."""
        return self._connection.traffic._asdict()

    @property
    def window(self) -> int:
        """Twice what the server bears just now: while one set is served, the next is known."""
        return 2 * self._connection.pacing.limit + 8

    def show_prompt(self, ask: Ask) -> str:
        """The prompt of an ask as it is sent: with its special tokens marked, or as messages."""
        return self._asker.show(ask)

    def submit(self, asks: Sequence[Ask]) -> None:
        for ask in asks:
            if ask.id in self._under_way:
                raise ValueError(f"ask {ask.id} is under way already")
            number = self._under_way[ask.id] = next(self._numbers)
            self._asks.put((number, ask))
        while len(self._threads) < min(self._most_threads, len(self._under_way)):
            # Not waited for when the program ends: a server may stall for minutes.
            thread = threading.Thread(target=self._serve, daemon=True)
            self._threads.append(thread)
            thread.start()

    def collect(self) -> list[Answer]:
        """Waits until at least one ask is answered; [] if none is under way, or after a `nudge`. Raises
        EnvironmentFault where the server is gone for good, KeyboardInterrupt soon after `interrupt`."""
        with ctrl_c_calls(self.interrupt):
            while True:
                if self._interrupted:
                    self._interrupted = False
                    raise KeyboardInterrupt
                if not self._under_way:
                    return []
                found = self._arrived()
                if found or self._nudged:
                    self._nudged = False
                    return found

    def nudge(self) -> None:
        self._nudged = True

    def cancel(self, ask_ids: Sequence[str]) -> None:
        for ask_id in ask_ids:
            self._under_way.pop(ask_id, None)

    def interrupt(self) -> None:
        self._interrupted = True

    def close(self) -> None:
        """Ends the connections; requests under way are given up. Harmless when called twice."""
        self._connection.close(Closed())
        for _ in self._threads:
            self._asks.put(None)
        until = time.monotonic() + _PARTING_S
        for thread in self._threads:
            thread.join(timeout=max(0.0, until - time.monotonic()))
        # A thread that still hangs in a request may come back to the vocabulary: then it is left to the end.
        if self._vocabulary is not None and not any(thread.is_alive() for thread in self._threads):
            self._vocabulary.close()
            self._vocabulary = None
        self._threads.clear()

    def _arrived(self) -> list[Answer]:
        """What has come in, waiting a moment for the first. A fault is raised when all that came before it is given."""
        found: list[Answer] = []
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise fault
        with contextlib.suppress(queue.Empty):
            came = self._answers.get(timeout=_POLL_S)
            while True:
                if isinstance(came, Exception):
                    if not found:
                        raise came
                    self._fault = came
                    break
                number, answer = came
                if self._under_way.get(answer.ask_id) == number:
                    del self._under_way[answer.ask_id]
                    found.append(answer)
                came = self._answers.get_nowait()
        return found

    def _serve(self) -> None:
        """A thread's work: one ask after the other, until there is a None."""
        while (given := self._asks.get()) is not None:
            number, ask = given
            if self._under_way.get(ask.id) != number:
                continue
            try:
                self._answers.put((number, Answer(ask.id, self._answer(ask))))
            except Closed:
                return
            except Exception as error:  # a fault of the server, or a bug: both end the run, in the main thread
                self._answers.put(error)

    def _answer(self, ask: Ask) -> Reply:
        try:
            return self._asker.answer(ask)
        except (Refused, Lost) as error:
            return Reply(error=ReplyError(error.kind, str(error)), injection_guard=self._asker.guarded)
        except BadAnswer as error:
            return Reply(error=ReplyError("bad_answer", str(error)), injection_guard=self._asker.guarded)
        except ModelError as error:
            return Reply(error=ReplyError("bad_ask", error.message), injection_guard=self._asker.guarded)

    def _served(self, name: str | None) -> Served:
        """The model that is asked. Raises UsageError where the server has no or several ones and none is named."""
        try:
            listed = self._connection.get("/v1/models", _models)
        except Refused as refused:
            if name is None:
                raise UsageError(f"the server lists no models: {refused}", "name one with --served-model") from None
            return Served(name, {})
        if name is None and len(listed) == 1:
            return listed[0]
        names = ", ".join(one.name for one in listed[:20])
        if not listed:
            raise UsageError("the server has no model", "load one there first")
        if name is None:
            raise UsageError(f"the server has several models: {names}", "name one with --served-model")
        for one in listed:
            if one.name == name:
                return one
        raise UsageError(f"the server has no model {name!r}; it lists: {names}", "name one of them with --served-model")

    def _find_out(self, served: Served) -> tuple[Asker, dict[str, str | int]]:
        """How this server is asked, and what to call that."""
        if self._vocabulary is not None:
            dialect = self._completions(served, self._vocabulary)
            if dialect is not None:
                how: dict[str, str | int] = {
                    "asked_by": "token ids" if dialect.takes_ids else "text",
                    "sampling": "plain" if dialect.plain_sampling else "the server's",
                    "logprobs": int(dialect.lists),
                }
                return CompletionAsker(self._connection, self._vocabulary, served.name, dialect), how
        chat_dialect = self._chat(served)
        vocabulary = self._vocabulary.model.special_tokens() if self._vocabulary is not None else ()
        asker = chat.ChatAsker(self._connection, served.name, chat_dialect, Neutraliser(vocabulary))
        sampling = "plain" if chat_dialect.plain_sampling else "the server's"
        return asker, {"asked_by": "chat", "sampling": sampling, "logprobs": chat_dialect.listed}

    def _completions(self, served: Served, vocabulary: Vocabulary) -> Dialect | None:
        """What of completions the server takes; None where it has none, or puts prompts into a template of its own."""
        tokens = served.facts.get("n_vocab")
        if tokens is not None and tokens != vocabulary.model.vocabulary_size:
            raise ModelError(
                f"the server's vocabulary has {tokens} tokens, that of {vocabulary.model.path} has "
                f"{vocabulary.model.vocabulary_size}",
                completions.OTHER_MODEL,
            )
        ids = vocabulary.template.plain(_PROBE)
        for takes_ids, plain in ((True, True), (True, False), (False, True), (False, False)):
            extra = {**completions.PLAIN_SAMPLING, "return_tokens_as_token_ids": True} if plain else {}
            body: dict[str, Any] = {"model": served.name, "prompt": ids if takes_ids else vocabulary.text(ids)}
            body |= {"max_tokens": 1, "temperature": 0.0, "logprobs": completions.LISTED, **extra}
            try:
                answer = self._connection.post(completions.PATH, body, completion)
            except Refused as refused:
                if refused.is_missing:
                    return None
                continue
            # A server may add a token that begins a text; a template adds more.
            counted = len(ids) if answer.prompt_tokens is None else answer.prompt_tokens
            if counted - len(ids) not in ((0,) if takes_ids else (0, 1)):
                continue
            check_vocabulary(vocabulary, answer)
            self._connection.try_with(completions.PATH, body)
            if takes_ids:
                self._check_reading(vocabulary, body, answer)
            return Dialect(takes_ids, lists=bool(answer.tokens and answer.tokens[0].listed), plain_sampling=plain)
        return None

    def _check_reading(self, vocabulary: Vocabulary, body: Mapping[str, Any], by_ids: Answered) -> None:
        """Raises ModelError where the ids of the probe, which gave `by_ids`, are another text to the server."""
        # One that takes no text cannot be checked.
        with contextlib.suppress(Refused):
            by_text = self._connection.post(completions.PATH, {**body, "prompt": _PROBE}, completion)
            completions.check_reading(vocabulary, by_text, by_ids)

    def _chat(self, served: Served) -> chat.ChatDialect:
        """The first dialect that the server takes. Raises EnvironmentFault where it takes none."""
        reason = ""
        for dialect in chat.DIALECTS:
            try:
                answer = self._connection.post(chat.PATH, chat.probe(served.name, dialect), chat_completion)
            except Refused as refused:
                reason = str(refused)
                continue
            self._connection.try_with(chat.PATH, chat.probe(served.name, dialect))
            lists = answer.tokens is not None and any(token.texts for token in answer.tokens)
            return (
                dialect
                if lists or not dialect.listed
                else chat.ChatDialect(0, dialect.plain_sampling, dialect.limit_name)
            )
        raise EnvironmentFault(f"the server takes neither completions nor chat: {reason}")


def _models(values: Mapping[str, Any]) -> list[Served]:
    """The models of `/v1/models`, with what llama-server and vLLM say of them."""
    found = []
    listed = values.get("data")
    for one in listed if isinstance(listed, list) else []:
        if not isinstance(one, dict) or not isinstance(one.get("id"), str):
            continue
        meta = one.get("meta")
        meta = meta if isinstance(meta, dict) else {}
        facts = {name: meta[name] for name in ("n_vocab", "n_params", "size", "ftype") if name in meta}
        facts |= {name: one[name] for name in ("root", "max_model_len") if isinstance(one.get(name), str | int)}
        found.append(Served(one["id"], facts))
    return found

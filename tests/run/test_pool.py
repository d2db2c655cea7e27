"""Records of many callers on one backend: each gets its own verdicts, once, whatever the others do."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_cli.asks import Ask, BackendInfo, Judgment, Reply
from fare_cli.backends.local import LocalBackend
from fare_cli.backends.replay import ReplayBackend, SimulatedJudge
from fare_cli.engine.options import EngineOptions
from fare_cli.errors import ModelError
from fare_cli.identity import JudgingOptions
from fare_cli.judge import BackendJudge
from fare_cli.run.pool import Batch, Judged, Pool, PoolClosed, PoolFull
from fare_cli.run.reader import items_of
from fare_cli.tasks.example import example_asks, example_record
from fare_cli.verdicts import Verdict
from tests.engine.tiny_models import write_qwen3
from tests.simulating import truth


def judge(**options: Any) -> BackendJudge:
    return BackendJudge(ReplayBackend(SimulatedJudge(truth), **options), options=JudgingOptions(mode="direct"))


class Caller:
    """Submits records to a pool and keeps what it is told."""

    def __init__(self, pool: Pool, judge: BackendJudge, task: str, records: list[dict[str, Any]]) -> None:
        self.count = len(records)
        self._news: queue.Queue[Judged | BaseException] = queue.Queue()
        items = list(items_of(task, records))
        self.batch: Batch = pool.submit(judge.task(task), judge.identity(task), items, self._news.put)

    def verdicts(self) -> list[Verdict]:
        """All of them, in the order of the records; fails for one that comes twice."""
        found: dict[int, Verdict] = {}
        for _ in range(self.count):
            news = self._news.get(timeout=60)
            assert isinstance(news, Judged)
            assert news.index not in found
            found[news.index] = news.verdict
        assert self._news.empty()
        return [found[index] for index in range(self.count)]

    def news(self) -> Judged | BaseException:
        return self._news.get(timeout=60)

    def told(self) -> int:
        return self._news.qsize()


def started(judge: BackendJudge, *, room: int = 1000, opened: Callable[[], None] = lambda: None) -> Pool:
    def backend() -> Any:
        opened()
        return judge.backend()

    failures: list[BaseException] = []
    pool = Pool(backend, room=room, on_failure=failures.append)
    pool.start()
    return pool


def ended(pool: Pool) -> None:
    pool.drain()
    pool.join()
    assert (pool.state, pool.records, pool.asks) == ("closed", 0, 0)


def records_of(task: str, caller: int, count: int) -> list[dict[str, Any]]:
    answers = {"pairwise": {"answer_a": "RIGHT", "answer_b": "WRONG"}, "verify": {"answer": "RIGHT"}}[task]
    return [{"question": f"{caller}/{number}", **answers} for number in range(count)]


@given(
    callers=st.lists(st.tuples(st.sampled_from(["pairwise", "verify"]), st.integers(0, 7), st.booleans()), max_size=8),
    window=st.integers(1, 5),
    seed=st.integers(0, 3),
)
def test_everybody_gets_the_verdicts_of_the_judge_alone(
    callers: list[tuple[str, int, bool]], window: int, seed: int
) -> None:
    shared = judge(window=window, shuffle_seed=seed)
    pool = started(shared)
    stays = []
    for number, (task, count, leaves) in enumerate(callers):
        records = records_of(task, number, count)
        caller = Caller(pool, shared, task, records)
        if leaves:
            pool.cancel(caller.batch)
        else:
            stays.append((caller, task, records))
    for caller, task, records in stays:
        assert caller.verdicts() == list(judge().verdicts(task, records))
    ended(pool)


def test_callers_in_threads_of_their_own() -> None:
    shared = judge(window=3, shuffle_seed=1)
    pool = started(shared)
    wrong = []

    def call(number: int) -> None:
        for _ in range(10):
            records = records_of("verify", number, 3)
            if Caller(pool, shared, "verify", records).verdicts() != list(judge().verdicts("verify", records)):
                wrong.append(number)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    ended(pool)


def test_room_is_given_back_by_verdicts_and_by_those_who_leave() -> None:
    loading = threading.Event()
    shared = judge()
    pool = started(shared, room=4, opened=lambda: loading.wait(60) and None)
    first = Caller(pool, shared, "verify", records_of("verify", 0, 3))
    with pytest.raises(PoolFull) as full:
        Caller(pool, shared, "verify", records_of("verify", 1, 2))
    assert 1 <= full.value.retry_after_s <= 60
    Caller(pool, shared, "verify", records_of("verify", 1, 1))
    pool.cancel(first.batch)
    loading.set()
    while pool.records:
        pass
    assert len(Caller(pool, shared, "verify", records_of("verify", 2, 4)).verdicts()) == 4
    assert first.told() == 0
    ended(pool)


def test_a_closed_pool_takes_nothing() -> None:
    shared = judge()
    pool = started(shared)
    ended(pool)
    with pytest.raises(PoolClosed):
        Caller(pool, shared, "verify", records_of("verify", 0, 1))


def test_whoever_waits_learns_that_the_engine_has_failed() -> None:
    def fails(_: Ask) -> Reply:
        raise ModelError("broken")

    broken = BackendJudge(ReplayBackend(fails), options=JudgingOptions(mode="direct"))
    failures: list[BaseException] = []
    pool = Pool(broken.backend, room=9, on_failure=failures.append)
    caller = Caller(pool, broken, "verify", records_of("verify", 0, 2))
    pool.start()
    assert isinstance(caller.news(), ModelError)
    pool.join()
    assert (pool.state, [str(failure) for failure in failures]) == ("failed", ["broken"])


def test_a_model_that_was_replaced_judges_nothing() -> None:
    shared, other = judge(), judge(info=BackendInfo("other", "other", {}))
    pool = started(shared)
    caller = Caller(pool, other, "verify", records_of("verify", 0, 1))
    assert isinstance(caller.news(), ModelError)
    pool.join()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBackend]:
    path: Path = write_qwen3(tmp_path_factory.mktemp("model") / "tiny.gguf")
    options = EngineOptions(ctx=2048, slots=2, threads=1, work="critique", reply_tokens=64)
    backend = LocalBackend(path, name="tiny", weights="w", options=options)
    yield backend
    backend.close()


def test_a_nudged_engine_gives_way_and_goes_on(local: LocalBackend) -> None:
    options = JudgingOptions(max_tokens=64)
    task = judge().task("verify")
    (ask,) = example_asks(task.prompt, options, example_record("verify"))
    assert isinstance(ask.script, Judgment)
    local.submit([ask])
    (undisturbed,) = local.collect()
    local.submit([ask])
    passes = 0
    while True:
        local.nudge()
        answers = local.collect()
        if answers:
            break
        passes += 1
    assert answers == [undisturbed]
    assert passes > 3, "it came back while the critique was being written"

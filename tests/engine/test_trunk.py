"""The plan of shared prefixes: every prompt is covered once, and nothing is shared that is not the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fare_cli.asks import Ask, Direct
from fare_cli.engine.sequences import DEPTH
from fare_cli.engine.slot import Job
from fare_cli.engine.trunk import EVEN_PIECE, WORTH_TOKENS, Branch, plan


def job(name: str, tokens: list[int], rows: int = 1) -> Job:
    ask = Ask(name, (), Direct("Verdict:", (" yes", " no")))
    return Job(ask, tokens, len(tokens) - rows, len(tokens), 0, 0)


def leaves(branch: Branch) -> list[Branch]:
    return [leaf for child in branch.children for leaf in leaves(child)] if branch.children else [branch]


def depth(branch: Branch) -> int:
    return 1 + max(depth(child) for child in branch.children) if branch.children else 0


def check(branch: Branch, start: int, before: list[int]) -> None:
    assert branch.start == start
    assert branch.job.tokens[:start] == before
    if branch.children:
        for child in branch.children:
            assert child.job.tokens[: branch.stop] == branch.job.tokens[: branch.stop]
            check(child, branch.stop, branch.job.tokens[: branch.stop])
    else:
        assert branch.stop == len(branch.job.tokens)
        assert branch.start <= branch.job.first_row


blocks = st.lists(st.integers(0, 3), min_size=0, max_size=6)


@given(st.lists(blocks, min_size=1, max_size=10), st.booleans(), st.integers(8, 90))
def test_every_job_is_a_leaf_once_and_branches_from_its_own_prefix(
    prompts: list[list[int]], even: bool, width: int
) -> None:
    jobs = [job(str(i), [9] * 5 + [b for b in p for _ in range(width)] + [7, 7]) for i, p in enumerate(prompts)]
    planned = plan(jobs, 5, even)
    assert sorted(leaf.job.ask.id for branch in planned for leaf in leaves(branch)) == sorted(j.ask.id for j in jobs)
    for branch in planned:
        check(branch, 5, [9] * 5)
        assert depth(branch) <= DEPTH


@given(st.lists(blocks, min_size=2, max_size=8), st.integers(64, 200))
def test_even_cuts_leave_no_short_piece(prompts: list[list[int]], width: int) -> None:
    jobs = [job(str(i), [b for b in [5, *p] for _ in range(width)]) for i, p in enumerate(prompts)]

    def pieces(branch: Branch) -> None:
        length = branch.stop - branch.start
        if branch.children:
            assert length >= EVEN_PIECE
        else:
            assert length >= EVEN_PIECE
        for child in branch.children:
            pieces(child)

    for branch in plan(jobs, 0, even=True):
        pieces(branch)


def test_two_orders_share_the_question() -> None:
    shared = list(range(100, 100 + 2 * WORTH_TOKENS))
    planned = plan([job("ab", [*shared, 1, 2, 3]), job("ba", [*shared, 4, 5, 6])], 0, even=False)
    assert len(planned) == 1
    assert planned[0].stop == len(shared)
    assert [child.job.ask.id for child in planned[0].children] == ["ab", "ba"]


def test_votes_share_the_whole_prompt_but_its_last_token() -> None:
    prompt = list(range(200))
    planned = plan([job(f"vote{i}", prompt) for i in range(8)], 0, even=False)
    assert len(planned) == 1
    assert planned[0].stop == 199
    assert len(planned[0].children) == 8


def test_votes_of_both_orders_make_two_levels() -> None:
    question, ab, ba = list(range(100)), [1] * 60, [2] * 60
    jobs = [job(f"ab{i}", question + ab) for i in range(4)] + [job(f"ba{i}", question + ba) for i in range(4)]
    (trunk,) = plan(jobs, 0, even=False)
    assert trunk.stop == 100
    assert [child.stop for child in trunk.children] == [159, 159]


def test_a_short_common_part_is_not_worth_a_sequence() -> None:
    planned = plan([job("a", [1] * 8 + [2] * 50), job("b", [1] * 8 + [3] * 50)], 0, even=False)
    assert [branch.is_trunk for branch in planned] == [False, False]

"""`covey chat` and `covey demo`."""

from __future__ import annotations

import re

import pytest

import covey
from tests.cli.commands import TOY, run


def test_chat_remembers_and_forgets() -> None:
    said = "the birds\nand then\n/clear\nthe birds\n/what\n/exit\nnever said\n"
    result = run("chat", *TOY, "--max-tokens", "10", "--quiet", stdin=said)
    with covey.LLM("toy", max_model_len=512) as llm:
        params = covey.SamplingParams(max_tokens=10)
        first = {"role": "user", "content": "the birds"}
        one = llm.generate([[first]], params)[0].text
        two = llm.generate([[first, {"role": "assistant", "content": one}, {"role": "user", "content": "and then"}]], params)[0].text
    assert result.stdout == f"{one}\n{two}\n{one}\n"
    assert "forgotten" in result.stderr
    assert "unknown command '/what'" in result.stderr


def test_chat_goes_on_after_a_message_that_is_too_long() -> None:
    result = run("chat", *TOY, "--max-tokens", "5", stdin="z" * 600 + "\nthe birds\n")
    assert "covey: error: prompt has " in result.stderr
    assert len(result.stdout.splitlines()) >= 1


@pytest.mark.parametrize(("flag", "value"), [("--n", "2"), ("--logprobs", "1")])
def test_chat_and_demo_refuse_what_they_cannot_show(flag: str, value: str) -> None:
    message = f"covey: error: {flag[2:]}={value}: "
    assert message in run("chat", *TOY, flag, value, stdin="the birds\n").stderr
    assert message in run("demo", *TOY, flag, value, code=2).stderr


def test_chat_shows_drafts_and_a_line_of_figures() -> None:
    result = run("chat", *TOY, "--max-tokens", "200", "--show-drafts", stdin="the birds\n")
    assert "{+" in result.stdout
    assert "drafted tokens accepted" in result.stderr


def test_the_next_turn_does_not_read_the_conversation_again() -> None:
    said = "the birds fly over the hill " * 8 + "\nand then\n"
    shown = run("chat", *TOY, "--max-tokens", "10", stdin=said).stderr.splitlines()
    figures = [line for line in shown if re.match(r"\d+ tokens in \d+ rounds", line)]
    assert ["read before" in line for line in figures] == [False, True], shown
    cold = run("chat", *TOY, "--max-tokens", "10", "--no-prefix-reuse", stdin=said).stderr
    assert " rounds" in cold and "read before" not in cold


def test_demo_answers_and_ends_with_a_table() -> None:
    result = run("demo", "--target", "toy")
    for kind in ("summary", "code edit", "chat", "question"):
        assert f"{kind} " in result.stdout.split("What speculation did")[1]
    assert "acceptance" in result.stdout

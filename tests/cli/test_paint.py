"""Whose every piece of a streamed answer is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covey.cli.paint import Colours, Marks, Owners, Segment
from covey.llm import LLM, Chunk
from covey.sampling_params import SamplingParams
from covey.toy import ToyTokenizer
from covey.types import Round

TOKENIZER = ToyTokenizer()
BLANK = Round(0, 0, "r", 0, 0, 4, (), (), "", 0, (), 0, None, 1, 1, 0.0, 0.0, 0.0)


def chunk(text: str, tokens: str, drafted: str = "", accepted: int = 0, finish: str | None = None) -> Chunk:
    """A chunk whose tokens are characters."""
    ids, draft = (tuple(TOKENIZER.encode(c)[0] for c in word) for word in (tokens, drafted))
    happened = replace(BLANK, tokens=ids, drafted=draft, accepted=accepted)
    return Chunk(text, ids, finish, happened)  # type: ignore[arg-type]


def test_accepted_rejected_and_own_tokens_are_told_apart() -> None:
    segments = Owners(TOKENIZER).split(chunk("abX", "abX", drafted="abcd", accepted=2))
    assert segments == [Segment("ab", "accepted"), Segment("cd", "rejected"), Segment("X", "target")]


def test_draft_cut_by_the_end_of_the_answer_is_not_called_rejected() -> None:
    segments = Owners(TOKENIZER).split(chunk("ab", "ab", drafted="abcd", accepted=2, finish="length"))
    assert segments == [Segment("ab", "accepted")]


def test_text_that_is_held_back_keeps_its_owner() -> None:
    owners = Owners(TOKENIZER)
    assert owners.split(chunk("a", "abX", drafted="ab", accepted=2)) == [Segment("a", "accepted")]
    assert owners.split(chunk("bXY", "Y")) == [Segment("b", "accepted"), Segment("XY", "target")]


def test_text_that_never_comes_is_not_shown() -> None:
    owners = Owners(TOKENIZER)
    assert owners.split(chunk("a", "abX", drafted="ab", accepted=2, finish="stop")) == [Segment("a", "accepted")]


PROMPTS = st.sampled_from(["the birds", "a covey flies over a covey flies over a"])
TOY = LLM("toy", max_num_seqs=2, max_model_len=256)


@given(st.integers(0, 2**32), PROMPTS, st.sampled_from([(), (" fl",), ("sing", "h")]))
def test_what_is_not_rejected_is_exactly_the_text(seed: int, prompt: str, stop: tuple[str, ...]) -> None:
    params = SamplingParams(temperature=1.0, seed=seed, max_tokens=40, stop=stop)
    owners = Owners(TOY.tokenizer)
    chunks = list(TOY.stream(prompt, params))
    shown = "".join(s.text for c in chunks for s in owners.split(c) if s.owner != "rejected")
    assert shown == TOY.generate(prompt, params)[0].text


@pytest.mark.parametrize(
    ("painter", "shown"),
    [(Marks(), "{+ab+}[-c↵-]X"), (Colours(), "abc↵X")],
)
def test_painters_show_all_segments(painter: Marks | Colours, shown: str) -> None:
    segments = [Segment("ab", "accepted"), Segment("c\n", "rejected"), Segment("X", "target")]
    assert painter.paint(segments).plain == shown


def test_colours_strike_what_was_rejected() -> None:
    painted = Colours().paint([Segment("ab", "accepted"), Segment("c", "rejected"), Segment("X", "target")])
    assert [(span.start, span.end, span.style) for span in painted.spans] == [(0, 2, "green"), (2, 3, "red strike")]


def test_escape_sequences_of_a_model_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in Colours().paint([Segment("a\x1b[31mb", "target")]).plain


def test_what_one_member_alone_was_for_has_its_colour() -> None:
    happened = replace(BLANK, tokens=(10, 11, 12), drafted=(10, 11), accepted=2, votes=(("a", "b"), ("b",)))
    text = TOKENIZER.decode([10, 11, 12])
    segments = Owners(TOKENIZER).split(Chunk(text, (10, 11, 12), None, happened))
    assert segments == [Segment(text[0], "accepted", ("a", "b")), Segment(text[1], "accepted", ("b",)), Segment(text[2], "target")]
    colours = Colours(("a", "b"))
    assert [str(span.style) for span in colours.paint(segments).spans] == ["green", "yellow"]
    assert "a alone, b alone" in colours.legend.plain
    assert "alone" not in Colours(("a",)).legend.plain

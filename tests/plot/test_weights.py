"""The picture of a collective at work, from a trace; and what no picture can be made of."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from covey import LLM, SamplingParams
from covey.drafters import SuffixDrafter
from covey.drafters.corpus import Corpus
from covey.errors import CoveyError
from covey.plot import draw_weights, rounds_of
from covey.types import Round
from tests.drafters.test_economy import ROUND


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Two turns with the toy target, drafted by a collective."""
    place = tmp_path / "rounds.jsonl"
    with LLM(
        "toy", drafters=["suffix", SuffixDrafter(Corpus.of([[5, 6, 7]]))], controller="fixed", num_speculative_tokens=4, trace=place
    ) as llm:
        for turn in range(2):
            llm.generate("the birds " * (1 + turn), SamplingParams(max_tokens=60), progress=False)
    return place


def test_a_conversation_is_drawn(trace, tmp_path, monkeypatch):
    figure = pytest.importorskip("matplotlib.figure", reason="no pictures without the extra `train`")
    drawn = []
    save = figure.Figure.savefig
    monkeypatch.setattr(figure.Figure, "savefig", lambda self, *a, **k: (drawn.append(self), save(self, *a, **k)))
    rounds = rounds_of(trace)
    draw_weights(rounds, tmp_path / "w.png")
    assert (tmp_path / "w.png").stat().st_size > 5000
    records, asked, lengths = drawn[0].axes
    assert [text.get_text() for text in records.get_legend().get_texts()] == ["suffix", "suffix:corpus"]
    first = records.lines[0]
    assert list(first.get_ydata()) == [r.members[0].record for r in rounds if r.members]
    assert [label.get_text() for label in asked.get_yticklabels()] == ["suffix", "suffix:corpus"]
    assert [text.get_text() for text in records.texts] == [rounds[-1].request_id]
    means = list(lengths.lines[1].get_ydata())
    assert means[0] == 1 + next(r.accepted for r in rounds if r.drafted)


def test_one_request_of_a_trace_can_be_chosen(trace):
    rounds = rounds_of(trace)
    name = rounds[-1].request_id
    chosen = rounds_of(trace, (name,))
    assert {r.request_id for r in chosen} == {name}
    assert sum(len(r.tokens) for r in chosen) == 60
    with pytest.raises(CoveyError, match="requests='r-none': .* has no such request; there are r"):
        rounds_of(trace, ("r-none",))


def written(place: Path, rounds: list[Round]) -> Path:
    place.write_text("".join(json.dumps(r.to_dict()) + "\n" for r in rounds))
    return place


def test_what_is_no_trace_of_a_conversation_is_refused(tmp_path):
    with pytest.raises(CoveyError, match="no such file; --trace"):
        rounds_of(tmp_path / "none")
    (tmp_path / "bad").write_text('{"step": 1}\n')
    with pytest.raises(CoveyError, match="not made of rounds"):
        rounds_of(tmp_path / "bad")
    with pytest.raises(CoveyError, match="nothing was committed in it"):
        rounds_of(written(tmp_path / "empty", [replace(ROUND, tokens=())]))
    mixed = [replace(ROUND, request_id=name) for name in ("a", "b", "a")]
    with pytest.raises(CoveyError, match="its requests ran side by side; name those"):
        rounds_of(written(tmp_path / "mixed", mixed))
    assert len(rounds_of(tmp_path / "mixed", ("a",))) == 2
    with pytest.raises(CoveyError, match="no round in it was drafted by a collective"):
        draw_weights([ROUND], tmp_path / "w.png")

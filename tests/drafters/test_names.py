"""Drafters found by name: the built-in ones, and those that an installed package registers by an entry point."""

import pytest

from covey import LLM, SamplingParams
from covey.drafters import SuffixDrafter, drafter_names, make_drafter
from covey.drafters.corpus import Corpus
from covey.errors import CoveyError

ECHO = """
from covey import Draft, Drafter

class EchoDrafter(Drafter):
    name = "echo"

    def propose(self, sequences, lengths):
        return [Draft(len(s.tokens), s.prefix_id, (s.tokens[-1],), (0.5,), self.name) for s in sequences]

class Demanding(EchoDrafter):
    def __init__(self, model):
        pass

def no_drafter():
    return 5
"""
POINTS = """[covey.drafters]
echo = flock_echo:EchoDrafter
demanding = flock_echo:Demanding
five = flock_echo:no_drafter
gone = flock_echo:Gone
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package that registers drafters, as pip leaves it."""
    (tmp_path / "flock_echo.py").write_text(ECHO)
    metadata = tmp_path / "flock_echo-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: flock-echo\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(tmp_path)


def test_a_registered_drafter_is_found_and_drafts(installed):
    assert "echo" in drafter_names()
    rounds = []
    with LLM("toy", drafters=[]) as llm:
        expected = llm.generate("the birds", SamplingParams(max_tokens=30))[0].text
    with LLM("toy", drafters=["echo"]) as llm:
        llm.observe(rounds.append)
        assert llm.generate("the birds", SamplingParams(max_tokens=30))[0].text == expected
    assert {r.source for r in rounds if r.drafted} == {"echo"}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("demanding", "does not load.*model"),
        ("gone", "does not load"),
        ("five", "gives a int, which is no"),
        ("nobody", "no such drafter; known are suffix, suffix:CORPUS, grammar, nested:FOLDER, model:NAME"),
    ],
)
def test_what_is_no_drafter_is_refused_by_name(installed, name, why):
    with pytest.raises(CoveyError, match=f"drafters='{name}'.*{why}"):
        make_drafter(name)


def test_a_corpus_is_a_file_or_a_shipped_one(tmp_path):
    Corpus.of([[1, 2, 3]], {"target": "mine"}).save(tmp_path / "c.safetensors")
    drafter = make_drafter(f"suffix:{tmp_path}/c.safetensors")
    assert (drafter.name, len(drafter.corpus)) == ("suffix:mine", 4)
    with pytest.raises(CoveyError, match="corpus='none': not a readable corpus"):
        make_drafter("suffix:none")


def test_built_in_names():
    assert isinstance(make_drafter("suffix"), SuffixDrafter)
    assert drafter_names()[:5] == ["suffix", "suffix:CORPUS", "grammar", "nested:FOLDER", "model:NAME"]

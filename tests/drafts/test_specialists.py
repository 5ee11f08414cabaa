"""The specialists that come with covey: small, found by name, and of the draft that lies beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from covey.drafters import shipped_draft
from covey.drafters.shipped import shipped_corpus
from covey.model.deltas import merged_weights
from covey.model.nested import read_config

DRAFTS = Path(__file__).parents[2] / "drafts"
SPECIALISTS = sorted(place.parent for place in DRAFTS.glob("*/deltas.safetensors"))


def test_drafts_are_found_by_their_target_and_specialists_by_their_own_name():
    assert shipped_draft("smollm2") == DRAFTS / "smollm2-nested"
    assert shipped_corpus("smollm2") == DRAFTS / "smollm2-suffix" / "corpus.safetensors"
    assert shipped_draft("none") is shipped_draft("../drafts/smollm2") is None
    assert SPECIALISTS


@pytest.mark.parametrize("folder", SPECIALISTS, ids=lambda folder: folder.name)
def test_a_specialist_is_small_and_its_basis_is_there(folder):
    assert shipped_draft(folder.name) == folder
    assert sum(file.stat().st_size for file in folder.iterdir()) < 15 << 20
    config, _ = read_config(folder)
    assert config.basis is not None
    weights = merged_weights(folder, config.basis)
    assert weights["head.weight"].shape == (8192, 576)
    trained = config.training
    assert trained["held_out"]["agreement_1"] > trained["before"]["agreement_1"]
    assert f"{trained['held_out']['agreement_1']:.1%}" in (folder / "README.md").read_text()
    assert f"[{folder.name}]" in (DRAFTS / "README.md").read_text()

"""What drafters are expected to have accepted: found by the names that they are asked for by."""

from __future__ import annotations

import json

import pytest

from covey.drafters.expected import FILE, expect, expected_acceptance


def test_what_was_recorded_is_found_by_name_and_target(tmp_path):
    expect(tmp_path, "large", 0.41239, "covey calibrate --target large")
    expect(tmp_path, "small", 0.2, "covey calibrate --target small")
    names = [f"nested:{tmp_path}", f"suffix:{tmp_path / 'corpus.safetensors'}"]
    assert [expected_acceptance([name], "large") for name in names] == [0.4124, 0.4124]
    assert expected_acceptance(names, "small") == 0.2 and expected_acceptance(names, "other") is None
    assert json.loads((tmp_path / FILE).read_text())["large"]["measured"] == "covey calibrate --target large"


def test_of_several_the_least_is_expected_of_all():
    every = ["suffix:smollm2", "nested:smollm2", "nested:smollm2-code", "suffix", "grammar"]
    shares = [expected_acceptance([name], "smollm2") for name in every]
    assert None not in shares[:2] and shares[3:] == [None, None]
    assert expected_acceptance(every, "smollm2") == min(share for share in shares if share is not None)


@pytest.mark.parametrize("held", ["", "[]", '{"toy": 0.4}', '{"toy": {"acceptance": 1.5}}', '{"toy": {"acceptance": "x"}}'])
def test_a_file_without_sense_says_nothing(tmp_path, held):
    (tmp_path / FILE).write_text(held)
    assert expected_acceptance([f"nested:{tmp_path}"], "toy") is None

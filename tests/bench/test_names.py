"""What names of methods mean."""

from __future__ import annotations

import pytest

from covey.bench.names import KNOWN, MethodName, parse_method
from covey.errors import CoveyError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain", MethodName("plain", "plain")),
        ("fixed-4", MethodName("fixed-4", "covey", 4)),
        ("suffix:fixed-8", MethodName("suffix:fixed-8", "covey", 8, drafter="suffix")),
        ("model:a/b-1.5:fixed-2", MethodName("model:a/b-1.5:fixed-2", "covey", 2, drafter="model:a/b-1.5")),
        ("goodput", MethodName("goodput", "covey", 8, "goodput")),
        ("suffix+nested:a/b:table", MethodName("suffix+nested:a/b:table", "covey", 8, "table", "suffix+nested:a/b")),
        ("transformers", MethodName("transformers", "transformers")),
        ("transformers-batch", MethodName("transformers-batch", "transformers-batch")),
        ("transformers-lookup", MethodName("transformers-lookup", "transformers-lookup")),
        ("transformers-assisted:smollm2", MethodName("transformers-assisted:smollm2", "transformers-assisted", model="smollm2")),
        ("llamacpp", MethodName("llamacpp", "llamacpp")),
    ],
)
def test_known_names(name: str, expected: MethodName) -> None:
    assert parse_method(name) == expected


@pytest.mark.parametrize("name", ["", "fast", "fixed", "fixed-", "fixed-x", ":fixed-4", "transformers-assisted:", "plain-2", "Plain"])
def test_unknown_names_are_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(CoveyError) as error:
        parse_method(name)
    assert repr(name) in str(error.value)
    assert all(known in str(error.value) for known in KNOWN)


@pytest.mark.parametrize("name", ["fixed-0", "fixed-65", "suffix:fixed-999"])
def test_lengths_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(CoveyError, match="from 1 to 64"):
        parse_method(name)


def test_peers_are_told_apart() -> None:
    own = [name for name in ("plain", "fixed-4", "transformers", "llamacpp") if not parse_method(name).is_peer]
    assert own == ["plain", "fixed-4"]

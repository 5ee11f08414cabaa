"""Settings are checked before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from covey.bench.settings import BenchSettings
from covey.errors import CoveyError


def test_lists_may_be_given_as_text() -> None:
    settings = BenchSettings(prompts="p.jsonl", methods="plain, fixed-4", batch="1,8", tasks="code,math", drafters="suffix")  # type: ignore[arg-type]
    assert settings.prompts == Path("p.jsonl")
    assert settings.methods == ("plain", "fixed-4")
    assert settings.batch == (1, 8)
    assert settings.tasks == ("code", "math")
    assert settings.drafters == ("suffix",)


def test_no_drafters_and_unset_drafters_are_two_things() -> None:
    assert BenchSettings(prompts=Path("p"), drafters="none").drafters == ()  # type: ignore[arg-type]
    assert BenchSettings(prompts=Path("p")).drafters is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompts", ""),
        ("prompts", None),
        ("target", " "),
        ("batch", "1,x"),
        ("batch", ()),
        ("batch", (0,)),
        ("batch", (True,)),
        ("batch", (2, 2)),
        ("methods", ("plain", "fast")),
        ("methods", ("fixed-4",)),
        ("methods", ()),
        ("methods", ("plain", "plain")),
        ("tasks", ()),
        ("drafters", 3),
        ("limit", 0),
        ("max_tokens", 0),
        ("repetitions", 0),
        ("repetitions", 1.5),
        ("warmup", -1),
        ("seed", -1),
        ("temperature", -0.5),
        ("dtype", "int8"),
        ("device", "tpu"),
        ("threads", 0),
        ("compile", "perhaps"),
        ("max_model_len", 1),
        ("json", 7),
    ],
)
def test_a_bad_value_is_refused_in_one_line_by_name(field: str, value: object) -> None:
    given: dict[str, Any] = {"prompts": Path("p.jsonl"), field: value}
    with pytest.raises(CoveyError) as error:
        BenchSettings(**given)
    assert str(error.value).startswith(f"{field}=")
    assert "\n" not in str(error.value)


def test_the_toy_target_has_no_peers() -> None:
    with pytest.raises(CoveyError, match=r"transformers-lookup.*toy"):
        BenchSettings(prompts=Path("p"), target="toy", methods=("plain", "transformers-lookup"))


def test_the_engine_has_room_for_the_largest_batch_and_the_longest_draft() -> None:
    settings = BenchSettings(prompts=Path("p"), methods=("plain", "fixed-3", "suffix:fixed-9"), batch=(2, 16, 4))
    options = settings.engine_options()
    assert options["max_num_seqs"] == 16
    assert options["num_speculative_tokens"] == 9


def test_settings_survive_json() -> None:
    settings = BenchSettings(prompts=Path("p.jsonl"), batch=(1, 4), json=Path("out.json"), tasks=("qa",))
    assert BenchSettings(**json.loads(json.dumps(settings.to_dict()))) == settings

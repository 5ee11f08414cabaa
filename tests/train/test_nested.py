"""Sorted training from end to end on a tiny model: it learns, it can be cut and gone on with, and what it writes can be read."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy
import pytest
import torch

from covey import LLM, SamplingParams
from covey.drafters.confidence import UNCALIBRATED
from covey.errors import CoveyError, UnsupportedError
from covey.model.load import load
from covey.model.nested import Calibration, NestedDraft, add_calibration
from covey.train.dataset import IGNORED, collate, frequent_tokens, split
from covey.train.nested import NestedSettings, train_nested
from covey.train.objective import Objective
from covey.train.record import RecordSettings, record
from covey.train.recording import Recording, Text
from tests.bench.samples import line, write
from tests.train.interrupting import interrupted_at


@pytest.fixture(scope="module")
def target(tiny) -> str:
    return str(tiny("llama", layers=4))


@pytest.fixture(scope="module")
def recording(target: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 texts of a tiny random model, with its 8 likeliest tokens at every position."""
    folder = tmp_path_factory.mktemp("recorded")
    prompts = write(folder / "p.jsonl", [line(f"p{i}", text=f"bird {i} " * (1 + i % 4)) for i in range(120)])
    with LLM(target, drafters=[], dtype="float32", device="cpu") as llm:
        record(llm, RecordSettings(prompts=prompts, folder=folder / "r", target=target, max_tokens=24, top=8, hidden=True))
    return folder / "r"


def settings(recording: Path, target: str, output: Path, **options: object) -> NestedSettings:
    base = NestedSettings(recordings=(recording,), output=output, target=target, layers=3, exits=(1, 3), head_size=64, device="cpu")
    return replace(base, **{"dtype": "float32", "steps": 30, "save_every": 10, "evaluate_every": 10, "learning_rate": 3e-3, **options})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_training_learns_and_writes_a_draft_that_can_be_read(recording, target, tmp_path):
    draft = train_nested(settings(recording, target, tmp_path / "d"))
    log = json.loads((tmp_path / "d" / "training.json").read_text())
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert losses[-1] < losses[0]
    assert [len(draft.tokens), draft.config.exits] == [64, (1, 3)]
    assert {"agreement_1", "agreement_3", "loss"} == set(draft.config.training["held_out"])
    base = load(target, dtype="float32", device="cpu", attention="sdpa")
    read = NestedDraft.load(tmp_path / "d", base)
    assert read.config == draft.config
    ids = torch.tensor([[5, 6, 7, 8]])
    for mine, theirs in zip(read.hidden_states(ids), draft.hidden_states(ids), strict=True):
        assert torch.nn.functional.cosine_similarity(mine, theirs, -1).min() > 0.999  # it is kept in bfloat16
    assert "embed_tokens" not in " ".join(weights(tmp_path / "d"))
    assert "| 3 |" in (tmp_path / "d" / "README.md").read_text()
    pytest.importorskip("matplotlib", reason="no curves without the extra `train`")
    assert (tmp_path / "d" / "curves.png").stat().st_size > 1000


def test_a_training_that_was_cut_ends_as_one_that_was_not(recording, target, tmp_path):
    whole = train_nested(settings(recording, target, tmp_path / "whole"))
    with interrupted_at(13):
        train_nested(settings(recording, target, tmp_path / "cut"))
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    assert (tmp_path / "cut" / "checkpoints" / "checkpoint-13").is_dir()
    resumed = train_nested(settings(recording, target, tmp_path / "cut"))
    assert resumed.config.training["held_out"] == whole.config.training["held_out"]
    for name, weight in weights(tmp_path / "whole").items():
        assert torch.equal(weight, weights(tmp_path / "cut")[name]), name


def test_a_draft_can_be_trained_on(recording, target, tmp_path):
    """On the same texts or more, as what it is: kind, exits and tokens stay, and what was calibrated for it is forgotten."""
    own = {"kind": None, "layers": None, "exits": None, "head_size": None}
    first = train_nested(settings(recording, target, tmp_path / "first", kind="self", layers=1, exits=(1,)))
    add_calibration(tmp_path / "first", target, Calibration((), 3, (UNCALIBRATED,)))
    options = {"start": str(tmp_path / "first"), **own, "learning_rate": 1e-4}
    on = train_nested(settings(recording, target, tmp_path / "on", **options, steps=20))
    assert (on.config.kind, on.config.exits, on.config.calibrations) == ("self", (1,), {})
    assert torch.equal(on.tokens, first.tokens)
    trained, before = on.config.training, first.config.training
    assert trained["before"]["agreement_1"] == pytest.approx(before["held_out"]["agreement_1"], abs=0.01)  # it is kept in bfloat16
    assert trained["tokens_seen_before"] == before["tokens_seen"] > 0 == before["tokens_seen_before"]
    assert f"after {before['tokens_seen']:,} in trainings before" in (tmp_path / "on" / "README.md").read_text()
    again = train_nested(settings(recording, target, tmp_path / "again", **{**options, "start": str(tmp_path / "on")}, steps=10))
    assert again.config.training["tokens_seen_before"] == before["tokens_seen"] + trained["tokens_seen"]
    with pytest.raises(CoveyError, match=r"layers=3: start='.*first' is a draft that has its own already"):
        settings(recording, target, tmp_path / "x", **{**options, "layers": 3})


def test_a_draft_can_begin_as_another_model_of_the_vocabulary(recording, target, tiny, tmp_path):
    smaller = str(tiny("llama", layers=2, seed=5))
    draft = train_nested(settings(recording, target, tmp_path / "d", start=smaller, layers=2, exits=(1, 2)))
    assert draft.config.base == load(smaller, dtype="float32", device="cpu").name
    with LLM(target, drafters=[f"nested:{tmp_path / 'd'}"], controller="fixed", dtype="float32", device="cpu") as llm:
        (done,) = llm.generate(["bird 3"], SamplingParams(max_tokens=20, ignore_eos=True), progress=False)
    with LLM(target, drafters=[], dtype="float32", device="cpu") as llm:
        (plain,) = llm.generate(["bird 3"], SamplingParams(max_tokens=20, ignore_eos=True), progress=False)
    assert done.stats.num_draft_tokens > 0
    assert done.token_ids == plain.token_ids


def test_a_self_draft_learns_from_hidden_states_and_practises_further_tokens(recording, target, tmp_path):
    made = settings(recording, target, tmp_path / "d", kind="self", layers=2, exits=(1, 2), unroll=2)
    draft = train_nested(made)
    log = json.loads((tmp_path / "d" / "training.json").read_text())
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert losses[-1] < losses[0]
    agreements = {f"agreement_{exit_}{token}" for exit_ in (1, 2) for token in ("", "_token_2")}
    assert agreements | {"loss"} == set(draft.config.training["held_out"])
    read = NestedDraft.load(tmp_path / "d", load(target, dtype="float32", device="cpu", attention="sdpa"))
    assert (read.config.kind, read.fuse is None) == ("self", False)
    assert "reads its target's hidden states" in (tmp_path / "d" / "README.md").read_text()
    with LLM(target, drafters=[f"nested:{tmp_path / 'd'}"], controller="fixed", dtype="float32", device="cpu") as llm:
        rounds = []
        llm.observe(rounds.append)
        llm.generate("bird 3", SamplingParams(max_tokens=20, ignore_eos=True))
    assert any(r.drafted for r in rounds)


def test_unrolling_reads_what_the_draft_left_itself(target):
    base = load(target, dtype="float64", device="cpu", attention="sdpa")
    draft = NestedDraft.of(base, 1, (1,), kind="self")
    ids = torch.tensor([[4, 5, 6, 7]])
    labels = torch.tensor([[5, 6, 7, 8]])
    gift = torch.randn(1, 4, base.config.hidden_size, dtype=torch.float64)
    nothing = torch.zeros(1, 4, 0)
    out = Objective(draft, ce=1.0, kl=0.0, unroll=2)(ids, torch.ones_like(ids), labels, nothing, nothing, gift)
    (first,) = draft.hidden_states(ids, gift=gift)
    (second,) = draft.hidden_states(ids, gift=torch.nn.functional.pad(first[:, :-1], (0, 0, 1, 0)))
    losses = [
        torch.nn.functional.cross_entropy(draft.head(hidden)[0, n:].float(), labels[0, n:]) for n, hidden in enumerate((first, second))
    ]
    torch.testing.assert_close(out["loss"], (losses[0] + 0.7 * losses[1]) / 1.7)
    assert out["hits"].shape == (1, 4, 2)


def test_a_further_token_is_practised_where_the_text_went_on_with_what_the_target_said(target):
    draft = NestedDraft.of(load(target, dtype="float64", device="cpu", attention="sdpa"), 1, (1,), kind="self")
    ids = torch.tensor([[4, 5, 6, 7, 8, 9]])
    labels = torch.tensor([[5, 6, IGNORED, 20, 9, 10]])  # behind 6 nothing is learned; behind 7 the target would have said 20
    nothing = torch.zeros(1, 6, 0)
    gift = torch.zeros(1, 6, draft.head.in_features, dtype=torch.float64)
    hits = Objective(draft, ce=1.0, kl=0.0, unroll=3)(ids, torch.ones_like(ids), labels, nothing, nothing, gift)["hits"]
    practised = [[position for position in range(6) if hits[0, position, step] >= 0] for step in range(3)]
    assert practised == [[0, 1, 3, 4, 5], [1, 5], []]


def test_a_batch_gives_each_position_what_the_target_left_one_before(recording):
    texts = {text.id: text for text in Recording(recording).texts()}
    for max_length in (1024, 20):  # whole texts, and prompts without their beginning
        trained, _ = split([Recording(recording)], max_length=max_length, batch_size=3)
        batch = collate([trained[len(trained) - 1]])
        for row, text in enumerate(trained.texts[-(len(trained.texts) % 3 or 3) :]):
            item = trained.item(text)
            first = len(text.prompt) - len(item["prompt"])
            assert (first > 0) == (max_length == 20)
            for position in range(1, len(item["prompt"]) + len(item["answer"]) - 1):
                expected = texts[text.id].score.hidden[first + position - 1].float()
                assert torch.equal(batch["gift"][row, position], expected)
            if not first:
                assert not batch["gift"][row, 0].any()


def test_texts_of_one_length_share_a_batch(recording):
    trained, held_out = split([Recording(recording)], max_length=1024, batch_size=4)
    lengths = [[len(item["prompt"]) + len(item["answer"]) for item in trained[i]] for i in range(len(trained))]
    assert sum(map(len, lengths)) == len(trained.texts) == 120 - len(held_out.texts)
    heaps = [lengths[start : start + 16] for start in range(0, len(lengths), 16)]
    assert len(heaps) == 2
    assert all(max(a) <= min(b) for heap in heaps for a, b in pairwise(heap))


def test_another_training_is_not_gone_on_with(recording, target, tmp_path):
    train_nested(settings(recording, target, tmp_path / "d"))
    with pytest.raises(CoveyError, match="holds a training with other settings"):
        train_nested(settings(recording, target, tmp_path / "d", seed=1))


def test_a_training_is_not_gone_on_with_on_a_recording_that_has_grown(recording, target, tmp_path):
    grown = tmp_path / "r"
    shutil.copytree(recording, grown)
    train_nested(settings(grown, target, tmp_path / "d", kl=0.0))
    Recording(grown).add(7, [Text("new", "qa", numpy.array([3, 4]), numpy.array([5, 6]))])
    with pytest.raises(CoveyError, match="or on a recording that has grown since"):
        train_nested(settings(grown, target, tmp_path / "d", kl=0.0))


def test_several_recordings_are_learned_from_together(recording, target, tmp_path):
    prompts = write(tmp_path / "p.jsonl", [{**line(f"ref{i}", text=f"bird {i}"), "reference": "a covey of birds"} for i in range(40)])
    with LLM(target, drafters=[], dtype="float32", device="cpu") as llm:
        record(llm, RecordSettings(prompts=prompts, folder=tmp_path / "r", target=target, max_tokens=12, text="references", top=8))
    made = settings(recording, target, tmp_path / "d", recordings=(recording, tmp_path / "r"), steps=2)
    done = train_nested(made).config.training
    assert [each["text"] for each in done["recordings"]] == ["answers", "references"]
    alone = train_nested(settings(recording, target, tmp_path / "alone", steps=2)).config.training
    assert done["texts"] > alone["texts"]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"exits": (1, 2)}, r"exits=\(1, 2\): exits must ascend .* the number of layers, 3"),
        ({"exits": (3, 1)}, "exits must ascend"),
        ({"layers": 9, "exits": (9,)}, "layers=9: .* has 4 layers"),
        ({"ce": 0.0, "kl": 0.0}, "ce=0, kl=0: there is nothing to learn"),
        ({"dtype": "float16"}, "dtype='float16': dtype must be auto, bfloat16"),
        ({"kl": -1.0}, "kl=-1.0: kl must be 0 or more"),
        ({"batch_size": 0}, "batch_size=0: batch_size must be at least 1"),
        ({"kind": "other"}, "kind='other': kind must be one of standalone, self"),
        ({"unroll": 2}, "unroll=2: only a draft of kind self"),
        ({"recordings": ()}, "recordings is empty"),
    ],
)
def test_settings_that_cannot_be_are_refused(recording, target, tmp_path, options, why):
    with pytest.raises(CoveyError, match=why):
        train_nested(settings(recording, target, tmp_path / "d", **options))


def test_distilling_needs_what_was_recorded(target, tmp_path):
    prompts = write(tmp_path / "p.jsonl", [line(f"p{i}", text=f"bird {i}") for i in range(60)])
    with LLM(target, drafters=[], dtype="float32", device="cpu") as llm:
        record(llm, RecordSettings(prompts=prompts, folder=tmp_path / "r", target=target, max_tokens=8))
    with pytest.raises(CoveyError, match=r"kl=1: recording=.* holds no likeliest tokens .* record with --top 20"):
        train_nested(settings(tmp_path / "r", target, tmp_path / "d"))
    with pytest.raises(CoveyError, match=r"kind='self': recording=.* holds no hidden states of .*; record with --hidden"):
        train_nested(settings(tmp_path / "r", target, tmp_path / "d", kind="self", kl=0.0))
    train_nested(replace(settings(tmp_path / "r", target, tmp_path / "d"), kl=0.0, steps=2))


def test_a_folder_that_is_no_draft_or_another_models_is_refused(recording, target, tmp_path, tiny):
    base = load(target, dtype="float32", device="cpu", attention="sdpa")
    with pytest.raises(CoveyError, match="no config.json of a nested draft"):
        NestedDraft.load(tmp_path, base)
    NestedDraft.of(base, 2, (1, 2)).save(tmp_path / "d")
    other = load(str(tiny("llama", seed=3)), dtype="float32", device="cpu", attention="sdpa")
    with pytest.raises(UnsupportedError, match="reads the input embedding of"):
        NestedDraft.load(tmp_path / "d", other)
    (tmp_path / "d" / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(CoveyError, match=r"cannot read model\.safetensors"):
        NestedDraft.load(tmp_path / "d", base)


def test_an_untrained_draft_of_all_layers_is_the_target(target):
    base = load(target, dtype="float64", device="cpu", attention="sdpa")
    draft = NestedDraft.of(base, 4, (2, 4))
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    torch.testing.assert_close(draft.head(draft.hidden_states(ids)[-1]), base.model(ids).logits)


def test_a_batch_predicts_the_answers_and_nothing_else(recording):
    trained, _ = split([Recording(recording)], max_length=30, batch_size=2)
    batches = [trained[i] for i in (0, 20)]
    items = [item for batch in batches for item in batch]
    batch = collate(batches)
    for row, item in enumerate(items):
        labelled = batch["labels"][row] != IGNORED
        assert batch["labels"][row][labelled].tolist() == item["answer"].tolist()
        before = batch["input_ids"][row][labelled].tolist()
        assert before == [int(item["prompt"][-1]), *item["answer"][:-1].tolist()]
        assert torch.equal(batch["top_ids"][row][labelled][:, 0], batch["labels"][row][labelled])  # greedy text: the likeliest came
        assert len(item["prompt"]) + len(item["answer"]) <= 30


def test_what_is_held_out_stays_held_out(recording):
    trained, held_out = split([Recording(recording)], max_length=64, batch_size=8)
    assert not {t.id for t in trained.texts} & {t.id for t in held_out.texts}
    assert len(frequent_tokens(trained.texts, 10)) == 10


def test_the_loss_is_cross_entropy_and_divergence_over_what_the_head_knows(target):
    base = load(target, dtype="float64", device="cpu", attention="sdpa")
    draft = NestedDraft.of(base, 1, (1,), tokens=[3, 5, 8])
    ids, asked = torch.tensor([[4, 5, 6]]), torch.tensor([[IGNORED, 5, 7]])
    top_ids = torch.tensor([[[0, 0], [5, 9], [8, 3]]])
    p = torch.tensor([[[0.5, 0.5], [0.6, 0.4], [0.7, 0.1]]])
    out = Objective(draft, ce=1.0, kl=2.0)(ids, torch.ones_like(ids), asked, top_ids, p.log(), torch.zeros(1, 3, 0))
    log_q = draft.head(draft.hidden_states(ids)[0])[0].float().log_softmax(-1)  # [3, 3]
    ce = -log_q[1, 1]  # token 7 is not known
    first = -log_q[1, 1]  # all of the teacher's known mass is on 5
    share = torch.tensor([0.7, 0.1]) / 0.8
    second = (share * (share.log() - log_q[2, [2, 0]])).sum()
    torch.testing.assert_close(out["loss"], ce + 2.0 * (first + second) / 2, rtol=1e-5, atol=1e-5)
    assert out["hits"].shape == (1, 3, 1)
    assert out["hits"][0, 0, 0] == -1
    assert out["hits"][0, 2, 0] == 0

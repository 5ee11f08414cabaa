"""Every family loads; everything that cannot be run exactly is refused by name, and every slip of the user in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig

from covey.config import cache_dir
from covey.errors import CoveyError, UnsupportedError
from covey.model import machine
from covey.model.load import load, load_config, load_tokenizer
from covey.model.support import check_context, check_modules
from tests.model.tiny import END, FAMILIES, POSITIONS, tiny_model


def plain(place: Path, dtype: str = "float32", **options: Any):
    return load(str(place), dtype=dtype, device="cpu", attention="eager", **options)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture
def copy(llama: Path, tmp_path: Path) -> Path:
    """A Llama to spoil."""
    for file in llama.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def edit(folder: Path, file: str = "config.json", **changes: Any) -> Path:
    """Change entries of a JSON file; None removes one."""
    content = {**json.loads((folder / file).read_text()), **changes}
    (folder / file).write_text(json.dumps({k: v for k, v in content.items() if v is not None}))
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_loads_as_transformers_loads_it(family, tmp_path):
    loaded = plain(tiny_model(family, tmp_path, vocab_size=130))
    expected = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32, attn_implementation="eager")
    ids = torch.arange(3, 60)[None]
    assert torch.equal(loaded.model(ids).logits, expected(ids).logits)
    assert (loaded.max_position, loaded.end_ids, loaded.vocab_size) == (POSITIONS, {END}, 130)
    assert loaded.parameter_bytes == pytest.approx(4 * sum(p.numel() for p in expected.parameters()), rel=0.01)
    assert not loaded.model.training
    assert not any(p.requires_grad for p in loaded.model.parameters())
    assert load_config(str(tmp_path)).model_type == loaded.config.model_type
    assert load_tokenizer(str(tmp_path)).differences(loaded.tokenizer) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_the_tiny_models_wander(family, tmp_path):
    """Other tests rely on greedy text that does not repeat itself at once."""
    loaded = plain(tiny_model(family, tmp_path))
    prompts = torch.randint(3, 128, (4, 8), generator=torch.Generator().manual_seed(1))
    for prompt in prompts:
        text = loaded.model.generate(prompt[None], max_new_tokens=40, do_sample=False, eos_token_id=None)[0, 8:]
        assert len(set(text.tolist())) >= 8


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_a_dtype_on_request(llama, dtype):
    loaded = plain(llama, dtype)
    assert loaded.dtype == loaded.model.dtype == getattr(torch, dtype)
    assert loaded.parameter_bytes == pytest.approx(plain(llama).parameter_bytes * loaded.dtype.itemsize / 4, rel=0.01)


@pytest.mark.parametrize(("flags", "dtype"), [({"avx512_bf16"}, "bfloat16"), ({"amx_bf16"}, "bfloat16"), ({"avx2", "avx512f"}, "float32")])
def test_dtype_auto_is_bfloat16_where_the_processor_has_it(monkeypatch, flags, dtype):
    monkeypatch.setattr(machine, "_cpu_flags", lambda: frozenset(flags))
    assert machine.choose_dtype("auto", torch.device("cpu")) == getattr(torch, dtype)


@pytest.mark.parametrize(("bfloat16", "float32"), [(0.001, 0.002), (0.002, 0.001)])
def test_training_takes_the_dtype_that_multiplies_faster_here(monkeypatch, bfloat16, float32):
    seconds = {torch.bfloat16: bfloat16, torch.float32: float32}
    monkeypatch.setattr(machine, "_cpu_flags", lambda: frozenset({"avx512_bf16"}))
    monkeypatch.setattr(machine, "_seconds_of_a_product", seconds.__getitem__)
    machine.multiplies_faster_in_bfloat16.cache_clear()
    assert machine.multiplies_faster_in_bfloat16(torch.device("cpu")) == (bfloat16 < float32)
    machine.multiplies_faster_in_bfloat16.cache_clear()


@pytest.mark.gpu
def test_device_auto_is_the_gpu(llama):
    loaded = load(str(llama), attention="eager")
    assert loaded.device.type == loaded.model.device.type == "cuda"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"dtype": "fp8"}, "dtype='fp8': must be auto, bfloat16"),
        ({"device": "tpu"}, "device='tpu': must be auto, cpu, cuda"),
        ({"device": "cuda:99"}, r"device='cuda:99': torch sees \d+ CUDA devices"),
    ],
)
def test_an_unknown_dtype_or_device_is_refused(llama, options, why):
    with pytest.raises(CoveyError, match=why):
        load(str(llama), **options)


@pytest.mark.parametrize(
    ("given", "tokenizers", "ends"),
    [
        ({"eos_token_id": [5, 7]}, "</s>", {5, 7, END}),
        ({"eos_token_id": 5}, "</s>", {5, END}),
        ({"eos_token_id": None}, "</s>", {END}),
        ({"eos_token_id": [END]}, None, {END}),
    ],
)
def test_end_ids_are_the_generation_configs_and_the_tokenizers(copy, given, tokenizers, ends):
    edit(edit(copy, "generation_config.json", **given), "tokenizer_config.json", eos_token=tokenizers)
    assert plain(copy).end_ids == ends


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def only_a_gguf(folder: Path) -> None:
    no_config(folder)
    (folder / "x.gguf").touch()


def broken_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": ')


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def pickled_weights(folder: Path) -> None:
    no_weights(folder)
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def damaged_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"no safetensors at all")


def lacking_weights(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def no_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (no_config, "no config.json: name a folder"),
        (only_a_gguf, r"no config.json: name the file '.*x\.gguf'"),
        (broken_config, "cannot read config.json"),
        (no_weights, r"no model\.safetensors: fetch"),
        (pickled_weights, "pickled weights only"),
        (cut_weights, "cannot read the weights"),
        (damaged_weights, "cannot read the weights"),
        (lacking_weights, r"lack 1 parts of a LlamaForCausalLM, model\.layers\.1\.mlp\.up_proj\.weight"),
        (lambda folder: edit(folder, hidden_size=128), "cannot read the weights"),
        (lambda folder: edit(folder, num_attention_heads="many"), "cannot read config.json"),
        (no_tokenizer, "cannot read the tokenizer"),
    ],
)
def test_a_folder_that_is_no_whole_model_is_refused_in_one_line(copy, spoil: Callable[[Path], None], why):
    spoil(copy)
    with pytest.raises(CoveyError, match=why) as caught:
        plain(copy)
    assert "\n" not in str(caught.value)
    assert str(copy) in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, r"quantised weights \(gptq\)"),
        ({"is_encoder_decoder": True, "model_type": "t5"}, "'t5' is an encoder-decoder"),
        ({"model_type": "own", "auto_map": {"AutoConfig": "code.Config"}}, "'own' needs code of its own"),
        ({"model_type": "llama-2030"}, "'llama-2030' is not known"),
        ({"model_type": "vit"}, "'vit' is not a causal language model"),
    ],
)
def test_a_configuration_that_covey_cannot_honour_is_refused(copy, changes, why):
    edit(copy, **changes)
    for read in (load_config, plain):
        with pytest.raises(UnsupportedError, match=why):
            read(copy)


def folder_of(config: PretrainedConfig, folder: Path) -> Path:
    """A folder with this configuration. The weights are never looked at."""
    config.save_pretrained(folder)
    (folder / "model.safetensors").touch()
    return folder


SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 50}


@pytest.mark.parametrize(
    ("model_type", "options", "why"),
    [
        ("bloom", {}, "'bloom' does not use transformers' attention interface"),
        ("mpt", {}, "'mpt' does not use transformers' attention interface"),
        ("mamba", SMALL, "layers of type linear_attention"),
        ("rwkv", {}, "keeps a recurrent state"),
        ("lfm2", {**SMALL, "layer_types": ["conv", "full_attention"]}, "layers of type conv"),
        ("llama4_text", {}, "layers of type chunked_attention"),
        ("gemma3", {}, r"several models in one \(text_config, vision_config\)"),
        ("gemma3n_text", {}, r"5 of its layers read the keys of others"),
        ("gemma3_text", {**SMALL, "use_bidirectional_attention": True}, "looks ahead in its text"),
        ("bert", SMALL, "BertSelfAttention looks ahead in its text"),
        ("bart", {}, "'bart' is an encoder-decoder"),
    ],
)
def test_a_model_that_covey_cannot_run_exactly_is_refused_by_name(model_type, options, why, tmp_path):
    folder = folder_of(AutoConfig.for_model(model_type, **options), tmp_path)
    with pytest.raises(UnsupportedError, match=why) as caught:
        load_config(folder)
    assert "\n" not in str(caught.value)


def test_convolutions_over_time_are_refused_although_the_configuration_hides_them(tmp_path):
    layers = ["full_attention", "full_attention"]
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("lfm2", **SMALL, layer_types=layers, num_key_value_heads=2))
    assert load_config(folder_of(model.config, tmp_path)).layer_types == layers
    model.mixer = torch.nn.Conv1d(32, 32, 3)
    with pytest.raises(UnsupportedError, match="Conv1d layers mix neighbouring tokens"):
        check_modules(model, "x")


def test_an_adapter_is_refused(copy):
    (copy / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "x/y"}))
    with pytest.raises(UnsupportedError, match="LoRA or other PEFT adapter"):
        plain(copy)


def rope(**parameters: Any) -> PretrainedConfig:
    parameters = {"rope_theta": 10000.0, "factor": 4.0, **parameters}
    return AutoConfig.for_model("llama", **SMALL, max_position_embeddings=1000, rope_parameters=parameters)


FACTORS = [1.0] * 8


@pytest.mark.parametrize(
    ("config", "most"),
    [
        (rope(rope_type="dynamic"), 1000),
        (rope(rope_type="longrope", short_factor=FACTORS, long_factor=FACTORS, original_max_position_embeddings=250), 250),
    ],
)
def test_positions_that_depend_on_the_batch_limit_the_context(config, most):
    check_context(config, most)
    with pytest.raises(
        UnsupportedError,
        match=rf"max_model_len={most + 1}: rope type '.*' changes past {most} positions .*; set max_model_len to at most {most}",
    ):
        check_context(config, most + 1)


@pytest.mark.parametrize("kind", ["linear", "yarn", "default"])
def test_other_positions_do_not(kind):
    check_context(rope(rope_type=kind, original_max_position_embeddings=250), 10**6)


def test_a_rope_type_of_some_layers_limits_the_context():
    config = AutoConfig.for_model("gemma3_text", **SMALL, max_position_embeddings=1000)
    check_context(config, 10**6)
    config.rope_parameters["sliding_attention"] = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}
    with pytest.raises(UnsupportedError, match="at most 1000"):
        check_context(config, 1001)


def test_smollm2_answers_in_english():
    """The real model, if it is in the cache already."""
    if not (cache_dir() / "smollm2").exists():
        pytest.skip("smollm2 is not in the cache: covey fetch smollm2 puts it there")
    loaded = load("smollm2", dtype="float32", device="cpu", attention="sdpa")
    ids = loaded.tokenizer.apply_chat([{"role": "user", "content": "What is the capital of France?"}])
    text = loaded.model.generate(torch.tensor([ids]), max_new_tokens=16, do_sample=False)[0, len(ids) :]
    assert "Paris" in loaded.tokenizer.decode(text.tolist())
    assert loaded.tokenizer.encode("a\n\n1") == loaded.tokenizer.encode("a") + loaded.tokenizer.encode("\n\n") + loaded.tokenizer.encode(
        "1"
    )

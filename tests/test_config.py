"""Settings: where they come from, who wins, and how bad ones are refused."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from covey.config import (
    ConfigError,
    EngineConfig,
    ServerConfig,
    all_options,
    cache_dir,
    engine_options,
    load_settings,
    sampling_options,
    secrets,
    server_options,
)
from covey.errors import CoveyError
from covey.sampling_params import Grammar, SamplingParams


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text: str, name: str = "covey.toml") -> Path:
    Path(name).write_text(text)
    return Path(name)


def test_defaults_hold_when_nothing_is_given() -> None:
    settings = load_settings({}, env={})
    assert (settings.target, settings.drafters) == ("smollm2", None)
    assert settings.engine == EngineConfig()
    assert settings.sampling == SamplingParams()
    assert settings.sources == {}


def test_command_line_beats_environment_beats_file() -> None:
    write("max_num_seqs = 1\nthreads = 1\nprefill_chunk = 1\n")
    env = {"COVEY_MAX_NUM_SEQS": "2", "COVEY_THREADS": "2", "HOME": "/"}
    settings = load_settings({"max_num_seqs": "3", "threads": None}, env=env)
    assert (settings.engine.max_num_seqs, settings.engine.threads, settings.engine.prefill_chunk) == (3, 2, 1)
    assert settings.sources == {"max_num_seqs": "--max-num-seqs", "threads": "COVEY_THREADS", "prefill_chunk": "covey.toml"}


def test_file_given_by_name_replaces_covey_toml() -> None:
    write("max_num_seqs = 1\n")
    assert load_settings({}, write("threads = 3\n", "other.toml"), {}).engine == EngineConfig(threads=3)


def test_file_holds_model_engine_and_sampling() -> None:
    write(
        'target = "toy"\ndrafters = ["suffix"]\ndtype = "float32"\ntrace = "t.jsonl"\n'
        '[sampling]\ntop_p = 0.5\nstop = ["a", "b"]\ngrammar.regex = "a"\n'
    )
    settings = load_settings({}, env={})
    assert (settings.target, settings.drafters) == ("toy", ["suffix"])
    assert settings.engine == EngineConfig(dtype="float32", trace=Path("t.jsonl"))
    assert settings.sampling == SamplingParams(top_p=0.5, stop=("a", "b"), grammar=Grammar("regex", "a"))


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("max_num_seqs", "3", 3),
        ("max_model_len", "none", None),
        ("cache_memory", "1.5", 1.5),
        ("compile", "yes", True),
        ("dtype", "float64", "float64"),
        ("device", "cuda:1", "cuda:1"),
        ("trace", "a/b.jsonl", Path("a/b.jsonl")),
        ("temperature", "0.5", 0.5),
        ("seed", "7", 7),
        ("stop", "two words", ("two words",)),
        ("stop", '["a", "b"]', ("a", "b")),
        ("stop_token_ids", "5, 6", (5, 6)),
        ("logit_bias", "5=-1.5,6=2", {5: -1.5, 6: 2}),
        ("logit_bias", '{"5": -1.5}', {5: -1.5}),
        ("speculation", "num_tokens=2", {"num_tokens": 2}),
        ("grammar", "json_object", Grammar("json_object")),
        ("grammar", "regex:a:b", Grammar("regex", "a:b")),
        ("grammar", '{"json_schema": {"type": "null"}}', Grammar.json_schema({"type": "null"})),
        ("drafters", "suffix,model:toy", ["suffix", "model:toy"]),
        ("drafters", "none", []),
        ("drafters", "auto", None),
        ("target", "toy", "toy"),
        ("port", "0", 0),
        ("request_seconds", "2", 2.0),
        ("allowed_hosts", "a.example,b.example", ["a.example", "b.example"]),
        ("keys_file", "keys", Path("keys")),
        ("log_prompts", "yes", True),
    ],
)
def test_text_is_read_alike_from_command_line_and_environment(name: str, text: str, value: object) -> None:
    for settings in (load_settings({name: text}, env={}), load_settings({}, env={"COVEY_" + name.upper(): text})):
        held = {**vars(settings), **vars(settings.engine), **vars(settings.sampling), **vars(settings.server)}
        assert held[name] == value


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("max_num_seqs", "0", "max_num_seqs=0: max_num_seqs must be a whole number from 1 to 4096 (from --max-num-seqs)"),
        ("max_num_seqs", "many", "max_num_seqs='many': max_num_seqs must be a whole number (from --max-num-seqs)"),
        ("num_speculative_tokens", "-1", "num_speculative_tokens=-1: num_speculative_tokens must be a whole number from 0 to 64"),
        ("cache_memory", "nan", "cache_memory=nan: cache_memory must be a number from 0.0001 to 16777216, or unset"),
        ("dtype", "int8", "dtype='int8': dtype must be one of auto, bfloat16, float16, float32, float64"),
        ("device", "tpu", "device='tpu': device must be auto, cpu, cuda or cuda:N"),
        ("compile", "maybe", "compile='maybe': compile must be true or false"),
        ("temperature", "-1", "temperature=-1.0: temperature must be a number from 0 to 100 (from --temperature)"),
        ("stop_token_ids", "a", "stop_token_ids='a': stop_token_ids must be whole numbers separated by commas"),
        ("logit_bias", "5", "logit_bias='5': logit_bias must be pairs like 42=-1.5,7=2"),
        ("grammar", "yes|no", "grammar='yes|no': grammar must be"),
        ("grammar", "json_schema:nowhere.json", "grammar: 'nowhere.json' cannot be read (No such file or directory)"),
        ("drafters", "suffix,", "drafters='suffix,': drafters must be names separated by commas, or none"),
        ("target", "", "target='': target must be the name of a model"),
    ],
)
def test_bad_value_is_refused_with_field_value_fix_and_origin(name: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings({name: text}, env={})
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith(f"(from --{name.replace('_', '-')})")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "env", "message"),
    [
        ("max_num_seq = 1\n", {}, "covey.toml: unknown key 'max_num_seq': did you mean max_num_seqs?"),
        ("[sampling]\ntemprature = 1\n", {}, "covey.toml: unknown key 'temprature': did you mean temperature?"),
        ("[samplings]\n", {}, "covey.toml: unknown key 'samplings': did you mean sampling?"),
        ("temperature = 1\n", {}, "covey.toml: temperature stands at the top: put it under [sampling]"),
        ("[server]\nports = 1\n", {}, "covey.toml: unknown key 'ports': did you mean port?"),
        ("port = 1\n", {}, "covey.toml: port stands at the top: put it under [server]"),
        ("[server]\ntemperature = 1\n", {}, "covey.toml: temperature stands under [server]: put it under [sampling]"),
        ("[server]\nport = '1'\n", {}, "port='1': port must be a whole number from 0 to 65535 (from covey.toml)"),
        ("[server]\nallowed_hosts = 'a'\n", {}, "allowed_hosts='a': allowed_hosts must be names separated by commas"),
        ("[server]\napi_keys = 'a'\n", {}, "covey.toml: unknown key 'api_keys'"),
        ("[sampling]\nthreads = 1\n", {}, "covey.toml: threads stands under [sampling]: put it at the top of the file"),
        ("sampling = 1\n", {}, "covey.toml: sampling=1: sampling must be a table, [sampling]"),
        ("threads = '1'\n", {}, "threads='1': threads must be a whole number from 1 to 1024, or unset (from covey.toml)"),
        ("threads = true\n", {}, "threads=True: threads must be a whole number from 1 to 1024, or unset (from covey.toml)"),
        ("drafters = [1]\n", {}, "drafters=[1]: drafters must be names separated by commas, or none (from covey.toml)"),
        ("threads = \n", {}, "covey.toml: not valid TOML"),
        ("", {"COVEY_THREAD": "1"}, "unknown environment variable 'COVEY_THREAD': did you mean COVEY_THREADS?"),
        ("", {"COVEY_THREADS": "x"}, "threads='x': threads must be a whole number (from COVEY_THREADS)"),
    ],
)
def test_bad_file_or_environment_is_refused_by_name(file: str, env: dict[str, str], message: str) -> None:
    write(file)
    with pytest.raises(ConfigError) as caught:
        load_settings({}, env=env)
    assert str(caught.value).startswith(message)


def test_missing_file_is_refused_only_when_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"config='no.toml': no such file or directory; give --config a file that exists"):
        load_settings({}, Path("no.toml"), {})


def test_unknown_option_of_the_python_api_is_refused_with_a_suggestion() -> None:
    with pytest.raises(CoveyError, match="unknown option 'max_seqs': did you mean max_num_seqs?"):
        EngineConfig.from_options({"max_seqs": 3})


def test_options_make_the_same_engine_config_again() -> None:
    config = EngineConfig(max_num_seqs=3, trace=Path("t"))
    assert EngineConfig.from_options(config.to_options()) == config


def test_every_sampling_parameter_is_an_option() -> None:
    assert [o.name for o in sampling_options()] == [f.name for f in dataclasses.fields(SamplingParams)]


def test_every_default_is_within_its_own_range_and_every_option_has_help() -> None:
    for option in (*engine_options(), *server_options()):
        assert option.check(option.default) == option.default
    assert all(option.help for option in all_options().values())


def test_file_holds_the_servers_settings() -> None:
    write('[server]\nport = 1\nallowed_hosts = ["a.example"]\nqueue_size = 3\n')
    assert load_settings({}, env={}).server == ServerConfig(port=1, allowed_hosts=["a.example"], queue_size=3)


def test_secrets_come_from_the_environment_alone_and_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COVEY_API_KEYS", "one-key, another-key,")
    monkeypatch.setenv("COVEY_ADMIN_KEY", "the-admin")
    held = secrets()
    assert (held.api_keys, held.admin_key) == (("one-key", "another-key"), "the-admin")
    assert repr(held) == "Secrets()"
    assert load_settings({}).server == ServerConfig()


def test_cache_directory_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COVEY_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("COVEY_CACHE")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_dir() == Path("/home/someone/.cache/covey")


def test_importing_the_configuration_does_not_import_torch() -> None:
    code = "import sys, covey.config; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

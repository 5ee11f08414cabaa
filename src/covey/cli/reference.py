"""The reference of the command line, docs/cli.md, made from the commands themselves.

python -m covey.cli.reference docs/cli.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer

from covey.cli.app import app
from covey.cli.options import ANSWERING, PANELS
from covey.config import FILE_NAME, Option, all_options

_INTRODUCTION = f"""\
# The command line

<!-- Made from the commands' own help by `make docs`; a test checks that it is current. -->

Settings come from the command line, then the environment, then `{FILE_NAME}` in the working directory (or the file that
`--config` names), then the defaults. An unknown name is refused, wherever it stands.

```toml
# {FILE_NAME}
target = "smollm2"
drafters = ["suffix"]
max_num_seqs = 4

[sampling]
temperature = 0.7
max_tokens = 400

[server]
port = 8080
```

Answers go to standard output, everything else to standard error. An error is one line, `covey: error: ...`, with the
exit code 2; after Ctrl-C the exit code is 130. `COVEY_DEBUG=1` shows where an error came from. Fetched models are kept in
`COVEY_CACHE`, or else in `~/.cache/covey`.
"""

_FILES = """\
## Files of prompts and answers

`covey generate --input F.jsonl --output G.jsonl` answers a file of prompts, many at a time. An input line is a JSON object with

| key | meaning |
|---|---|
| `prompt` or `messages` | a text, or a conversation: a list of `{"role": ..., "content": ...}` |
| `id` | optional: a text or a whole number, different for each line; otherwise `line-N` |
| `sampling` | optional: an object of settings from the second table above that override the command's |

Other keys are carried into the answer. An output line holds `id`, `text`, `token_ids`, `finish_reason`, `stats`, and where
asked for `index` (of n) and `logprobs`. Lines come in the order in which the answers are done. The same command run again
skips what is answered and takes up the rest, also after half a line was written. A bad line is named by its number and the
others go on (with `--strict` the run stops); in the end there is an error that lists the bad lines.
"""


def markdown() -> str:
    """The whole reference."""
    group: Any = typer.main.get_command(app)
    parts = [_INTRODUCTION, *(_command(name, command) for name, command in _commands(group)), _settings(), _FILES]
    return "\n".join(parts)


def _commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """All commands by their whole names, those of groups in the place of the group."""
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from _commands(command, f"{before}{name} ")
        else:
            yield before + name, command


def _command(name: str, command: Any) -> str:
    own = [p for p in command.params if p.rich_help_panel not in PANELS.values()]
    shared = [p.opts[0] for p in command.params if p.rich_help_panel in PANELS.values()]
    arguments = "".join(f" {_spelled(p)}" if p.required else f" [{_spelled(p)}]" for p in own if _is_argument(p))
    lines = [f"## covey {name}", "", f"`covey {name}{arguments} [OPTIONS]`", "", command.help or "", ""]
    rows = [f"| `{_spelled(p)}` | {_escaped(p.help or '')}{_default(p)} |" for p in own]
    if rows:
        lines += ["| argument or option | meaning |", "|---|---|", *rows, ""]
    if len(shared) == len(all_options()):
        lines += ["Also every setting of [the tables below](#settings).", ""]
    elif len(shared) == len(ANSWERING):
        lines += ["Also every setting of [the tables below](#settings) but the server's.", ""]
    elif shared:
        lines += [f"Also these settings of [the tables below](#settings): {', '.join(f'`{flag}`' for flag in shared)}.", ""]
    return "\n".join(lines)


def _settings() -> str:
    options = all_options().values()
    return "\n".join(
        [
            "## Settings",
            "",
            f"`--max-num-seqs` is `COVEY_MAX_NUM_SEQS` in the environment and `max_num_seqs` in `{FILE_NAME}`, and so on.",
            "",
            *_rows(option for option in options if option.group in ("model", "engine")),
            "",
            f"These stand under `[sampling]` in `{FILE_NAME}`:",
            "",
            *_rows(option for option in options if option.group == "sampling"),
            "",
            f"These stand under `[server]` in `{FILE_NAME}`, and only `covey serve` takes them ([serving](serving.md)):",
            "",
            *_rows(option for option in options if option.group == "server"),
            "",
        ]
    )


def _rows(options: Iterable[Option]) -> Iterator[str]:
    yield "| setting | default | meaning |"
    yield "|---|---|---|"
    for option in options:
        flag = f"{option.flag}`, `--no-{option.flag[2:]}" if option.kind == "bool" else option.flag
        default = (
            "" if option.default in (None, "", (), {}) else f"`{str(option.default).lower() if option.kind == 'bool' else option.default}`"
        )
        limits = f" ({option.range})" if option.group in ("engine", "server") and _ranged(option) else ""
        yield f"| `{flag}` | {default} | {_escaped(option.help + limits)} |"


def _ranged(option: Option) -> bool:
    return option.kind in ("int", "float") or bool(option.choices or option.pattern)


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def _spelled(parameter: Any) -> str:
    return parameter.name.upper() if _is_argument(parameter) else ", ".join([*parameter.opts, *parameter.secondary_opts])


def _default(parameter: Any) -> str:
    if parameter.default is None or isinstance(parameter.default, bool) or not parameter.show_default:
        return ""
    return f" (default `{parameter.default}`)"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(markdown(), encoding="utf-8")

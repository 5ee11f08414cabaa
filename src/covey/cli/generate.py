"""`covey generate`: answers one prompt on the terminal, or a file of prompts into a file of answers.

covey generate "Why is the sky blue?"        covey generate --input F.jsonl --output G.jsonl
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from covey.cli import batch, screen, startup, streaming
from covey.cli.jsonl import answer_record
from covey.config import ConfigError, Settings
from covey.errors import CoveyError
from covey.types import Message, Prompt

if TYPE_CHECKING:
    from covey.llm import LLM


def generate(
    prompt: Annotated[str | None, typer.Argument(help="The prompt; - reads it from standard input.", show_default=False)] = None,
    input: Annotated[
        Path | None, typer.Option(help="Answer every line of this JSON Lines file (.jsonl or .jsonl.gz).", show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Where the answers to --input go. What it already answers is not done again.", show_default=False)
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad line of --input instead of going on.")] = False,
    system: Annotated[str | None, typer.Option(help="A system message to put before the prompt.", show_default=False)] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Give the prompt to the model as it is, without its chat template.")] = False,
    show_drafts: Annotated[bool, typer.Option("--show-drafts", help="Show which tokens were drafted, accepted and rejected.")] = False,
    json_lines: Annotated[bool, typer.Option("--json", help="Print each answer as a line of JSON with its statistics.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but the answer.")] = False,
    *,
    settings: Settings,
) -> None:
    """Answer a prompt, or a file of prompts."""
    if (input is None) == (prompt is None):
        raise ConfigError("give either a PROMPT or --input FILE, as in: covey generate 'Why is the sky blue?'")
    if (input is None) != (output is None):
        raise ConfigError("--input and --output go together: name both files")
    if input is not None and output is not None:
        refuse_with_input({"--system": system, "--show-drafts": show_drafts, "--json": json_lines})
        batch.run(input, output, settings, strict=strict, raw=raw, quiet=quiet)
        return
    if strict:
        raise ConfigError("--strict is for --input: leave it out")
    if raw and system is not None:
        raise ConfigError("--raw gives the prompt as it is: leave --system out")
    text = sys.stdin.read() if prompt == "-" else prompt or ""
    with startup.opened(settings, quiet) as llm:
        answer(llm, wrap(llm, text, raw, system), settings, show_drafts, json_lines, quiet)


def refuse_with_input(given: dict[str, object]) -> None:
    for flag, value in given.items():
        if value:
            raise ConfigError(f"{flag} is for a single PROMPT: leave it out with --input")


def wrap(llm: LLM, text: str, raw: bool, system: str | None) -> Prompt:
    """A prompt as the model expects it: a chat message where it has a template for those."""
    if not text:
        raise CoveyError("the prompt is empty: give some text")
    if raw or not getattr(llm.tokenizer, "has_chat_template", False):
        if system is not None:
            raise CoveyError("--system: this model has no chat template; put the text into the prompt")
        return text
    before: list[Message] = [{"role": "system", "content": system}] if system is not None else []
    return [*before, {"role": "user", "content": text}]


def answer(llm: LLM, prompt: Prompt, settings: Settings, show_drafts: bool, json_lines: bool, quiet: bool) -> None:
    """Print the answer or answers to one prompt; figures go to stderr."""
    console, params = screen.out(), settings.sampling
    if params.n == 1 and not json_lines and params.logprobs is None:
        statistics, _ = streaming.show(llm, prompt, params, console, show_drafts)
        if not quiet:
            screen.err().print(screen.figures(statistics), style="dim")
        return
    if show_drafts:
        raise ConfigError("--show-drafts shows one answer as it grows: leave out --n, --logprobs and --json")
    for completion in llm.generate(prompt, params, progress=False):
        if completion.error is not None:
            raise CoveyError(completion.error)
        if json_lines or params.logprobs is not None:
            sys.stdout.write(json.dumps(answer_record(None, completion, params), ensure_ascii=False) + "\n")
            continue
        console.print(f"[{completion.index + 1} of {params.n}] {screen.harmless(completion.text)}")
        if not quiet:
            screen.err().print(screen.figures(completion.stats), style="dim")

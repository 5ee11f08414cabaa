"""From a request's response_format, tools and tool_choice to a grammar, to tools for the prompt, and to a reader of the answer.

Knows the shapes that the OpenAI API has, and nothing of HTTP.

    found = constrain(tokenizer, response_format=None, tools=[...], tool_choice="auto")
    ids = llm.encode(messages, tools=found.tools); params = SamplingParams(grammar=found.grammar); reader = found.reader()
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from covey.errors import CoveyError
from covey.sampling_params import Grammar
from covey.tools import CallReader, Tool, ToolFormat, format_of, tools_of

_CHOICES = ("none", "auto", "required")


@dataclass(frozen=True)
class Constraints:
    """grammar: what the answer must look like, None for anything. tools: those that the prompt is to tell of, and that the answer
    may call; form is how it would write that. named: one tool was asked for by name."""

    grammar: Grammar | None = None
    tools: tuple[Tool, ...] = ()
    form: ToolFormat | None = None
    named: bool = False

    def reader(self) -> CallReader | None:
        """For one answer; None where there are no tools, and all is text."""
        return None if self.form is None else self.form.reader(self.tools)


def constrain(
    tokenizer: Any,
    response_format: Any = None,
    tools: Any = None,
    tool_choice: Any = None,
    parallel_tool_calls: Any = None,
    model: str = "",
) -> Constraints:
    """What these fields of a request come to for a target's tokenizer; None is a field that was not given.

    A required or named tool is called with arguments of its schema, and so is any strict one; other calls are as the model
    writes them. Raises CoveyError naming the field, also for a chat template whose calls covey cannot read.
    """
    grammar = _answer_grammar(response_format)
    several = True if parallel_tool_calls is None else parallel_tool_calls
    if not isinstance(several, bool):
        raise CoveyError(f"parallel_tool_calls={several!r}: must be true or false")
    if not tools:
        if tool_choice not in (None, "none", "auto"):
            raise CoveyError(f"tool_choice={tool_choice!r}: there are no tools to choose from: give tools, or leave tool_choice out")
        return Constraints(grammar)
    known = tools_of(tools)
    must, chosen, named = _chosen(tool_choice, known)
    if not chosen:
        return Constraints(grammar)
    if grammar is not None:
        raise CoveyError("response_format: an answer that may call tools has no other form: set tool_choice to none, or leave one out")
    form = format_of(tokenizer.chat_template(True), model)
    if must:
        grammar = form.calls(chosen, several and not named, tokenizer.special_id)
    elif not several or any(tool.strict for tool in chosen):
        grammar = form.calls_or_text(chosen, several, tokenizer.special_id)
    return Constraints(grammar, chosen if named else known, form, named)


def _answer_grammar(given: Any) -> Grammar | None:
    """response_format as a grammar."""
    if given is None:
        return None
    kind = given.get("type") if isinstance(given, dict) else None
    if kind not in ("text", "json_object", "json_schema"):
        raise CoveyError(f"response_format.type={kind!r}: must be text, json_object or json_schema")
    allowed = {"type", "json_schema"} if kind == "json_schema" else {"type"}
    if unknown := sorted(set(given) - allowed):
        raise CoveyError(f"response_format.{unknown[0]}: is not known with type {kind}: leave it out")
    if kind != "json_schema":
        return Grammar("json_object") if kind == "json_object" else None
    described = given.get("json_schema")
    if not isinstance(described, dict) or not isinstance(described.get("name"), str):
        raise CoveyError('response_format.json_schema: must be an object {"name": ..., "schema": {...}}')
    if unknown := sorted(set(described) - {"name", "schema", "strict", "description"}):
        raise CoveyError(f"response_format.json_schema.{unknown[0]}: is not known: leave it out")
    if not isinstance(described.get("schema"), dict):
        raise CoveyError("response_format.json_schema.schema: must be a JSON schema, an object")
    try:
        return Grammar.json_schema(described["schema"])
    except ValueError as error:
        raise CoveyError(f"response_format.json_schema.schema: {error}") from None


def _chosen(choice: Any, tools: tuple[Tool, ...]) -> tuple[bool, tuple[Tool, ...], bool]:
    """Whether one must be called, which may be, and whether it was chosen by name."""
    if choice is None or choice in _CHOICES:
        return choice == "required", () if choice == "none" else tools, False
    function = choice.get("function") if isinstance(choice, dict) and choice.get("type") == "function" else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        raise CoveyError(f'tool_choice={choice!r}: must be {", ".join(_CHOICES)} or {{"type": "function", "function": {{"name": ...}}}}')
    chosen = tuple(tool for tool in tools if tool.name == name)
    if not chosen:
        raise CoveyError(f"tool_choice.function.name={name!r}: there is no such tool; name one of {', '.join(t.name for t in tools)}")
    return True, chosen, True

"""Which convention a chat template follows, and the grammars of answers that must or may call."""

from __future__ import annotations

import pytest
from tokenizers import AddedToken

from covey.errors import CoveyError
from covey.model.grammars import Grammars
from covey.model.tokenizer import Tokenizer
from covey.sampling_params import Grammar
from covey.tools import FORMATS, Tool, format_of
from covey.toy import ToyTokenizer
from tests.model.tiny import END, tiny_tokenizer
from tests.tools.templates import CODER, PLAIN, TEMPLATES

pytest.importorskip("llguidance")
FORMS = {form.name: form for form in FORMATS}
CITY = {
    "properties": {"city": {"$ref": "#/$defs/C"}},
    "required": ["city"],
    "additionalProperties": False,
    "$defs": {"C": {"enum": ["Rome"]}},
}
TOOLS = [Tool("weather", parameters={"type": "object", **CITY}, strict=True), Tool("time")]

HERMES = '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>'
LLAMA3 = '{"name": "weather", "parameters": {"city": "Rome"}}'
MISTRAL = '[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "Rome"}}]'


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_convention_is_told_by_the_template(name):
    assert format_of(TEMPLATES[name]).name == name


@pytest.mark.parametrize("template", [PLAIN, CODER, ""])
def test_a_template_of_no_known_convention_is_refused_by_the_models_name(template):
    with pytest.raises(CoveyError, match=r"tools: bird-7b's chat template .*\(hermes, llama3, mistral\)"):
        format_of(template, "bird-7b")


def special(token: str) -> None:
    """A vocabulary without special tokens spells the marks."""


def accepts(grammar: Grammar, text: str) -> bool:
    """Whether the whole text is an answer of the grammar, over the toy vocabulary."""
    tokenizer = ToyTokenizer()
    constraint = Grammars(tokenizer, tokenizer.vocab_size, frozenset({0})).constraint(grammar, frozenset({0}))
    allowed = constraint.allowed(tokenizer.encode(text))
    return allowed is not None and bool(allowed[0] & 1)


@pytest.mark.parametrize(
    ("form", "several", "text", "must", "may"),
    [
        ("hermes", True, HERMES, True, True),
        ("hermes", True, f"{HERMES}\n{HERMES}", True, True),
        ("hermes", False, f"{HERMES}\n{HERMES}", False, False),
        ("hermes", True, HERMES.replace("Rome", "Oslo"), False, False),
        ("hermes", True, HERMES.replace("weather", "rain"), False, False),
        ("hermes", False, "Well, it rains.", False, True),
        ("hermes", False, f"Let me see. {HERMES}", False, True),
        ("hermes", True, f"Let me see. {HERMES.replace('Rome', 'Oslo')}", False, False),
        ("llama3", True, LLAMA3, True, True),
        ("llama3", True, LLAMA3.replace("Rome", "Oslo"), False, False),
        ("llama3", True, "Well, it rains.", False, True),
        ("mistral", True, MISTRAL, True, True),
        ("mistral", True, MISTRAL.replace("Rome", "Oslo"), False, False),
        ("mistral", True, f'{MISTRAL[:-1]}, {{"name": "time", "arguments": {{}}}}]', True, True),
        ("mistral", False, f'{MISTRAL[:-1]}, {{"name": "time", "arguments": {{}}}}]', False, False),
        ("mistral", True, "Well, it rains.", False, True),
    ],
)
def test_answers_that_must_call_and_answers_that_may(form, several, text, must, may):
    made = FORMS[form]
    assert accepts(made.calls(TOOLS, several, special), text) is must
    assert accepts(made.calls_or_text(TOOLS, several, special), text) is may


def test_a_mark_that_is_a_special_token_is_demanded_as_that_token():
    """It cannot be spelled, and leaves no trace in the text: the reader finds the call all the same."""
    wrapped = tiny_tokenizer(300)
    wrapped.add_special_tokens({"additional_special_tokens": [AddedToken("[TOOL_CALLS]", special=True)]})
    tokenizer = Tokenizer(wrapped)
    mark = tokenizer.special_id("[TOOL_CALLS]")
    grammar = FORMS["mistral"].calls(TOOLS, False, tokenizer.special_id)
    constraint = Grammars(tokenizer, tokenizer.vocab_size, frozenset({END})).constraint(grammar, frozenset({END}))
    answer = [mark, *tokenizer.encode(MISTRAL.removeprefix("[TOOL_CALLS]"), add_special_tokens=False)]
    allowed = constraint.allowed([])
    assert allowed is not None and int.from_bytes(allowed, "little") == 1 << mark
    assert constraint.permitted([], [*answer, END]) == len(answer) + 1
    (called, arguments) = FORMS["mistral"].reader(TOOLS).push(tokenizer.decode(answer)).calls
    assert (called.name, arguments.arguments) == ("weather", '{"city": "Rome"}')

"""Grammars as masks: what may follow depends on the output alone, and what cannot be compiled is refused in one line."""

from __future__ import annotations

import json
import random
import threading

import pytest

from covey.errors import CoveyError, UnsupportedError
from covey.model import grammars
from covey.model.grammars import GrammarConstraint, Grammars
from covey.model.tokenizer import Tokenizer
from covey.sampling_params import Grammar
from covey.toy import ToyTokenizer
from tests.model.tiny import END, tiny_tokenizer

pytest.importorskip("llguidance")
SCHEMA = Grammar.json_schema(
    {"type": "object", "properties": {"a": {"type": "string"}, "b": {"enum": ["x", "xy"]}}, "required": ["a", "b"]}
)

LAZY = Grammar("lark", 'start: (head call)* rest\nhead[lazy]: /(.|\\n)*?<c>/\ncall: /[a-z]{2,5}/ "!"\nrest: /(.|\\n)*/\n')


def toy_grammars() -> Grammars:
    tokenizer = ToyTokenizer()
    return Grammars(tokenizer, tokenizer.vocab_size, frozenset({0}))


def constraint(grammar: Grammar, ends: frozenset[int] = frozenset({0})) -> GrammarConstraint:
    return toy_grammars().constraint(grammar, ends)


def ids(allowed: bytes | None) -> list[int]:
    assert allowed is not None
    return [i for i in range(8 * len(allowed)) if allowed[i >> 3] >> (i & 7) & 1]


@pytest.mark.parametrize("grammar", [SCHEMA, Grammar("json_object"), Grammar("regex", r"([0-9]{1,3}-)+(the birds? )?end"), LAZY])
def test_what_may_follow_does_not_depend_on_what_was_asked_before(grammar):
    """A walk that wanders off and comes back, against a new one for every question; on a byte-level vocabulary."""
    tokenizer = Tokenizer(tiny_tokenizer(300))
    made = Grammars(tokenizer, 300, frozenset({END}))
    wanderer, chooser, output = made.constraint(grammar, frozenset({END})), random.Random(1), []
    for _ in range(40):
        here = wanderer.allowed(output)
        assert here == made.constraint(grammar, frozenset({END})).allowed(output)
        assert wanderer.allowed([*output, END, END]) is None
        possible = [i for i in ids(here) if i != END]
        if not possible:
            break
        aside = [*output, chooser.choice(possible)]
        for _ in range(chooser.randrange(4)):
            further = [i for i in ids(wanderer.allowed(aside)) if i != END]
            aside += [chooser.choice(further)] if further else []
        output = [*output, chooser.choice(possible)]
    assert output


def test_two_threads_may_ask_at_once():
    shared, answers = constraint(SCHEMA), {}
    texts = [ToyTokenizer().encode(text) for text in ('{"a": "the birds', '{"a": "", "b": "x')]
    expected = [[constraint(SCHEMA).allowed(text[:i]) for i in range(len(text))] for text in texts]

    def ask(which: int) -> None:
        answers[which] = [[shared.allowed(texts[which][:i]) for i in range(len(texts[which]))] for _ in range(40)]

    threads = [threading.Thread(target=ask, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(each == expected[which] for which in (0, 1) for each in answers[which])


def test_end_tokens_may_come_exactly_where_the_grammar_may_end():
    encode = ToyTokenizer().encode
    asked = constraint(Grammar("regex", "ab|abc"), frozenset({0, 9}))
    assert [ids(asked.allowed(encode(text))) for text in ("", "a", "ab", "abc")] == [
        encode("a"), encode("b"), sorted([0, 9, *encode("c")]), [0, 9],
    ]  # fmt: skip
    assert asked.allowed(encode("b")) is None and asked.failure(encode("ab")) is None


@pytest.mark.parametrize(("text", "count"), [("yes", 3), ("yesterday", 3), ("no", 0), ("yeah", 2)])
def test_as_many_tokens_are_permitted_as_the_grammar_allows(text, count):
    assert constraint(Grammar("regex", "yes")).permitted([], ToyTokenizer().encode(text)) == count


def test_a_dead_end_allows_the_end_alone_and_is_a_failure():
    asked = constraint(Grammar("regex", "bé"))
    before = ToyTokenizer().encode("b")
    assert ids(asked.allowed(before)) == [0]
    assert "cannot be completed" in (asked.failure(before) or "") and asked.failure([]) is None


@pytest.mark.parametrize(
    ("schema", "texts"),
    [
        ({"type": "object", "minProperties": 2, "maxProperties": 2}, ["{}", '{"a":1}', '{"a":1, "b":2}', '{"a":1,"b":2,"c":3}']),
        ({"type": "integer", "multipleOf": 3, "exclusiveMinimum": 0}, ["0", "3", "4", "-3", "30"]),
        ({"type": "object", "patternProperties": {"^a": {"type": "integer"}}}, ['{"a":"x"}', '{"ab":1}', '{"b":"x"}']),
        ({"type": "array", "prefixItems": [{"const": 1}], "items": False}, ["[1]", "[1,2]", "[2]"]),
        ({"type": "string", "pattern": "^a+$", "maxLength": 3}, ['"aa"', '"aaaa"', '"b"', '""']),
        ({"$defs": {"n": {"type": ["array", "null"], "items": {"$ref": "#/$defs/n"}}}, "$ref": "#/$defs/n"}, ["[null,[]]", "[1]"]),
        ({"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}}, {"required": ["a"]}]}, ["{}", '{"a":1}', '{"a":""}']),
        ({"anyOf": [{"type": "boolean"}, {"enum": ["a", 7]}]}, ["true", "7", '"a"', '"b"', "null"]),
    ],
)  # fmt: skip
def test_what_a_schema_allows_is_what_another_validator_finds_valid(schema, texts):
    jsonschema_rs = pytest.importorskip("jsonschema_rs")
    asked = constraint(Grammar.json_schema(schema))
    complete = {text: asked.allowed(ToyTokenizer().encode(text)) for text in texts}
    accepted = {text: allowed is not None and 0 in ids(allowed) for text, allowed in complete.items()}
    assert accepted == {text: jsonschema_rs.is_valid(schema, json.loads(text)) for text in texts}


@pytest.mark.parametrize(
    ("grammar", "message"),
    [
        (Grammar.json_schema({"type": "objekt"}), "grammar: the json_schema cannot be used (Invalid type: objekt): mend it"),
        (Grammar.json_schema({"uniqueItems": True}), 'grammar: the json_schema cannot be used (Unimplemented keys: ["uniqueItems"])'),
        (Grammar.json_schema({"$ref": "https://x.test/y"}), "grammar: the json_schema cannot be used (Resource"),
        (Grammar("regex", "(a"), "grammar: the regex cannot be used ("),
        (Grammar("lark", "start: nobody"), "grammar: the lark cannot be used ("),
    ],
)
def test_a_grammar_that_cannot_be_compiled_is_refused_in_one_line(grammar, message):
    with pytest.raises(ValueError) as caught:
        constraint(grammar)
    assert str(caught.value).startswith(message[:50]) and "\n" not in str(caught.value)


def test_a_grammar_is_compiled_once_and_only_so_many_are_kept(monkeypatch):
    monkeypatch.setattr(grammars, "_COMPILED", 2)
    made = toy_grammars()
    first, second, third = (Grammar("regex", letter) for letter in "abc")
    kept = made.compiled(first)
    assert made.compiled(first) is kept
    for grammar in (second, third):
        made.compiled(grammar)
    assert made.compiled(third) is made.compiled(third) and made.compiled(first) is not kept


def test_a_vocabulary_that_cannot_be_used_is_refused():
    with pytest.raises(UnsupportedError, match="no end token"):
        Grammars(ToyTokenizer(), 10, frozenset()).compiled(Grammar("json_object"))
    with pytest.raises(UnsupportedError, match="token_bytes"):
        Grammars(object(), 10, frozenset({0})).compiled(Grammar("json_object"))


def test_without_llguidance_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "llguidance", None)
    with pytest.raises(CoveyError, match=r"llguidance is not installed: pip install 'covey\[grammar\]'"):
        toy_grammars().compiled(Grammar("json_object"))

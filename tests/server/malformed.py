"""Bodies of requests as nobody should send them: made of right ones, in their structure and in their bytes.

requests.example()  ->  ("POST", "/v1/completions", b'{"prompt":[[[[')
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

SCHEMA = {"type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}, "days": {"type": "array", "items": {"type": "integer"}}}}
TOOL = {"type": "function", "function": {"name": "weather", "description": "how it is", "parameters": SCHEMA, "strict": True}}
CALL = {"id": "abcdefghi", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
USER = {"role": "user", "content": "hi"}
SAMPLING = {"temperature": 0.5, "top_p": 0.9, "seed": 3, "stop": ["x"], "logit_bias": {"3": 1.5}, "n": 2, "metadata": {"a": "b"}}
SPECULATION = {"speculation": {"num_tokens": 2, "drafters": ["suffix"], "show": True}, "stream": True, "label": "birds"}

# Right bodies that together have every part that is looked into.
RIGHT: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("POST", "/v1/chat/completions"): [
        {"model": "toy", "messages": [USER], "max_tokens": 2},
        {"messages": [{"role": "system", "content": [{"type": "text", "text": "Be brief."}]}, USER], "max_tokens": 2, **SAMPLING},
        {"messages": [USER], "max_completion_tokens": 2, "logprobs": True, "top_logprobs": 2, **SPECULATION},
        {"messages": [USER], "max_tokens": 2, "stream": True, "stream_options": {"include_usage": True}, "include_metrics": True},
        {"messages": [USER], "max_tokens": 2, "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}},
        {"messages": [USER, {"role": "assistant", "content": None, "tool_calls": [CALL]}], "tools": [TOOL], "parallel_tool_calls": False},
        {
            "messages": [{"role": "tool", "content": "12", "tool_call_id": "abcdefghi"}],
            "tools": [TOOL],
            "tool_choice": "auto",
            "max_tokens": 2,
        },
    ],
    ("POST", "/v1/completions"): [
        {"model": "toy", "prompt": "hi", "max_tokens": 2},
        {"prompt": ["hi", "ho"], "max_tokens": 2, "logprobs": 1, **SAMPLING},
        {"prompt": [[5, 6], [7]], "max_tokens": 2, "stop_token_ids": [3], "ignore_eos": True, "min_tokens": 1},
        {"prompt": [1, 2, 3], "max_tokens": 2, "top_k": 3, "min_p": 0.1, "repetition_penalty": 1.1, **SPECULATION},
    ],
    ("PATCH", "/admin/speculation"): [
        {"model": "toy", "num_speculative_tokens": 3},
        {"members": ["suffix"], "min_survival": 0.5, "thresholds": {"nested": [0.5]}},
    ],
}

numbers = st.integers() | st.floats() | st.sampled_from([0, -1, 2**31, 2**63, 2**64, 10**400, 1e308, -1e308, float("nan"), float("inf")])
texts = st.text(max_size=12) | st.sampled_from(["toy", "auto", "<end>", "\ud800", "\x00", "{{ 1 }}", "{% for %}", "$ref", "#", "../x"])
leaves = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4), max_leaves=8
)


def places(held: Any) -> Iterator[tuple[Any, Any]]:
    """Every container and key in a body."""
    keys = held if isinstance(held, dict) else range(len(held)) if isinstance(held, list) else ()
    for key in list(keys):
        yield held, key
        yield from places(held[key])


@st.composite
def misshapen(draw: Any, right: list[dict[str, Any]]) -> bytes:
    """A right body in which some parts hold anything, are gone, stand in another's place, or are joined by what does not belong."""
    body = copy.deepcopy(draw(st.sampled_from(right)))
    for _ in range(draw(st.integers(1, 3))):
        every = list(places(body))
        if not every:
            break
        holder, key = draw(st.sampled_from(every))
        how = draw(st.sampled_from(["anything", "gone", "wrapped", "moved", "joined"]))
        if how == "gone":
            del holder[key]
        elif how == "wrapped":
            holder[key] = draw(st.sampled_from([[holder[key]], {"a": holder[key]}, [holder[key]] * 3]))
        elif how == "moved":
            other, place = draw(st.sampled_from(every))
            holder[key] = copy.deepcopy(other[place])
        elif how == "joined" and isinstance(holder, dict):
            holder[draw(texts)] = draw(values)
        else:
            holder[key] = draw(values)
    return json.dumps(body).encode()


@st.composite
def garbled(draw: Any, right: list[dict[str, Any]]) -> bytes:
    """A right body whose bytes are no JSON any more, or JSON of a kind that is not meant."""
    raw = json.dumps(draw(st.sampled_from(right))).encode()
    at = draw(st.integers(0, len(raw)))
    depth = draw(st.sampled_from([3, 100, 5000, 100_000]))
    return draw(
        st.sampled_from(
            [
                raw[:at],
                raw[:at] + draw(st.binary(min_size=1, max_size=4)) + raw[at:],
                raw[:at] + draw(st.binary(min_size=1, max_size=4)) + raw[at + 1 :],
                raw[:at] + draw(st.sampled_from([b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf8", b"\x00"])) + raw[at:],
                raw.replace(b"{", b'{"model": "toy", "model": 1, ', 1),
                raw.replace(b"{", b'{"prompt": "a", "messages": [], ', 1),
                raw.replace(b": ", b": " + b"[" * depth, 1),
                raw.replace(b": ", b": " + b"[" * depth + b"]" * depth + b', "x": ', 1),
                raw.replace(b": ", b': {"a": ' * depth, 1),
                raw.replace(b"2", b"2" * depth),
                raw.replace(b"2", b"2e9999"),
                raw.replace(b"2", b"NaN"),
                raw + raw,
                b"\xef\xbb\xbf" + raw,
                raw.decode().encode("utf-16"),
                draw(st.binary(max_size=40)),
            ]
        )
    )


requests = st.sampled_from(sorted(RIGHT)).flatmap(
    lambda where: st.tuples(st.just(where[0]), st.just(where[1]), misshapen(RIGHT[where]) | garbled(RIGHT[where]))
)

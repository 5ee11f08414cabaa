"""/metrics: what it counts is what happened, and what the dashboard draws is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from covey.cost import Costs, Drafting, DraftSample, PassSample
from covey.engine.statistics import Statistics
from covey.server.speed import Speed
from covey.types import Round
from tests.server.running import eventually, running

DEPLOY = Path(__file__).parents[2] / "deploy"
MESSAGES = [{"role": "user", "content": "the birds sing, the birds sing"}]


def samples(server) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    with server.http() as http:
        text = http.get("/metrics").text
    families = text_string_to_metric_families(text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


@pytest.fixture(scope="module")
def after():
    """A server that has answered two requests, the Rounds that it took, and its series."""
    rounds: list[Round] = []
    with running() as server:
        server.llm.observe(rounds.append)
        for n in (1, 2):
            server.openai().chat.completions.create(model="toy", messages=MESSAGES, max_tokens=150, n=n, extra_body={"ignore_eos": True})
        assert eventually(server.at_rest)
        yield server, rounds, samples(server)


def of(series, name, **labels):
    return series[f"covey:{name}", tuple(sorted({"model_name": "toy", **labels}.items()))]


def test_counters_add_up_to_the_rounds(after):
    _, rounds, series = after
    seen = Statistics()
    for each in rounds:
        seen.add(each)
    assert of(series, "generation_tokens_total") == seen.num_tokens == 450
    assert of(series, "spec_decode_num_drafts_total") == seen.num_drafts > 0
    assert of(series, "spec_decode_num_draft_tokens_total") == seen.num_draft_tokens
    assert of(series, "spec_decode_num_accepted_tokens_total") == seen.num_accepted_tokens > 0
    positions = [sum(each.accepted > position for each in rounds) for position in range(4)]
    assert [
        series.get(("covey:spec_decode_num_accepted_tokens_per_pos_total", (("model_name", "toy"), ("position", str(p)))), 0)
        for p in range(4)
    ] == positions
    assert of(series, "drafter_votes_won_total", drafter="suffix") == seen.num_accepted_tokens
    assert of(series, "spec_decode_draft_length_count") == seen.num_rounds
    assert of(series, "engine_steps_total") == len({each.step for each in rounds})
    for part in ("draft", "verify", "other"):
        steps = {each.step: getattr(each, f"step_{part}_seconds") for each in rounds}
        assert of(series, "step_seconds_total", part=part) == pytest.approx(sum(steps.values()))


def test_requests_are_timed_and_counted(after):
    _, _, series = after
    assert of(series, "request_success_total", finished_reason="length") == 3
    assert of(series, "time_to_first_token_seconds_count") == of(series, "e2e_request_latency_seconds_count") == 2
    assert of(series, "request_queue_time_seconds_count") == 2
    assert of(series, "inter_token_latency_seconds_count") == 450 - sum_of_first(after[1])
    assert of(series, "inter_token_latency_seconds_sum") <= 2 * of(series, "e2e_request_latency_seconds_sum")
    assert of(series, "num_requests_running") == of(series, "num_requests_waiting") == of(series, "kv_cache_usage_perc") == 0
    assert series["covey:ready", ()] == 1
    assert series["covey:http_responses_total", (("status", "200"),)] >= 2


def sum_of_first(rounds) -> int:
    """Tokens of the first round of each completion: nothing came before them."""
    first = {}
    for each in rounds:
        if each.tokens:
            first.setdefault(each.sequence_id, len(each.tokens))
    return sum(first.values())


def test_members_of_a_collective_have_series_of_their_own():
    from covey.drafters import CollectiveDrafter, SuffixDrafter

    one, other = SuffixDrafter(min_match=1), SuffixDrafter(min_match=3)
    one.name, other.name = "short", "long"
    with running(drafters=[CollectiveDrafter([one, other])]) as server:
        server.openai().completions.create(model="toy", prompt="the birds sing", max_tokens=200, extra_body={"ignore_eos": True})
        series = samples(server)
    for name in ("short", "long"):
        assert of(series, "drafter_votes_won_total", drafter=name) > 0
        assert of(series, "drafter_asked_total", drafter=name) > 0
        assert 0 < of(series, "drafter_hit_rate", drafter=name) < 1


def round_of(**changes) -> Round:
    made: dict = dict(  # noqa: C408
        step=1, sequence_id=1, request_id="r", index=0, start=10, planned=3, drafted=(1, 2, 3), survival=(1, 1, 1), source="a", accepted=3,
        tokens=(1, 2, 3, 4), prefilled=0, finish_reason=None, step_sequences=1, step_tokens=4, step_draft_seconds=0.001,
        step_verify_seconds=0.010, step_other_seconds=0.001,
    )  # fmt: skip
    return Round(**{**made, **changes})


def test_plain_decoding_is_priced_by_the_controllers_costs():
    costs = Costs.fit([PassSample(n, 0, 0.010) for n in (1, 2, 4, 8)], [DraftSample(Drafting(1, 1, 1), 0.001)])
    speed = Speed(lambda: costs)
    step = speed.observe(round_of())
    assert step.tokens == 4 and step.plain_seconds == pytest.approx(0.040)  # four passes of one token
    assert speed.speedup == pytest.approx(0.040 / 0.012)
    assert speed.goodput == pytest.approx(4 / 0.012) and speed.plain == pytest.approx(100)


def test_a_step_of_several_is_counted_once_and_one_that_was_cut_short_not_at_all():
    speed = Speed(lambda: None)
    assert speed.observe(round_of(step=1, step_sequences=2)) is None
    assert speed.observe(round_of(step=2, step_sequences=2, sequence_id=1)) is None
    step = speed.observe(round_of(step=2, step_sequences=2, sequence_id=2))
    assert (step.tokens, step.plain_seconds, speed.speedup) == (8, None, 0)


def test_the_dashboard_loads_and_draws_only_what_is_exported(after):
    board = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    server, _, _ = after
    with server.http() as http:
        text = http.get("/metrics").text
    declared = set(re.findall(r"^# TYPE (\S+) (?:counter|gauge|histogram)$", text, re.M))
    exported = (
        declared | {f"{name}_bucket" for name in declared} | {f"{name}_sum" for name in declared} | {f"{name}_count" for name in declared}
    )
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    named = set(re.findall(r"covey:\w+|process_\w+", json.dumps(board)))  # of variables and annotations, too
    assert queries and named <= exported, named - exported
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert {"title", "uid", "schemaVersion", "templating", "time"} <= board.keys()


def test_every_series_is_documented(after):
    server, _, _ = after
    with server.http() as http:
        text = http.get("/metrics").text
    page = (DEPLOY.parent / "docs" / "serving.md").read_text()
    names = {name.removesuffix("_total") for name in re.findall(r"^# TYPE covey:(\S+)", text, re.M)}
    assert [name for name in sorted(names) if f"`{name}" not in page] == []

"""What operators see at /metrics: Prometheus series, fed by Rounds and by requests' own times.

Names that other servers' tools read have the prefix `covey:` instead of theirs. `observe` runs in the engine's thread, once for each
sequence and step; all else in the event loop. Knows nothing of HTTP but statuses.

    metrics = Metrics(); metrics.add_target("smollm2", speed, gauges); llm.observe(metrics.observe); metrics.exposition()
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics, generate_latest

from covey.server.speed import Speed, Step
from covey.types import Round

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600)
_GAPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5)
_LENGTHS = (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 64)

# Of each target, from Rounds.
_COUNTERS = {
    "spec_decode_num_drafts": "drafts of which at least one token went to the target",
    "spec_decode_num_draft_tokens": "drafted tokens that went to the target",
    "spec_decode_num_accepted_tokens": "drafted tokens that were accepted",
    "generation_tokens": "tokens that completions got",
    "engine_steps": "steps of the engine",
    "plain_seconds_estimate": "seconds that plain decoding is expected to take for what steps did; its rate over that of step_seconds"
    " is the speedup",
}
_GAUGES = {
    "goodput_tokens_per_second": "tokens a second of recent steps",
    "plain_tokens_per_second_estimate": "what plain decoding would have made of them; 0 where the controller keeps no costs",
    "speedup_estimate": "goodput over the plain estimate; 0 where the controller keeps no costs",
    "num_requests_running": "completions that the engine is writing",
    "num_requests_waiting": "requests and completions that wait for it",
    "kv_cache_usage_perc": "share of the KV cache's blocks that are in use, from 0 to 1",
    "pipeline_pool": "sequences whose drafts were ready, or being written, when the last pass began",
    "pipeline_pool_limit": "ready drafts at which drafters pause; 0 where there is no pool",
    "drafter_failures": "calls of the drafter that raised, since the start",
    "drafters_lost": "drafters that are not asked any more, because they failed or hung",
    "engine_last_step_age_seconds": "since the last step of an engine that has work; 0 for one that has none",
}
_HISTOGRAMS = {
    "time_to_first_token_seconds": ("from a request's arrival to its first token, waiting included", _SECONDS),
    "inter_token_latency_seconds": ("between two tokens of a completion; tokens that come together share the time before them", _GAPS),
    "e2e_request_latency_seconds": ("from a request's arrival to its end", _SECONDS),
    "request_queue_time_seconds": ("from a request's arrival to its admission", _SECONDS),
    "spec_decode_draft_length": ("tokens of a sequence that were sent to the target to verify, 0 included", _LENGTHS),
}


class _Series:
    """The series of one target: its label is looked up once."""

    def __init__(self, families: Mapping[str, Any], target: str, speed: Speed) -> None:
        self.target, self.speed = target, speed
        self._families = families
        self._own = {name: families[name].labels(target) for name in (*_COUNTERS, *_HISTOGRAMS)}
        self._labelled: dict[tuple[str, str], Any] = {}

    def __getitem__(self, name: str) -> Any:
        return self._own[name]

    def labelled(self, name: str, label: str) -> Any:
        if (name, label) not in self._labelled:
            self._labelled[name, label] = self._families[name].labels(self.target, label)
        return self._labelled[name, label]


class Metrics:
    """All series of one server."""

    def __init__(self) -> None:
        disable_created_metrics()  # when a series began is a series of its own otherwise
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        model = ("model_name",)
        of_drafter = (*model, "drafter")
        families: dict[str, Any] = {name: self._counter(name, help, model) for name, help in _COUNTERS.items()}
        families |= {name: Gauge(f"covey:{name}", help, model, registry=self.registry) for name, help in _GAUGES.items()}
        for name, (help, buckets) in _HISTOGRAMS.items():
            families[name] = Histogram(f"covey:{name}", help, model, registry=self.registry, buckets=buckets)
        for name, help, labels in (
            ("spec_decode_num_accepted_tokens_per_pos", "accepted drafted tokens by their position in the draft", (*model, "position")),
            ("step_seconds", "seconds of steps, by part: draft, verify, other", (*model, "part")),
            ("request_success", "completions that ended, by reason", (*model, "finished_reason")),
            ("drafter_votes_won", "accepted tokens that a drafter was for", of_drafter),
            ("drafter_asked", "guesses, or whole drafts, that a member of a collective was asked for", of_drafter),
            ("drafter_seconds", "seconds that a member of a collective took over its guesses", of_drafter),
        ):
            families[name] = self._counter(name, help, labels)
        for name, help in (
            ("hit_rate", "how often a member of a collective was right lately"),
            ("weight", "what its vote counts for then"),
        ):
            families[f"drafter_{name}"] = Gauge(f"covey:drafter_{name}", help, of_drafter, registry=self.registry)
        self._prompt_tokens = self._counter("prompt_tokens", "prompt tokens of admitted requests", model)
        self._reused = self._counter("prefix_cache_hits", "prompt tokens that had been read before", model)
        self._answers = self._counter("http_responses", "answers, by status", ("status",))
        self._ready = Gauge("covey:ready", "1 when requests are taken", registry=self.registry)
        self._alert = Gauge("covey:alert", "1 while an alert is raised, by rule", ("model_name", "rule"), registry=self.registry)
        self._families = families
        self._series: dict[str, _Series] = {}

    def _counter(self, name: str, help: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"covey:{name}", help, labels, registry=self.registry)

    # -- what is asked when somebody looks

    def add_target(self, target: str, speed: Speed, gauges: Mapping[str, Callable[[], float]]) -> None:
        """gauges: by name, what gives the value at the moment; those of speed are known."""
        self._series[target] = _Series(self._families, target, speed)
        known: dict[str, Callable[[], float]] = {
            "goodput_tokens_per_second": lambda: speed.goodput,
            "plain_tokens_per_second_estimate": lambda: speed.plain,
            "speedup_estimate": lambda: speed.speedup,
        }
        for name, value in {**known, **gauges}.items():
            self._families[name].labels(target).set_function(value)

    def watch_readiness(self, ready: Callable[[], bool]) -> None:
        self._ready.set_function(lambda: float(ready()))

    def watch_alert(self, rule: str, target: str, raised: Callable[[], bool]) -> None:
        """target is empty for an alert about the server as a whole."""
        self._alert.labels(target, rule).set_function(lambda: float(raised()))

    def exposition(self) -> bytes:
        return generate_latest(self.registry)

    # -- in the engine's thread

    def observe(self, happened: Round) -> Step | None:
        """Count one round, and its step when it is complete, which is returned."""
        series = self._series[happened.target]
        if happened.tokens:
            self._count_tokens(series, happened)
        for member in happened.members:
            if member.asked:
                series.labelled("drafter_asked", member.name).inc(member.asked)
            series.labelled("drafter_seconds", member.name).inc(member.spent)
            series.labelled("drafter_hit_rate", member.name).set(member.record)
            series.labelled("drafter_weight", member.name).set(member.weight)
        step = series.speed.observe(happened)
        if step is not None:
            series["engine_steps"].inc()
            self._families["pipeline_pool"].labels(happened.target).set(happened.pool)
            self._families["pipeline_pool_limit"].labels(happened.target).set(happened.pool_limit)
            series["plain_seconds_estimate"].inc(step.plain_seconds or 0.0)
            for part in ("draft", "verify", "other"):
                series.labelled("step_seconds", part).inc(getattr(step, f"{part}_seconds"))
        return step

    @staticmethod
    def _count_tokens(series: _Series, happened: Round) -> None:
        series["generation_tokens"].inc(len(happened.tokens))
        series["spec_decode_draft_length"].observe(happened.sent)
        if not happened.sent:
            return
        series["spec_decode_num_drafts"].inc()
        series["spec_decode_num_draft_tokens"].inc(happened.sent)
        series["spec_decode_num_accepted_tokens"].inc(happened.won)
        for position, names in enumerate(happened.winners):
            series.labelled("spec_decode_num_accepted_tokens_per_pos", str(position)).inc()
            for name in names:
                series.labelled("drafter_votes_won", name).inc()

    # -- in the event loop

    def answered(self, status: int) -> None:
        self._answers.labels(str(status)).inc()

    def admitted(self, target: str, prompt_tokens: int, queued: float) -> None:
        self._prompt_tokens.labels(target).inc(prompt_tokens)
        self._series[target]["request_queue_time_seconds"].observe(queued)

    def reused(self, target: str, prompt_tokens: int) -> None:
        self._reused.labels(target).inc(prompt_tokens)

    def first_token(self, target: str, seconds: float) -> None:
        self._series[target]["time_to_first_token_seconds"].observe(seconds)

    def gap(self, target: str, seconds: float, tokens: int) -> None:
        for _ in range(tokens):
            self._series[target]["inter_token_latency_seconds"].observe(seconds / tokens)

    def completed(self, target: str, reason: str) -> None:
        self._series[target].labelled("request_success", reason).inc()

    def ended(self, target: str, seconds: float) -> None:
        self._series[target]["e2e_request_latency_seconds"].observe(seconds)

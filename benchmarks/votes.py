"""What a vote is worth: every policy and every vote against each member alone, against verifying everybody's draft, and an oracle.

    python benchmarks/votes.py --prompts dev.jsonl.gz --drafters suffix,suffix:smollm2,nested:draft --limit 2 --json votes.json

All runs answer the same prompts at one fixed length; nobody is spared for cost, so that lengths and not times are compared.
*oracle* and *verify all* are counted on the rounds of a sequence vote by confidence: the best member's accepted tokens in each round,
and the tokens that a tree of all drafts would send to the target.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from covey import LLM, SamplingParams, provenance
from covey.drafters import CollectiveDrafter, make_drafter
from covey.drafters.apart import Apart
from covey.drafters.collective import VOTES
from covey.drafters.guesser import Growing
from covey.prompts import TaskPrompt, file_digest, read_prompts
from covey.types import Draft, Drafter, Round, Sequence
from covey.weights import POLICIES


class Noted(Apart):
    """A sequence vote that keeps what each member drafted, by sequence."""

    own: dict[int, dict[int, Draft]]

    def walk(self, draft: Growing, own: dict[int, Draft], path: tuple[int, ...]) -> None:
        self.own[draft.sequence.id] = own
        super().walk(draft, own, path)


class Noting(CollectiveDrafter):
    """A collective that notes, for every round, what each member would have had accepted, and the size of the tree of all drafts."""

    def __init__(self, members: list[Drafter], **options: Any) -> None:
        super().__init__(members, vote="sequence", **options)
        self.voting = self.noted = Noted(self.members, self.ledger, thrifty=False, clock=time.perf_counter)
        self.noted.own = {}
        self.rounds: list[tuple[list[int], int]] = []

    def commit(self, sequence: Sequence, draft: Draft, accepted: int) -> None:
        own = self.noted.own.pop(sequence.id, {})
        lengths = [_accepted(own[n], sequence) if n in own else 0 for n in range(len(self.members))]
        self.rounds.append((lengths, len({d.tokens[: i + 1] for d in own.values() for i in range(len(d))})))
        super().commit(sequence, draft, accepted)


def _accepted(draft: Draft, sequence: Sequence) -> int:
    count = 0
    for mine, committed in zip(draft.tokens, sequence.tokens[draft.start :], strict=False):
        if mine != committed:
            break
        count += 1
    return count


def run(given: argparse.Namespace, prompts: list[TaskPrompt], make: Callable[[], list[Drafter]], noting: bool = False) -> dict[str, Any]:
    """Lengths over all prompts and by task: tokens a round, and mean accepted length over rounds with a draft."""
    drafters = make()
    params = SamplingParams(max_tokens=given.max_tokens, temperature=given.temperature, seed=0)
    options = {"num_speculative_tokens": given.length, "max_num_seqs": given.batch, "dtype": given.dtype, "controller": "fixed"}
    options["branches"] = given.branches
    with LLM(given.target, drafters=drafters, **options) as llm:
        asked = [(prompt.task, llm.encode([dict(m) for m in prompt.messages])) for prompt in prompts]
        asked = [(task, ids) for task, ids in asked if len(ids) + given.max_tokens < llm.max_model_len]
        every: list[Round] = []
        llm.observe(every.append)
        done = llm.generate([ids for _, ids in asked], params, progress=False)
        task_of = {completion.request_id: asked[completion.prompt_index][0] for completion in done}
        by_task: dict[str, list[Round]] = {}
        for happened in every:
            by_task.setdefault(task_of[happened.request_id], []).append(happened)
        found = {
            "all": _lengths(every),
            "by_task": {t: _lengths(r) for t, r in sorted(by_task.items())},
        }
        if noting and isinstance(noted := llm.drafters[0], Noting):
            count = max(1, len(noted.rounds))
            found["oracle"] = 1 + sum(max(lengths) for lengths, _ in noted.rounds) / count
            found["verify_all_tokens"] = sum(size for _, size in noted.rounds) / count
            found["members"] = [1 + sum(lengths[n] for lengths, _ in noted.rounds) / count for n in range(len(noted.members))]
    return found


def _lengths(rounds: list[Round]) -> dict[str, float]:
    counted = [r for r in rounds if r.tokens]
    drafted = [r for r in counted if r.sent]
    return {
        "tokens_a_round": sum(len(r.tokens) for r in counted) / max(1, len(counted)),
        "mean_accepted_length": 1 + sum(r.won for r in drafted) / max(1, len(drafted)),
        "drafted_a_round": sum(r.sent for r in counted) / max(1, len(counted)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--drafters", required=True, help="the members, separated by commas")
    parser.add_argument("--target", default="smollm2")
    parser.add_argument("--limit", type=int, default=2, help="prompts of a task")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--length", type=int, default=4)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--branches", default="off", help="on: with branches beside what is voted")
    parser.add_argument("--votes-alone", action="store_true", help="no member by itself, and no oracle")
    parser.add_argument("--policies", default=",".join(POLICIES))
    parser.add_argument("--votes", default=",".join(VOTES))
    parser.add_argument("--min-survival", type=float, default=0.15)
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    every = read_prompts(given.prompts)
    by_task = [[e for e in every if e.task == task][: given.limit] for task in dict.fromkeys(e.task for e in every)]
    prompts = [p for turn in itertools.zip_longest(*by_task) for p in turn if p is not None]  # tasks mixed in one stream
    names = given.drafters.split(",")

    def members() -> list[Drafter]:
        return [make_drafter(name, dtype=given.dtype) for name in names]

    def collective(**options: Any) -> Callable[[], list[Drafter]]:
        return lambda: [CollectiveDrafter(members(), thrifty=False, min_survival=given.min_survival, **options)]

    runs: dict[str, tuple[Callable[[], list[Drafter]], bool]] = {}
    for name in [] if given.votes_alone else names:  # by itself, but under the same rule of ending a draft
        runs[name] = (lambda name=name: [CollectiveDrafter([make_drafter(name)], min_survival=given.min_survival)], False)
    for policy in given.policies.split(","):
        for vote in given.votes.split(","):
            runs[f"{vote} vote, {policy}"] = (collective(vote=vote, weights=policy), False)
    if not given.votes_alone:
        runs["noted"] = (lambda: [Noting(members(), min_survival=given.min_survival)], True)
    results = {}
    for name, (make, noting) in runs.items():
        results[name] = run(given, prompts, make, noting)
        print(f"{name:<32} {json.dumps(results[name]['all'])}", flush=True)
    document = {
        **provenance.about(),
        "settings": {
            **{k: v for k, v in vars(given).items() if k not in ("prompts", "json")},
            "prompts_sha256": file_digest(given.prompts),
        },
        "results": results,
    }
    given.json.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()

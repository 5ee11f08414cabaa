"""How soon a collective follows a change of task: rounds until the member that is best at the new task has the best record.

    python benchmarks/change_of_task.py --prompts dev.jsonl.gz --drafters suffix:smollm2,nested:smollm2 --tasks code,summarization

Each conversation has two turns, the first of one task and the second of another, as messages of one chat; the second starts from the
records that the first left. The best member of a turn is the one whose record is best in the mean over its rounds. Where that is another
one than before, rounds are counted until its record passes all others'; where it never does, all rounds of the turn. Everybody is
asked everywhere, so that everybody is scored. The last line printed is one JSON document.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import fmean, median
from typing import Any

from covey import LLM, SamplingParams, provenance
from covey.drafters import CollectiveDrafter, make_drafter
from covey.prompts import TaskPrompt, file_digest, read_prompts
from covey.types import Message, Round


def converse(llm: LLM, turns: tuple[TaskPrompt, TaskPrompt], params: SamplingParams) -> list[list[Round]]:
    """One conversation; the rounds of each turn that had records."""
    messages: list[Message] = []
    found: list[list[Round]] = []
    for prompt in turns:
        rounds: list[Round] = []
        end = llm.observe(rounds.append)
        messages += [dict(message) for message in prompt.messages]
        (answer,) = llm.generate(messages, params, progress=False)
        end()
        messages.append({"role": "assistant", "content": answer.text})
        found.append([each for each in rounds if each.members])
    return found


def best(happened: Round) -> str:
    """The member with the best record, of equals the first."""
    return max(happened.members, key=lambda member: member.record).name


def means(rounds: list[Round]) -> dict[str, float]:
    """Each member's record in the mean over rounds."""
    told = [member for happened in rounds for member in happened.members]
    return {name: fmean(member.record for member in told if member.name == name) for name in dict.fromkeys(member.name for member in told)}


def followed(turns: list[list[Round]]) -> dict[str, Any]:
    """Who was best in which turn, and after how many rounds of the second that showed."""
    records = [means(rounds) for rounds in turns]
    before, after = (max(record, key=lambda name: record[name]) for record in records)
    leads = [best(happened) == after for happened in turns[1]]
    until = leads.index(True) if True in leads else len(leads)
    return {"before": before, "after": after, "rounds": len(leads), "until": until if before != after else None, "records": records}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--drafters", required=True, help="the members, separated by commas")
    parser.add_argument("--tasks", default="code,summarization", help="the first and the second turn's; both orders are run")
    parser.add_argument("--target", default="smollm2")
    parser.add_argument("--limit", type=int, default=8, help="conversations in each order")
    parser.add_argument("--max-tokens", type=int, default=96, help="of an answer")
    parser.add_argument("--length", type=int, default=4)
    parser.add_argument("--vote", default="token")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--trace", type=Path, help="write the rounds here, for covey plot weights")
    given = parser.parse_args()
    first, second = given.tasks.split(",")
    of_task = {task: read_prompts(given.prompts, (task,))[: given.limit] for task in (first, second)}
    pairs = list(zip(of_task[first], of_task[second], strict=False))
    members = [make_drafter(name, dtype=given.dtype) for name in given.drafters.split(",")]
    collective = CollectiveDrafter(members, vote=given.vote, thrifty=False)
    conversations = []
    options = {"num_speculative_tokens": given.length, "controller": "fixed", "dtype": given.dtype, "trace": given.trace}
    with LLM(given.target, drafters=[collective], **options) as llm:
        for number, turns in enumerate([*pairs, *((b, a) for a, b in pairs)]):
            # A label of its own: a conversation starts from what all showed, and its second turn from what its first did.
            params = SamplingParams(max_tokens=given.max_tokens, label=f"conversation {number}", seed=0)
            rounds = converse(llm, turns, params)
            if all(rounds):
                conversations.append({"prompts": [turn.id for turn in turns], **followed(rounds)})
    changed = [each for each in conversations if each["until"] is not None]
    document = {
        **provenance.about(),
        "prompts_sha256": file_digest(given.prompts),
        "conversations": len(conversations),
        "changes": len(changed),
        "median_rounds": median(each["until"] for each in changed) if changed else None,
        "each": conversations,
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()

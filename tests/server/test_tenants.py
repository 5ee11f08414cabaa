"""What one key's texts leave behind tells another key nothing."""

from __future__ import annotations

from covey.drafters import SuffixDrafter
from covey.server.keys import Keys
from tests.server.running import KEY, OTHER, eventually, running

SECRET = "the grey bird sings of home and the small hill"


def test_nothing_is_drafted_from_another_keys_text():
    """The second caller's prompt begins as the first one's; its drafts come from its own text, as on a server that saw no other."""

    def proposals(secret_first: bool) -> list[tuple[int, tuple[int, ...]]]:
        drafter, rounds = SuffixDrafter(min_survival=0.0), []
        with running(drafters=[drafter], keys=Keys({"first": KEY, "second": OTHER})) as server:
            if secret_first:
                server.openai(KEY).completions.create(model="toy", prompt=f"{SECRET} {SECRET}", max_tokens=60)
                assert eventually(server.at_rest)
            server.llm.observe(rounds.append)
            server.openai(OTHER).completions.create(model="toy", prompt=SECRET[:20], max_tokens=60, extra_body={"ignore_eos": True})
            return [(each.start, each.proposed) for each in rounds]

    assert proposals(True) == proposals(False) != []


def test_records_of_work_are_kept_apart_by_key():
    kinds = []

    class Listening(SuffixDrafter):
        def start(self, sequence):
            kinds.append(sequence.kind)
            super().start(sequence)

    messages = [{"role": "system", "content": "one and the same"}, {"role": "user", "content": "hi"}]
    with running(drafters=[Listening()], keys=Keys({"first": KEY, "second": OTHER})) as server:
        for key in (KEY, OTHER, KEY):
            server.openai(key).chat.completions.create(model="toy", messages=messages, max_tokens=3)
        server.openai(KEY).completions.create(model="toy", prompt="hi", max_tokens=3, extra_body={"label": "birds"})
        server.openai(KEY).completions.create(model="toy", prompt="hi", max_tokens=3)
    assert kinds[0] == kinds[2] != kinds[1]
    assert kinds[0].startswith("first/") and kinds[1].startswith("second/") and kinds[3:] == ["first/birds", ""]


def test_what_was_read_for_one_key_serves_that_key_alone():
    asked = {"model": "toy", "prompt": "the birds of the field " * 40, "max_tokens": 4}
    with running(keys=Keys({"first": KEY, "second": OTHER})) as server:
        usages = [server.openai(key).completions.create(**asked).usage for key in (KEY, KEY, OTHER)]
        first, second, other = (usage.prompt_tokens_details.cached_tokens for usage in usages)
        assert first == other == 0
        assert 64 <= second < usages[1].prompt_tokens
        told = server.http(headers={"authorization": f"Bearer {KEY}"}).get("/metrics").text
        assert f'covey:prefix_cache_hits_total{{model_name="toy"}} {float(second)}' in told

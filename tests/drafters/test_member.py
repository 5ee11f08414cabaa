"""A member can do no harm: one that fails is left out, and the others go on."""

from __future__ import annotations

import pytest

from covey.drafters import CollectiveDrafter
from tests.drafters.members import Says, propose, sequence


class Broken(Says):
    """Fails in one of its methods."""

    def __init__(self, what: str) -> None:
        super().__init__(9)
        self.what, self.calls = what, 0

    def __getattribute__(self, name):
        if name == super().__getattribute__("__dict__").get("what"):
            self.calls += 1
            raise RuntimeError("deliberate")
        return super().__getattribute__(name)


@pytest.mark.parametrize("what", ["guess", "start", "commit", "open"])
def test_a_member_that_fails_is_left_out_and_the_others_go_on(what):
    broken = Broken(what)
    collective = CollectiveDrafter([broken, Says(7)], min_survival=0.0)
    text = sequence(1, 2)
    for _ in range(8):
        collective.start(text)
        draft = propose(collective, text)
        assert draft.tokens[-1] in (7, 9)
        text.commit([7, 7])
        collective.commit(text, draft, 1)
        collective.stop(text)
    assert broken.calls == 3
    assert collective.members[0].rests

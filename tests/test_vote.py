"""The vote: the heaviest token, the heaviest path, and who decides ties."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covey.vote import Ballot, Opinion, Standing, heaviest_path, mixture, winner


def test_the_heaviest_token_wins_not_the_heaviest_voter():
    elected = winner([Ballot(5, 1.5), Ballot(7, 0.9), Ballot(7, 0.8)])
    assert (elected.token, elected.supporters) == (7, (1, 2))
    assert elected.share == pytest.approx(1.7 / 3.2)


@pytest.mark.parametrize(
    ("ballots", "token"),
    [
        ([Ballot(1, 0.5), Ballot(1, 0.5), Ballot(2, 1.0)], 2),  # a larger single weight
        ([Ballot(1, 1.0, record=0.3), Ballot(2, 1.0, record=0.4)], 2),  # a better record
        ([Ballot(3, 1.0), Ballot(2, 1.0)], 3),  # the order of members
        ([Ballot(4, 0.0), Ballot(5, 0.0)], 4),  # nobody has any weight
    ],
)
def test_ties_are_decided(ballots, token):
    assert winner(ballots).token == token


def test_those_for_the_same_token_share_their_votes():
    ballots = [Ballot(5, 1.0, member=0), Ballot(7, 0.8, member=1), Ballot(7, 0.7, member=2)]
    assert winner(ballots).token == 7
    assert winner(ballots, lambda member, company: 1 / len(company)).token == 5
    paths, standings = [(5, 6), (7, 8), (7, 9)], [Standing(b.weight, member=b.member) for b in ballots]
    assert [e.token for e in heaviest_path(paths, standings)] == [7, 8]
    assert [e.token for e in heaviest_path(paths, standings, lambda member, company: 1 / len(company))] == [5, 6]


def test_nobody_is_no_vote():
    with pytest.raises(ValueError, match="ballots is empty"):
        winner([])


def test_a_mixture_is_the_weighted_mean_of_what_is_said():
    mixed = mixture([Opinion(3.0, ((5, 0.5), (7, 0.4))), Opinion(1.0, ((8, 0.6), (7, 0.4)))])
    assert mixed == pytest.approx({5: 0.375, 7: 0.4, 8: 0.15})
    assert mixture([Opinion(0.0, ((5, 0.5),)), Opinion(0.0, ((6, 1.0),))]) == {5: 0.25, 6: 0.5}
    with pytest.raises(ValueError, match="opinions is empty"):
        mixture([])


def test_the_heaviest_path_is_one_members_own_draft():
    paths = [(1, 2, 3), (1, 2, 4), (5, 6, 7)]
    path = heaviest_path(paths, [Standing(0.6), Standing(0.5), Standing(1.0)])
    assert [e.token for e in path] == [1, 2, 3]
    assert [e.supporters for e in path] == [(0, 1), (0, 1), (0,)]
    assert [e.token for e in heaviest_path(paths, [Standing(0.4), Standing(0.5), Standing(1.0)])] == [5, 6, 7]


def test_a_shorter_member_does_not_end_the_path():
    assert [e.token for e in heaviest_path([(1,), (1, 2), ()], [Standing(2.0), Standing(1.0), Standing(9.0)])] == [1, 2]
    assert heaviest_path([(), ()], [Standing(1.0)] * 2) == []


def by_tree(paths, weights):
    """The same by building the whole tree: node -> weight of all members that go through it."""
    at: tuple[int, ...] = ()
    while True:
        children = {p[: len(at) + 1] for p in paths if p[: len(at)] == at and len(p) > len(at)}
        if not children:
            return at
        at = max(sorted(children), key=lambda c: sum(w for p, w in zip(paths, weights, strict=True) if p[: len(c)] == c))


@given(st.lists(st.lists(st.integers(0, 2), max_size=4).map(tuple), min_size=1, max_size=5))
def test_the_path_is_that_of_the_prefix_tree(paths):
    weights = [1.0 + 0.137 * 1.9**i for i in range(len(paths))]  # no two sums are equal
    path = tuple(e.token for e in heaviest_path(paths, [Standing(w) for w in weights]))
    assert path == by_tree(paths, weights)
    assert path == () or any(p == path for p in paths)


def test_the_result_does_not_depend_on_the_order_of_members_but_for_ties():
    ballots = [Ballot(1, 0.1), Ballot(2, 0.7), Ballot(1, 0.2), Ballot(3, 0.4), Ballot(1, 0.3)]
    assert {winner(order).token for order in itertools.permutations(ballots)} == {2}

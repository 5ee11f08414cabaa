"""Text of a completion: stop strings across token borders, nothing shown too early, nothing lost."""

from hypothesis import given
from hypothesis import strategies as st

from covey.engine.text import OutputText
from covey.model.tokenizer import TextStream
from covey.toy import ToyTokenizer

TOKENIZER = ToyTokenizer()


def run(text: str, stop: tuple[str, ...]) -> tuple[str, str, bool]:
    """Text, what was shown piece by piece, and whether it stopped, of a text fed token by token."""
    output, shown = OutputText(TextStream(TOKENIZER), stop), ""
    for token in TOKENIZER.encode(text):
        output.push(token)
        shown += output.take()
        assert output.stopped or not any(shown.endswith(s[:1]) and len(s) > 1 and not text.startswith(shown) for s in stop)
        if output.stopped:
            break
    output.finish()
    return output.text, shown + output.take(final=True), output.stopped


def expected(text: str, stop: tuple[str, ...]) -> tuple[str, bool]:
    """The text up to the stop string that is complete first, at token granularity: the earliest in what was there then."""
    so_far = ""
    for token in TOKENIZER.encode(text):
        so_far += TOKENIZER.decode([token])
        found = [so_far.find(s) for s in stop if s in so_far]
        if found:
            return so_far[: min(found)], True
    return so_far, False


@given(st.text("ab the birds\n", max_size=40), st.lists(st.text("ab thebirds", min_size=1, max_size=6), max_size=3))
def test_text_ends_before_the_first_stop_string_and_all_else_is_shown(text, stop):
    got, shown, stopped = run(text, tuple(stop))
    assert (got, stopped) == expected(text, tuple(stop))
    assert shown == got


def test_a_beginning_of_a_stop_string_is_held_back_until_it_is_clear():
    output = OutputText(TextStream(TOKENIZER), ("xyz",))
    shown = []
    for token in TOKENIZER.encode("axyxyz"):
        output.push(token)
        shown.append(output.take())
    assert shown == ["a", "", "", "xy", "", ""]
    assert output.text == "axy" and output.stopped


def test_stop_strings_that_do_not_count_yet_are_passed_by():
    output = OutputText(TextStream(TOKENIZER), ("ab",))
    for i, token in enumerate(TOKENIZER.encode("ababab")):
        output.push(token, stop_counts=i >= 3)
    assert output.stopped and output.text == "abab"

"""One manner against another: a few rounds of each in turn, and again, so that what slows both, or drifts, cancels out.

Stretches of the kept manner and of its rival alternate; each stretch of the rival is compared with those of the kept one on both sides.
It ends as soon as the ratios say clearly which is faster, at once where the rival is hopeless, and in any case after a few of them. Knows
nothing of loads, or of when to try.

    trial = Trial("serial", "halves"); trial.name; ...; trial.add(happened, worth=24.5, sequences=8); trial.verdict
"""

from __future__ import annotations

from math import exp, log, sqrt
from statistics import mean, stdev

from covey.pipeline.manner import Measured

MARGIN = 1.03  # a manner is left for another that is faster by so much
_WORTH = 1.05  # what surely wins less than this is given up, though more comparisons might show that it wins the margin
_ROUNDS, _STEPS = 2, 3  # at least so many rounds of every sequence in a stretch, and so many steps
_LEAST, _MOST = 2, 6  # comparisons
_HOPELESS = 0.75  # of the kept one's speed: the rival is given up after one stretch
_NOISE = 0.02  # a comparison is never taken to be more exact than this
_SURE = 1.5  # standard errors
_PATIENCE = 16  # steps of one stretch that cannot be counted, after which the rival waits for quieter times


class Trial:
    """kept, rival: manners by name. verdict: whether the rival is to be kept, None until that is known. lost: seconds that the rival's
    stretches took beyond what the kept one would have taken."""

    def __init__(self, kept: str, rival: str) -> None:
        self.kept, self.rival = kept, rival
        self.verdict: bool | None = None
        self.lost = 0.0
        self._ratios: list[float] = []  # logarithms of the rival's speed over the kept one's
        self._changes: list[float] = []  # of the kept one's, from stretch to stretch
        self._speeds: list[float] = []  # logarithms: the kept one's first, then in turn
        self._begin()

    @property
    def name(self) -> str:
        """The manner whose turn it is."""
        return self.rival if len(self._speeds) % 2 else self.kept

    @property
    def gain(self) -> float:
        """The rival's speed over the kept one's, as far as it is known."""
        return exp(mean(self._ratios)) if self._ratios else 1.0

    def interrupt(self) -> None:
        """What was begun is worth nothing; comparisons that were made stay."""
        self._speeds.clear()
        self._begin()

    def skip(self) -> None:
        """A step that cannot be counted."""
        self._skipped += 1
        if self._skipped > _PATIENCE and self.name == self.rival:
            self.interrupt()

    def add(self, happened: Measured, worth: float, sequences: int) -> None:
        """A step in the manner whose turn it was. worth: its tokens; sequences: all that decode, in however many groups."""
        self._steps += 1
        self._rounds += happened.sequences
        self._worth += worth
        self._seconds += happened.seconds
        if self._steps >= _STEPS and self._rounds >= _ROUNDS * sequences:
            self._close()
            self._begin()

    def _begin(self) -> None:
        self._steps, self._rounds, self._worth, self._seconds, self._skipped = 0, 0, 0.0, 0.0, 0

    def _close(self) -> None:
        """A stretch is over."""
        speeds, rivals = self._speeds, self.name == self.rival
        speeds.append(log(self._worth / self._seconds))
        if rivals:
            self.lost += max(0.0, self._seconds - self._worth / exp(speeds[-2]))
            if speeds[-1] - speeds[-2] < log(_HOPELESS):
                self._ratios.append(speeds[-1] - speeds[-2])
                self.verdict = False
        elif len(speeds) > 1:
            self._changes.append(speeds[-1] - speeds[-3])
            self._ratios.append(speeds[-2] - (speeds[-1] + speeds[-3]) / 2)
            self._judge()

    def _judge(self) -> None:
        count = len(self._ratios)
        if count < _LEAST:
            return
        # Two comparisons that happen to agree prove little: the kept manner's own changes say, too, how exact they are.
        own = sqrt(0.75 * mean(change * change for change in self._changes))
        error = _SURE * max(_NOISE, stdev(self._ratios), own) / sqrt(count)
        gain, wanted = mean(self._ratios), log(MARGIN)
        if gain > max(wanted, error) or count >= _MOST:
            self.verdict = gain > wanted
        elif gain + error < log(_WORTH):
            self.verdict = False

"""Pictures of what happened, from a trace alone.

draw_weights(rounds_of(Path("rounds.jsonl")), Path("weights.png"))
"""

from covey.plot.reliability import Reliability, draw_reliability, trusted
from covey.plot.trace import rounds_of
from covey.plot.weights import draw_weights

__all__ = ["Reliability", "draw_reliability", "draw_weights", "rounds_of", "trusted"]

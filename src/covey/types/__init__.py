"""The nouns that covey's modules share: sequences, drafts, verdicts, rounds, and the protocols of drafters and targets.

They know nothing of models, tensors or scheduling; everything else imports them.

    from covey.types import Draft, Round, Sequence
"""

from __future__ import annotations

from covey.types.constraint import Constraint
from covey.types.contribution import Contribution
from covey.types.draft import Branch, Draft
from covey.types.drafter import Drafter, Host
from covey.types.prompt import Message, Prompt
from covey.types.round import Round
from covey.types.sequence import FinishReason, Sequence, prefix_id_after
from covey.types.target import Target, Work
from covey.types.verdict import TokenLogprob, Verdict

__all__ = [
    "Branch",
    "Constraint",
    "Contribution",
    "Draft",
    "Drafter",
    "FinishReason",
    "Host",
    "Message",
    "Prompt",
    "Round",
    "Sequence",
    "Target",
    "TokenLogprob",
    "Verdict",
    "Work",
    "prefix_id_after",
]

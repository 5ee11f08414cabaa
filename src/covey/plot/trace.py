"""Reads a trace: the rounds that `--trace` has written, of one request or of a conversation, one after the other.

Knows nothing of pictures.

    rounds = rounds_of(Path("rounds.jsonl"), requests=("r0", "r2"))
"""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path

from covey.errors import CoveyError
from covey.types import Round


def rounds_of(trace: Path, requests: tuple[str, ...] | None = None) -> list[Round]:
    """The rounds of these requests, or of all, that committed anything.

    Raises CoveyError for what is no trace, for a request that it does not hold, and for requests that ran side by side.
    """
    try:
        lines = trace.read_text("utf-8").splitlines()
        rounds = [Round.from_dict(json.loads(line)) for line in lines if line.strip()]
    except FileNotFoundError:
        raise CoveyError(f"trace={str(trace)!r}: no such file; --trace {trace} of covey generate or covey chat writes one") from None
    except (OSError, ValueError, TypeError) as error:
        raise CoveyError(f"trace={str(trace)!r}: not made of rounds ({error}); give a file that --trace has written") from None
    known = list(dict.fromkeys(each.request_id for each in rounds))
    if missing := [name for name in requests or () if name not in known]:
        raise CoveyError(f"requests={missing[0]!r}: {trace} has no such request; there are {', '.join(known)}")
    chosen = [each for each in rounds if each.tokens and (requests is None or each.request_id in requests)]
    if not chosen:
        raise CoveyError(f"trace={str(trace)!r}: nothing was committed in it; give one of a request that got an answer")
    turns = [key for key, _ in groupby(chosen, key=lambda each: (each.request_id, each.index))]
    if len(set(turns)) < len(turns):
        raise CoveyError(f"trace={str(trace)!r}: its requests ran side by side; name those of one conversation with --requests")
    return chosen

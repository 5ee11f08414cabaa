"""What can go wrong that a user can mend. Everything else is a fault of covey's, and an ordinary Python exception.

raise CoveyError("max_num_seqs=0: must be at least 1")
"""


class CoveyError(Exception):
    """An error that a user can mend. Its message names the field, the value and the fix, in one line."""


class UnsupportedError(CoveyError):
    """A model, pair or option that covey cannot honour, and refuses by name."""


class OutOfMemoryError(CoveyError):
    """The memory plan does not fit; the message gives the numbers and the setting to change."""

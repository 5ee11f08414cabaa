"""The command line: what a person types, and what is shown in return. The only part of covey that writes to a terminal.

Knows nothing of how answers come about. Each command is a module; heavy imports wait until a command needs them.

    covey generate "Why do geese fly in a V?"
"""

from covey.cli.app import app, main

__all__ = ["app", "main"]

"""What the exit code of a command says: the same of all that are run in a terminal.

docs/terminal.md has them as a table.
"""

from typing import Final

DONE: Final = 0
FAILED: Final = 1
"""The gate, the job or the machine: what was asked for did not come about."""
WRONG_ARGUMENTS: Final = 2
"""The command line, a setting, or a request that the gate does not take: mend it first."""
REJECTED: Final = 3
"""The adapter: it is rejected, or does not verify."""
INTERRUPTED: Final = 130
"""Ctrl-C, as shells have it. What the gate was given goes on."""

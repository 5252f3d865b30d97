"""Where `mesh` starts and ends.

The rule: nothing is imported before the guard stands. Ctrl-C while click is still loading ends with status
130 like any other, without a traceback; and a reader that has closed the pipe (`mesh read | head`) has seen
enough, which is no error.
"""

import os
import sys


def main() -> None:
    """The program `mesh`; ends the process."""
    try:
        from cli.root import run

        status = run(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        # The interpreter flushes once more on its way out: let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status)

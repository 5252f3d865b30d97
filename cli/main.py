"""Where `mesh` starts and ends.

The rule: nothing is imported before the guard stands. Ctrl-C while click is still loading ends with status
130 like any other, without a traceback; and a reader that has closed the pipe (`mesh read | head`) has seen
enough, which is no error.

A command lives for milliseconds, so it pays neither for collecting the garbage of its imports nor for taking
the interpreter apart at the end (4 and 7 of 47 ms): what is printed is flushed, and the system takes the rest.
"""

import gc
import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """The program `mesh`; ends the process."""
    for name in ("stdout", "stderr"):  # closed by the caller, who wants to see nothing
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    try:
        gc.disable()
        from cli.root import run

        gc.freeze()
        gc.enable()
        status = run(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        status = 0
    except OSError as error:  # a full disk, a folder that can't be read: nothing that a traceback explains
        sys.stderr.write(f"mesh: {error}\n")
        status = 1
    os._exit(status)  # stderr is written line by line

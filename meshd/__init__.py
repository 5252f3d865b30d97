"""meshd keeps people talking when the internet is cut.

The rule of this package: one synchronous core (`node`) turns events into effects and knows no socket, no
clock and no randomness of its own; `net` turns effects into bytes; `daemon` holds the two together. Who may
import whom is a table in tests/test_tidy.py. This file stays empty of code: importing `meshd` must cost
nothing, because the command line does it on every call.
"""

"""The transcript in README.md is what the program says."""

import subprocess
import sys

import pytest

from scripts import transcript
from tests.laptops import ROOT

pytestmark = pytest.mark.real


def test_what_readme_shows_is_what_the_program_says() -> None:
    command = [sys.executable, "scripts/transcript.py", "--check"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_transcripts_are_alike_but_for_what_is_drawn() -> None:
    one = "    bridge-closed: cactus avoid correct sniff will tragic\n    Saturday 1c5fb9c2: elm, oak 11-22 22:00\n"
    other = "    bridge-closed: fat off ketchup sponsor whale jacket\n    Saturday 00000000: oak, elm 11-23 09:30\n"
    assert list(transcript.alike(one)) == list(transcript.alike(other))
    for changed in (one.replace("Saturday", "Sunday"), one.replace("closed: ", "open: "), one + "    more\n"):
        assert list(transcript.alike(one)) != list(transcript.alike(changed))

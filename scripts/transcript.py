"""The transcript of README.md's section "Arrange a plan": typed on three real laptops, with what they answered.

    scripts/transcript            runs it and writes it into README.md
    scripts/transcript --check    runs it and exits 1 if README.md says something else

The rule: what a reader is shown is what the program said, word for word. Ids, times and phrases are drawn, and whose
name comes first hangs on the keys, so two transcripts are the same if they are but for those.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from tests.laptops import Laptop, meet, wait_until  # noqa: E402  (found through the line above)

PAGE = ROOT / "README.md"
BEGIN, END = "<!-- transcript: scripts/transcript -->\n", "<!-- end of transcript -->\n"
NAMES = ("oak", "elm", "fern")
PLAN = """\
title = "Saturday"
valid = {{ from = {begin:%Y-%m-%dT%H:00:00Z}, until = {end:%Y-%m-%dT%H:00:00Z} }}
organisers = ["oak", "elm"]
threshold = 2
stewards = {{ people = ["oak", "elm", "fern"], needed = 2 }}

[[scenario]]
name = "bridge-closed"
sealed = true
locks = ["phrase", "shares"]
cue = {{ call = true }}
response = {{ text = "Meet at the mill, in small groups.", at = "+30m" }}

[[scenario]]
name = "by-voice"
sealed = true
locks = ["phrase"]
cue = {{ phrase = true }}
response = {{ text = "Everybody home, now." }}

[[scenario]]
name = "blackout"
cue = {{ dark = {{ attested_by = 2 }} }}
response = {{ text = "Noon and six o'clock, at the north gate." }}
"""


class Person:
    """Types on one laptop; what is typed and answered goes into the transcript."""

    def __init__(self, laptop: Laptop, folder: Path, lines: list[str]) -> None:
        self.name, self._laptop, self._folder, self._lines = laptop.home.name, laptop, folder, lines

    def run(self, *words: str) -> str:
        command = [sys.executable, "-I", "-m", "cli", "--home", str(self._laptop.home), *words]
        environment = {**os.environ, "TZ": "UTC", "COLUMNS": "120"}
        ran = subprocess.run(command, cwd=self._folder, env=environment, capture_output=True, text=True)
        if ran.returncode:
            raise RuntimeError(f"{words}: {ran.stderr}")
        return ran.stdout

    def types(self, line: str) -> str:
        """Type `mesh LINE`."""
        answer = self.run(*line.split())
        self._lines.append(f"{self.name}$ mesh {line}")
        self._lines += [*answer.splitlines(), ""]
        return answer

    def sees(self, word: str, *words: str) -> None:
        """Wait until a command answers with this word."""
        wait_until(lambda: word in self.run(*words))


def transcript() -> str:
    """All that was typed and answered, as lines of a page."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        laptops = [stack.enter_context(Laptop(folder / name)) for name in NAMES]
        lines: list[str] = []
        meet(laptops)
        oak, elm, fern = (Person(laptop, folder, lines) for laptop in laptops)
        begin = datetime.now(UTC) - timedelta(hours=1)
        text = PLAN.format(begin=begin, end=begin + timedelta(hours=48))
        (folder / "saturday.toml").write_text(text)
        lines += ["oak$ cat saturday.toml", *text.splitlines(), ""]
        phrases = oak.types("plan propose saturday.toml --group kitchen --remove-file")
        elm.sees("Saturday", "plan", "list")
        elm.types("plan show Saturday")
        elm.types("plan sign Saturday")
        fern.sees("active", "plan", "list")
        fern.types("plan list")
        oak.sees("active", "plan", "list")
        oak.types("cue fire Saturday bridge-closed")
        elm.sees("1 of 2", "cue", "list")
        elm.types("cue fire Saturday bridge-closed")
        fern.sees("has fired", "read", "kitchen")
        fern.types("read kitchen")
        (heard,) = re.findall(r"by-voice: (.*)", phrases)
        (folder / "heard.txt").write_text(f"{heard.upper().replace(' ', ', ')}!\n")
        lines += ["fern$ cat heard.txt", (folder / "heard.txt").read_text().rstrip(), ""]
        fern.types("plan open Saturday by-voice --phrase-file heard.txt")
    return "".join(f"    {line}".rstrip() + "\n" for line in lines[:-1])


def alike(text: str) -> Iterator[list[str]]:
    """What two transcripts have in common: the words of each line in any order, without what is drawn."""
    drawn = r"\b[0-9a-f]{8}\b|#[0-9a-f]{4,}|\d\d-\d\d \d\d:\d\d|\d{4}-\d\d-\d\dT[\d:]+Z"
    for line in text.splitlines():
        masked = re.sub(r"(bridge-closed|by-voice): [a-z]+( [a-z]+){5}$", r"\1: …", re.sub(drawn, "…", line))
        spoken = re.sub(r"^    [A-Z]+(, [A-Z]+){5}!$", "    …", masked)
        yield sorted(re.findall(r"[^\s,;]+", spoken))


def main(arguments: list[str]) -> int:
    page = PAGE.read_text(encoding="utf-8")
    head, begin, rest = page.partition(BEGIN)
    shown, end, tail = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{PAGE.name} has no place for the transcript")
    made = "\n" + transcript() + "\n"
    if arguments == ["--check"]:
        if list(alike(shown)) != list(alike(made)):
            print(f"{PAGE.name} is not what the program says: run scripts/transcript", made, sep="\n")
            return 1
        return 0
    PAGE.write_text(head + begin + made + end + tail, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The file that `mesh plan draft` writes: a plan to edit, which shows everything there is."""

from datetime import UTC, datetime, timedelta


def example(now: datetime) -> str:
    """A file to edit, with a plan for the day after tomorrow that shows everything there is."""
    day = (now.astimezone(UTC) + timedelta(days=2)).strftime("%Y-%m-%d")
    return _EXAMPLE.replace("DAY", day)


_EXAMPLE = """\
# A plan: what a group will do in which case, arranged while it can still talk.
# Edit this, then: mesh plan propose FILE --group GROUP. Nothing is sent before that.

title = "Saturday"
# From when to when it counts. Times carry their zone: Z is UTC.
valid = { from = DAYT08:00:00Z, until = DAYT22:00:00Z }

# Who may call a scenario, or stand it down: as you call them here (mesh contact list).
organisers = ["oak", "fern", "river"]
threshold = 2                    # so many of them together

# Who holds a share of every key of the scenarios with a "shares" lock, and how many shares open one.
stewards = { people = ["oak", "fern", "moss", "reed", "ivy"], needed = 3 }

# Who says that it is dark, or that somebody is silent. Left out: all members.
observers = ["oak", "fern", "moss", "river"]

freeze_when_dark = true          # add nobody to the group during a blackout; removing always works

# --- what to do in which case ---

[[scenario]]
name = "bridge-closed"
sealed = true                    # until it opens, only you and the organisers can read the response
locks = ["phrase", "shares"]     # any one opens it; the program makes the phrase and shows it once
cue = { call = true }            # the organisers call it
[scenario.response]
text = "Meet at the mill instead."
place = "the old mill"
at = "+30m"                      # so long after it fired; or a time
checklist = ["tell the medics", "bring water"]

[[scenario]]
name = "blackout"
# Both: the internet is cut, as seen here and attested by 3 observers; and it is past noon.
cue = { all = [ { dark = { attested_by = 3 } }, { at = DAYT12:00:00Z } ] }
response = { text = "Everybody to the square. Laptops on." }

[[scenario]]
name = "oak-missing"
# Nobody has heard from oak for 6 hours, say 2 observers who did hear others.
cue = { silence = { of = "oak", hours = 6, observers = 2 } }
response = { text = "fern takes over from oak." }

[[scenario]]
name = "go-home"
# One of them: the phrase was spoken, or an hour has passed since bridge-closed.
# some = { k = 2, of = [...] } asks for two.
sealed = true
locks = ["phrase"]
cue = { any = [ { phrase = true }, { after = { scenario = "bridge-closed", delay = "60m" } } ] }
response = { text = "Go home in small groups." }
"""

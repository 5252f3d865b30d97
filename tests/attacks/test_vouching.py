"""Cases I on vouching: words put into somebody's mouth, words in any order, and words of who is blocked or forked."""

from itertools import permutations
from pathlib import Path

import pytest

from meshd import statement
from meshd.limits import VOUCH_HOURS
from meshd.own_group import OwnGroup
from meshd.post import HOUR_MS
from meshd.statement import Statement
from meshd.vouching import vouch
from tests.homes import Home, Stranger, Table
from tests.test_inbox import identity
from tests.test_own_groups import apart
from tests.test_vouching import say, trio, trust


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def kitchen(home: Home) -> OwnGroup:
    assert home.node.groups is not None
    (own,) = home.node.groups.groups.values()
    return own


def state(home: Home, said: Statement, signature: bytes | None = None) -> None:
    """Have a member post this statement, whatever it says."""
    assert home.node.groups is not None and home.node.author is not None
    signed = signature or home.node.author.sign_statement(said)
    home.node.groups.deciding.state(kitchen(home), statement.encode_body(said, signed), home.table.now())
    home.ask("status")
    home.table.run(1000)


def test_I01_nobody_vouches_in_anothers_name(table: Table) -> None:
    oak, elm, ash = trio(table)  # oak trusts elm's word, and has not verified ash
    assert elm.node.author is not None
    said = vouch(kitchen(oak).channel, identity(ash), table.now().wall_ms // HOUR_MS + 24)
    elsewhere = vouch(b"another channel ", *[identity(ash), table.now().wall_ms // HOUR_MS + 24])
    state(ash, said._replace(subject=identity(ash) + said.subject[32:]), elm.node.author.sign_statement(said))
    state(
        elm, said, elm.node.author.sign_statement(elsewhere)
    )  # what elm said in one group, shown in another
    state(elm, said._replace(purpose=statement.ADD_MEMBER))
    assert trust(oak, ash) == ("seen", [])
    state(elm, said)
    assert trust(oak, ash) == ("vouched", ["elm"])


@pytest.mark.parametrize("wrong", ["too long", "oneself", "a stranger", "short", "flag", "about"])
def test_I01_a_vouch_that_says_more_than_it_may_says_nothing(table: Table, wrong: str) -> None:
    oak, elm, ash = trio(table)
    hour = table.now().wall_ms // HOUR_MS
    said = vouch(kitchen(elm).channel, identity(ash), hour + 24)
    state(elm, {
        "too long": vouch(said.channel, identity(ash), hour + VOUCH_HOURS + 24),
        "oneself": vouch(said.channel, identity(elm), hour + 24),
        "a stranger": vouch(said.channel, b"s" * 32, hour + 24),
        "short": said._replace(subject=said.subject[:-1]),
        "flag": said._replace(flag=1),
        "about": said._replace(about=b"a" * 32),
    }[wrong])  # fmt: skip
    assert kitchen(oak).vouches == {} and trust(oak, ash) == ("seen", [])


@pytest.mark.parametrize("is_taken_back", [False, True])
def test_I05_what_was_said_last_stands_in_whatever_order_it_comes(
    tmp_path: Path, is_taken_back: bool
) -> None:
    for number, order in enumerate(permutations(range(3))):
        folder = tmp_path / str(number)
        folder.mkdir()
        table = Table(folder)
        oak, elm, ash = trio(table)
        apart(table, oak, elm, ash)
        said = []
        for remove in (False, not is_taken_back, is_taken_back):
            hours = 0 if remove else 24
            assert elm.node.vouching is not None
            hour = table.now().wall_ms // HOUR_MS
            before = len(elm.raws())
            state(elm, vouch(kitchen(elm).channel, identity(ash), hour + hours if hours else 0))
            said.append(elm.raws()[before])  # keys may follow
        stranger = Stranger(oak, seed=5)
        table.settle()
        for place in order:
            stranger.give(said[place])
        table.run(1000)
        assert trust(oak, ash) == (("seen", []) if is_taken_back else ("vouched", ["elm"]))


def test_I05_a_removal_counts_on_whichever_side_of_the_vouch_it_comes(table: Table) -> None:
    oak, elm, ash = trio(table)
    apart(table, oak, elm, ash)
    say(elm, "ash")
    oak.ask("group.remove", group="kitchen", who="elm")
    table.link(oak, ash)
    table.link(elm, ash)
    table.run(60_000)
    assert trust(oak, ash) == ("seen", [])


def test_I07_the_word_of_who_is_blocked_counts_for_nothing(table: Table) -> None:
    oak, elm, ash = trio(table)
    say(elm, "ash")
    oak.ask("contact.block", who="elm")
    assert trust(oak, ash) == ("seen", [])
    assert [each for each in oak.ask("contact.list")["contacts"] if each["vouched_by"]] == []
    oak.ask("contact.unblock", who="elm")
    assert trust(oak, ash) == ("vouched", ["elm"])
    oak.ask("presume-arrested", who="elm")
    assert trust(oak, ash) == ("seen", [])


def test_S01_a_forked_key_vouches_for_nobody(table: Table) -> None:
    oak, elm, ash = trio(table)
    say(elm, "ash")
    kitchen(oak).group.dag.set_forked([identity(elm)])
    assert trust(oak, ash) == ("seen", [])

"""The vectors of plans, held against the code and against a reader made from the page alone."""

from typing import Any

import pytest

from meshd import post, statement, testimony, words
from meshd.errors import PeerError
from meshd.plans import act, cue, locks, parts, shares
from meshd.plans import plan as plans
from meshd.plans.plan import Version
from meshd.post import KIND_PLAN_ACT, KIND_STATEMENT
from tests import independent_plans as other
from tests.independent import Close
from tests.plan_parts import posted
from tests.wire_vectors import b, load, named

VECTOR = load("plans.json")
CHANNEL, AUTHOR = b(VECTOR["channel"]), b(VECTOR["author"])
PLAIN = VECTOR["versions"][0]
SHARES = VECTOR["shares"]


def read(entry: dict[str, Any]) -> Version | None:
    signed = b(entry["signed"])
    return plans.parse(post.parse(signed, sealed=True), post.post_id(signed))


@pytest.mark.parametrize("entry", named(VECTOR["versions"]))
def test_version(entry: dict[str, Any]) -> None:
    found, shown = read(entry), entry["plan"]
    assert found is not None and found.id.hex() == entry["id"]
    assert other.version(b(entry["signed"])) == shown
    assert (found.author, found.channel) == (AUTHOR, CHANNEL)
    for name in ("number", "title", "from_s", "until_s", "threshold", "needed", "flags"):
        assert getattr(found.plan, name) == shown[name]
    assert [each.hex() for each in found.plan.people] == shown["people"]
    assert [each.name for each in found.plan.scenarios] == [each["name"] for each in shown["scenarios"]]


@pytest.mark.parametrize("entry", named(VECTOR["hidden"]))
def test_hidden(entry: dict[str, Any]) -> None:
    assert read(entry) is None
    with pytest.raises(other.Hide):
        other.version(b(entry["signed"]))


@pytest.mark.parametrize("entry", VECTOR["cues"]["valid"], ids=lambda entry: entry["bytes"])
def test_cue(entry: dict[str, Any]) -> None:
    raw = b(entry["bytes"])
    assert cue.encode(cue.parse(raw)) == raw
    assert other.cue(raw) == entry["cue"]
    assert len(list(cue.leaves(cue.parse(raw)))) == len(other.leaves(entry["cue"]))


@pytest.mark.parametrize("entry", named(VECTOR["cues"]["refused"]))
def test_refused_cue(entry: dict[str, Any]) -> None:
    with pytest.raises(PeerError):
        cue.parse(b(entry["bytes"]))
    with pytest.raises(Close):
        other.cue(b(entry["bytes"]))


@pytest.mark.parametrize("entry", named(VECTOR["responses"]))
def test_response(entry: dict[str, Any]) -> None:
    found, raw = read(PLAIN), b(entry["bytes"])
    assert found is not None
    scenario = found.plan.scenario(entry["name"])
    assert scenario is not None and scenario.seal is not None
    opened = locks.open_response(CHANNEL, entry["name"], b(entry["key"]), scenario.seal)
    assert opened == plans.parse_response(raw)
    arguments = [b(entry[name]) for name in ("key", "key_hash", "ciphertext")]
    assert other.opened(CHANNEL, entry["name"], *arguments) == other.response(raw) == entry["response"]
    assert scenario.seal.key_hash.hex() == entry["key_hash"]
    with pytest.raises(other.Hide):
        other.opened(CHANNEL, "other", *arguments)


@pytest.mark.parametrize("entry", VECTOR["forms"], ids=lambda entry: ascii(entry["typed"]))
def test_form(entry: dict[str, Any]) -> None:
    assert locks.normalise(entry["typed"]) == other.form(entry["typed"]) == entry["form"]


def test_the_page_shows_these_forms() -> None:
    assert other.form("Straße 7a") == "strasse 7a"


def test_phrase() -> None:
    entry, lock = VECTOR["phrase"], PLAIN["plan"]["scenarios"][0]["seal"]["phrase"]
    assert words.begin(b(entry["drawn"]), 6) == entry["phrase"]
    assert lock["salt"] == entry["salt"]
    stretched = other.stretched(entry["typed"], b(entry["salt"]))
    assert stretched.hex() == entry["stretched"]
    key = other.key_of_phrase(CHANNEL, "mill", b(lock["box"]), stretched)
    found = read(PLAIN)
    assert found is not None and found.plan.scenarios[0].seal is not None
    assert locks.open_phrase(CHANNEL, "mill", found.plan.scenarios[0].seal, stretched) == key
    assert key.hex() == VECTOR["responses"][0]["key"]


@pytest.mark.parametrize("entry", SHARES["words"], ids=lambda entry: entry["words"][:20])
def test_words(entry: dict[str, str]) -> None:
    share = b(entry["share"])
    assert shares.to_words(share) == other.words_of(share) == entry["words"]
    assert shares.from_words(entry["words"]) == share
    assert other.checksum_holds(share)
    assert shares.place(share) == other.place_of(share) is not None


@pytest.mark.parametrize("entry", named(SHARES["sets"]))
def test_shares(entry: dict[str, Any]) -> None:
    given = list(map(b, entry["shares"]))
    shown = {name: entry[name] for name in ("true", "false", "key")}
    assert other.combined(CHANNEL, SHARES, SHARES["needed"], given) == shown
    found = read(PLAIN)
    assert found is not None and found.plan.scenarios[0].seal is not None
    combined = shares.combine(CHANNEL, found.plan.scenarios[0].seal, SHARES["needed"], given)
    key = combined.key and combined.key.hex()
    assert {"true": list(combined.true), "false": list(combined.false), "key": key} == shown


def test_parts() -> None:
    found, secrets, day = read(PLAIN), list(map(b, VECTOR["secrets"])), VECTOR["day"]
    assert found is not None and len(VECTOR["parts"]) == 7
    for entry in VECTOR["parts"]:
        scenario, role, order = entry["scenario"], entry["role"], entry["order"]
        seal = PLAIN["plan"]["scenarios"][scenario]["seal"]
        person = (found.plan.organisers, found.plan.stewards)[role][order]
        opens = (parts.open_key, parts.open_share)[role]
        content = opens(found, scenario, order, {day: secrets[person]}.get)
        assert (content and content.hex()) == entry["content"]
        part_day, box = seal[("organiser_parts", "steward_parts")[role]][order]
        if content is None:
            assert set(box) == {"0"}
        else:
            assert part_day == day
            context = CHANNEL + AUTHOR + bytes((role, scenario))
            assert other.part(secrets[person], found.plan.ephemeral, day, b(box), context) == content


ACTS = VECTOR["acts"]


@pytest.mark.parametrize("entry", named(ACTS["valid"]))
def test_act(entry: dict[str, Any]) -> None:
    author, raw = b(ACTS["author"]), b(entry["body"])
    shown = [entry["purpose"], b(entry["about"]), b(entry["subject"]), entry["flag"], b(entry["payload"])]
    assert other.act(raw, CHANNEL, author) == shown
    found = act.parse(posted(raw, kind=KIND_PLAN_ACT, channel=CHANNEL, author=author))
    assert found is not None and act.encode(found) == raw
    said = found.statement
    assert [said.purpose, said.about, said.subject, said.flag, found.payload] == shown


@pytest.mark.parametrize("entry", named(ACTS["hidden"]))
def test_hidden_act(entry: dict[str, Any]) -> None:
    author, raw = b(ACTS["author"]), b(entry["body"])
    assert act.parse(posted(raw, kind=KIND_PLAN_ACT, channel=CHANNEL, author=author)) is None
    with pytest.raises(other.Hide):
        other.act(raw, CHANNEL, author)


WITNESSES = VECTOR["witnesses"]


@pytest.mark.parametrize("entry", named(WITNESSES["said"]))
def test_what_a_witness_says(entry: dict[str, Any]) -> None:
    author, raw, time_ms = b(WITNESSES["author"]), b(entry["body"]), WITNESSES["time_ms"]
    found = posted(raw, kind=KIND_STATEMENT, channel=CHANNEL, author=author, hlc=time_ms << 16)
    parsed = statement.parse_body(CHANNEL, author, raw)
    assert parsed is not None
    word = testimony.read(found, parsed[0])
    if entry["says"] is None:
        assert word is None
        with pytest.raises(other.Hide):
            other.witness(raw, CHANNEL, author, time_ms)
    else:
        purpose, about, subject, until_s = entry["says"]
        says = [purpose, b(about), b(subject), until_s]
        assert other.witness(raw, CHANNEL, author, time_ms) == says
        assert word is not None and [*word.key, word.until_s] == says and word.time_ms == time_ms

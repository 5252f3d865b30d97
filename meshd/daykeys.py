"""Day keys: how a sealed channel has a secret a day, and forgets it.

The rule (protocol.md, "Day keys"): a *key day* is a day of expiry hours, `expiry hour // 24`. A sealed channel has a
secret K(d) of 32 bytes for each key day d; the next day's is a one-way function of it:

    K(d + 1) = H("meshd/1 next day", K(d))

What expires on day d is sealed under K(d). Whoever holds K(d) has every later one and no earlier one, so a node that
moves its key on once day d is over has no way back to what expired until then, whatever it has kept of it. Nothing
else is needed for forward secrecy: no counter to lose, no order to keep, and a node that was off for a week goes on
from where it stopped.

Two keys come out of K(d): one seals, one makes hints. A *hint* is a hash of an envelope's nonce under the hint key, so
that a member tells what is his in a fraction of a microsecond for each key he holds, and nobody else tells one
envelope of a channel from another, or from noise.
"""

from meshd.ids import LABEL_HINT, LABEL_HINT_KEY, LABEL_NEXT_DAY, LABEL_SEAL_KEY, labelled
from meshd.limits import KEY_DAYS_MAX

DAY_HOURS = 24
ERASE_AFTER_HOURS = (
    1  # past the end of a day: clocks differ, and what expires in its last hour is still on its way
)
HINT_SIZE = 16
HINT_PREFIX = bytes((len(LABEL_HINT),)) + LABEL_HINT  # what is hashed before hint key and nonce


def key_day(expiry_hour: int) -> int:
    """The key day of what expires at this hour: days since 1970."""
    return expiry_hour // DAY_HOURS


def first_kept_day(hour: int) -> int:
    """The first key day whose keys are still kept in this hour of mesh time; those of all days before are erased."""
    return (hour - ERASE_AFTER_HOURS) // DAY_HOURS


def advance(key: bytes, days: int) -> bytes:
    """K(d + days) of K(d), 32 bytes; `days` is 0 … KEY_DAYS_MAX, else ValueError (there is no way back)."""
    if not 0 <= days <= KEY_DAYS_MAX:
        raise ValueError(f"a day key can't be moved on by {days} days")
    for _ in range(days):
        key = labelled(LABEL_NEXT_DAY, key)
    return key


def seal_key(key: bytes) -> bytes:
    """The 32-byte key under which envelopes of K(d)'s day are sealed."""
    return labelled(LABEL_SEAL_KEY, key)


def hint_key(key: bytes) -> bytes:
    """The 32-byte key of the hints of K(d)'s day."""
    return labelled(LABEL_HINT_KEY, key)


def hint(hint_key: bytes, nonce: bytes) -> bytes:
    """The 16-byte hint of an envelope with this 24-byte nonce."""
    return labelled(LABEL_HINT, hint_key, nonce, size=HINT_SIZE)

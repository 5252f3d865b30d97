"""A classifier for envelopes: what anybody would try who has captured them all and was told what some of them are.

The rule: every byte before the padding's end that is not the text itself is a feature: the bytes of nonce and hint, the
first and last of the ciphertext, how often which bytes stand in it, strings shared with a public key, and the header.
Two simple learners look at them: *Bayes* takes each feature by itself (a byte that a group or author prefers), the
*nearest* neighbour takes them together (a counter, a prefix). For pairs the features are how far two are apart.

How good a guess is, is told without any model of chance: the truth is dealt out anew, many times, among the envelopes
that carriers may tell apart by nothing but what is allowed (`strata`: length and expiry hour), and the score is how
many standard deviations the true one is better than these. Whatever length and expiry hour tell is so in all of them,
and counts for nothing. Above LUCK nobody believes in luck: one run in 30 000 gets there by chance, and the draws are
seeded.
"""

import math
import random
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence

from meshd import daykeys
from meshd.envelope import Sealed

LUCK = 4.0
_DEALS = 400
_EDGE = 16  # bytes looked at one by one at either end of a ciphertext
_SHARED = 3  # bytes of a string shared with a public key
_CLOSE = 1e-3  # the spread of what never varied among the learned, and may later

Row = Sequence[float]


def features(sealed: Sealed, public: Sequence[bytes]) -> list[float]:
    """All that a capture shows of one envelope, in numbers."""
    hidden = sealed.nonce + sealed.hint + sealed.ciphertext
    edges = [*sealed.nonce, *sealed.hint, *sealed.ciphertext[:_EDGE], *sealed.ciphertext[-_EDGE:]]
    counts = Counter(byte >> 4 for byte in sealed.ciphertext)
    shares = [counts[high] / len(sealed.ciphertext) for high in range(16)]
    bits = sum(byte.bit_count() for byte in hidden) / len(hidden)
    strings = {hidden[at : at + _SHARED] for at in range(len(hidden) - _SHARED + 1)}
    told = [
        sum(key[at : at + _SHARED] in strings for at in range(len(key) - _SHARED + 1))
        + 100.0
        * (
            sealed.hint
            in (daykeys.hint(key, sealed.nonce), daykeys.hint(daykeys.hint_key(key), sealed.nonce))
        )
        for key in public
    ]
    return [
        *(byte / 255 for byte in edges),
        *shares,
        bits,
        *told,
        math.log2(len(sealed.raw)),
        float(sealed.expiry_hour),
    ]


def apart(first: Row, second: Row) -> list[float]:
    """The features of a pair: how far apart, and in how many they are the same."""
    far = [abs(a - b) for a, b in zip(first, second, strict=True)]
    return [*far, float(far.count(0.0)), sum(far)]


class Bayes:
    """Takes each feature by itself, as normally distributed within each label."""

    def __init__(self, rows: Sequence[Row], labels: Sequence[Hashable]) -> None:
        by_label: dict[Hashable, list[Row]] = defaultdict(list)
        for row, label in zip(rows, labels, strict=True):
            by_label[label].append(row)
        least = [statistics.pstdev(column) / 10 + _CLOSE for column in zip(*rows, strict=True)]
        self._known = {
            label: (
                math.log(len(known) / len(rows)),
                [
                    (statistics.fmean(column), max(statistics.pstdev(column), floor))
                    for column, floor in zip(zip(*known, strict=True), least, strict=True)
                ],
            )
            for label, known in by_label.items()
        }

    def likelihood(self, row: Row, label: Hashable) -> float:
        """The log of how likely label and row go together, but for a constant."""
        likely, columns = self._known[label]
        for value, (mean, spread) in zip(row, columns, strict=True):
            likely -= ((value - mean) / spread) ** 2 / 2 + math.log(spread)
        return likely

    def guess(self, row: Row) -> Hashable:
        """The most likely label."""
        return max(self._known, key=lambda label: self.likelihood(row, label))


class Nearest:
    """The label of the most similar row, each feature by its spread."""

    def __init__(self, rows: Sequence[Row], labels: Sequence[Hashable]) -> None:
        self._spread = [statistics.pstdev(column) or 1.0 for column in zip(*rows, strict=True)]
        self._known = [(self._scaled(row), label) for row, label in zip(rows, labels, strict=True)]

    def _scaled(self, row: Row) -> list[float]:
        return [value / spread for value, spread in zip(row, self._spread, strict=True)]

    def guess(self, row: Row) -> Hashable:
        """What is most like it."""
        scaled = self._scaled(row)
        return min(self._known, key=lambda known: math.dist(known[0], scaled))[1]


def better_than_chance(
    score: Callable[[Sequence[Hashable]], float],
    truth: Sequence[Hashable],
    strata: Sequence[Hashable],
    rng: random.Random,
) -> float:
    """By how many standard deviations `score` of the truth is above its mean when the truth is dealt out anew within
    each stratum; 0 if dealing changes nothing, as then nothing can be told."""
    places: dict[Hashable, list[int]] = defaultdict(list)
    for place, stratum in enumerate(strata):
        places[stratum].append(place)
    dealt_scores = []
    for _ in range(_DEALS):
        dealt = list(truth)
        for here in places.values():
            drawn = [truth[place] for place in here]
            rng.shuffle(drawn)
            for place, label in zip(here, drawn, strict=True):
                dealt[place] = label
        dealt_scores.append(score(dealt))
    spread = statistics.pstdev(dealt_scores)
    return (score(truth) - statistics.fmean(dealt_scores)) / spread if spread else 0.0


def right(guesses: Sequence[Hashable]) -> Callable[[Sequence[Hashable]], float]:
    """The score of guesses: how many are right."""
    return lambda truth: float(sum(a == b for a, b in zip(guesses, truth, strict=True)))

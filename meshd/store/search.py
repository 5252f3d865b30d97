"""Finding posts by their words: the full-text index of `log`, and what people may ask of it.

The rules:

- The index is FTS5 with its own `secure-delete`: without it, the words of a deleted post stay in the file until
  their page happens to be written again. It keeps no copy of a text (contentless), only its words. A row leaves
  the index in the same statement as its post leaves the log, by a trigger, whoever deletes it.
- **It is behind on purpose.** A post costs about 15 µs to index, a third of what taking it in costs, so posts are
  indexed in slices (`step`) when it is quiet, and a search is answered when the index has caught up. How far it
  is stands in the file: a crash in between only delays.
- A row is a post's cursor, so the newest posts come first without sorting; its channel is a word in a column of
  its own, so a search in a small channel does not read through the hits in a large one.
- Words are cut as Unicode does, and case and accents make no difference (`unicode61 remove_diacritics 2`).
  Scripts that put no space between words are found by the beginning of a run: `東京*`.

A query is words that must all be there. `"two words"` stand side by side, `-word` must not be there, `begin*` is a
word that begins so; everything else is a space. No query is an error of syntax: all that is refused is one that
asks for nothing, or is too long.
"""

import re

from meshd.errors import CallerError, Code
from meshd.limits import INDEX_SLICE_MAX, INDEX_SLICE_SIZE, QUERY_SIZE_MAX, QUERY_TERMS_MAX
from meshd.store.db import Database, marks, slices
from meshd.store.rows import Row, by_time, causal, select

SCHEMA = (
    """CREATE VIRTUAL TABLE search USING fts5(
        place, text, content='', columnsize=0, tokenize="unicode61 remove_diacritics 2")""",
    "INSERT INTO search (search, rank) VALUES ('secure-delete', 1)",
    "CREATE TABLE indexed (one INTEGER PRIMARY KEY CHECK (one = 1), cursor INTEGER NOT NULL)",
    "INSERT INTO indexed VALUES (1, 0)",
    """CREATE TRIGGER search_forget AFTER DELETE ON post
        WHEN old.text IS NOT NULL AND old.cursor <= (SELECT cursor FROM indexed) BEGIN
        INSERT INTO search (search, rowid, place, text) VALUES ('delete', old.cursor, 'c' || old.channel, old.text);
        END""",
)
_TERM = re.compile(r'(-?)(?:"([^"]*)(?:"|$)|([^\s"]+))')


class Search:
    """The index of one log, inside its transactions. Channels go by the numbers that the log gives them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.forget()

    def forget(self) -> None:
        """Read again from the file, after a rollback."""
        ((self.cursor,),) = self._database.read("SELECT cursor FROM indexed")

    cursor: int  # up to which posts are indexed

    def step(self, last: int) -> None:
        """Index the next posts, of those up to the cursor `last`: INDEX_SLICE_MAX, or INDEX_SLICE_SIZE of text."""
        rows = self._database.read(
            "SELECT cursor, 'c' || channel, text FROM post WHERE cursor > ? AND text IS NOT NULL"
            " ORDER BY cursor LIMIT ?",
            (self.cursor, INDEX_SLICE_MAX),
        )
        size, some = 0, 0
        for _, _, text in rows:
            some += 1
            size += len(text)
            if size >= INDEX_SLICE_SIZE:
                break
        self._database.write_many("INSERT INTO search (rowid, place, text) VALUES (?, ?, ?)", rows[:some])
        through = some == len(rows) < INDEX_SLICE_MAX
        self.cursor = last if through else rows[some - 1][0]
        self._database.write("UPDATE indexed SET cursor = ?", (self.cursor,))

    def find(
        self, words: str, channel: int | None, after: int | None, limit: int, hiding: str = ""
    ) -> list[Row]:
        """Posts that fit `words` (from `compile_query`), in one channel, or in all that were not left.

        The newest `limit`, shown like any posts; or the first `limit` after a cursor, in the order of the log.
        `hiding`: what else has to be true of `p.chain`, as SQL that begins with AND.
        """
        match = words
        if channel is not None:
            match = f'(place : "c{channel}") AND ({words})'
        elif left := self._database.read("SELECT number FROM channel WHERE NOT joined ORDER BY number"):
            places = " OR ".join(f'"c{number}"' for (number,) in left)
            match = f"({words}) NOT (place : ({places}))"
        joined = f"search CROSS JOIN post p ON p.cursor = search.rowid{hiding}" if hiding else "search"
        found = self._database.read(
            f"SELECT search.rowid FROM {joined} WHERE search MATCH ? AND search.rowid > ?"
            f" ORDER BY search.rowid {'DESC' if after is None else 'ASC'} LIMIT ?",
            (match, after or 0, limit),
        )
        rows: list[Row] = []
        for some in slices([cursor for (cursor,) in found]):
            rows += select(self._database, f"WHERE p.cursor IN {marks(some)}", (*some, limit))
        if after is not None:
            return sorted(rows)
        return causal(sorted(rows, key=by_time))


def compile_query(query: str) -> str:
    """A person's query as FTS5 wants it; CallerError(usage) if it asks for nothing, or for too much."""
    if len(query) > QUERY_SIZE_MAX:
        raise CallerError(Code.usage, f"a query has at most {QUERY_SIZE_MAX} characters")
    wanted: list[str] = []
    unwanted: list[str] = []
    for minus, phrase, word in _TERM.findall(query):
        begins = "*" if word.endswith("*") else ""
        # Inside quotes FTS5 knows no operators: whatever is no letter or digit parts words, but a NUL ends the query.
        term = (phrase or word).replace("\0", " ")
        if any(letter.isalnum() or not letter.isascii() for letter in term):
            (unwanted if minus else wanted).append(f'"{term}"{begins}')
    if not wanted:
        raise CallerError(
            Code.usage, "say at least one word to look for (a word after - is one to leave out)"
        )
    if len(wanted) + len(unwanted) > QUERY_TERMS_MAX:
        raise CallerError(Code.usage, f"a query has at most {QUERY_TERMS_MAX} words")
    # Side by side is AND, but for a term of which nothing is left (an emoji): that one is passed over.
    found = f"text : ({' '.join(wanted)})"
    return f"({found}) NOT (text : ({' OR '.join(unwanted)}))" if unwanted else found

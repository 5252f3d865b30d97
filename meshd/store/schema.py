"""The schema of `log`, as it grew: a tuple of statements for each version, in the order in which they are carried out.

The rule: what was released is never edited, because files of that version are out there; what is new comes behind it
(`db`). Who owns tables writes them down beside the code that reads them; what `log` itself owns stands here.
"""

from meshd.store import (
    aside,
    authors,
    chains,
    contacts,
    epochkeys,
    groups,
    inboxes,
    openings,
    plans,
    rows,
    search,
    witness,
)

MIGRATIONS = (
    (
        """CREATE TABLE node (
            one INTEGER PRIMARY KEY CHECK (one = 1), seed BLOB NOT NULL, name TEXT NOT NULL,
            opened INTEGER NOT NULL, last_hlc INTEGER NOT NULL, last_cursor INTEGER NOT NULL)""",
        """CREATE TABLE channel (
            number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, name TEXT NOT NULL, kind TEXT NOT NULL,
            joined INTEGER NOT NULL, read INTEGER NOT NULL)""",
        """CREATE TABLE post (
            cursor INTEGER PRIMARY KEY, id BLOB NOT NULL, channel INTEGER NOT NULL,
            chain INTEGER NOT NULL, sequence INTEGER NOT NULL, parents BLOB NOT NULL, hlc INTEGER NOT NULL,
            kind INTEGER NOT NULL, keep_until INTEGER NOT NULL, text TEXT, reply_to BLOB NOT NULL,
            via TEXT NOT NULL, first_seen_ms INTEGER NOT NULL, held_contacts INTEGER NOT NULL DEFAULT 0,
            held_others INTEGER NOT NULL DEFAULT 0, forked INTEGER NOT NULL DEFAULT 0)""",
        # Eight bytes tell posts apart well enough, and make a third of the pages to rewrite at each commit.
        "CREATE INDEX post_id ON post (substr(id, 1, 8))",
        "CREATE INDEX post_place ON post (chain, sequence)",
        "CREATE INDEX post_time ON post (channel, hlc) WHERE text IS NOT NULL",
        "CREATE INDEX post_channel ON post (channel) WHERE text IS NOT NULL",
        *authors.SCHEMA,
        *chains.SCHEMA,
    ),
    (
        *aside.SCHEMA,
        *chains.SCHEMA_2,
        "CREATE INDEX post_unshown ON post (hlc) WHERE text IS NULL",
    ),
    search.SCHEMA,
    contacts.SCHEMA,
    (*epochkeys.SCHEMA, *openings.SCHEMA, *inboxes.SCHEMA, *groups.SCHEMA),
    (*groups.SCHEMA_2, *rows.MARKS),
    (*plans.SCHEMA, "CREATE INDEX post_forked ON post (chain) WHERE forked"),
    witness.SCHEMA,
)

"""The documents about one post. The rules are those of `daemon.api`."""

from typing import Literal, TypedDict

from meshd.daemon.api import Post


class Shown(Post):
    """A post and where it comes from. `vouched_by`: as of contacts. `signature`: `valid` was verified just now;
    `was-valid` when the post came, but its envelope is no longer carried. `via`: the address of the link that brought
    it, `own`, `bundle`, or `carry` if it was carried before it could be read. `parents`: the posts that its author had
    seen. `forked`: its author signed two different posts with this number. `marked`: it stays here past its time."""

    v: int
    vouched_by: list[str]
    signature: Literal["valid", "was-valid"]
    first_seen: str
    via: str
    parents: list[str]
    forked: bool
    marked: bool


class Marked(TypedDict):
    """A post (its id), and whether it now stays past its time."""

    v: int
    id: str
    marked: bool

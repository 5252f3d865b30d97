"""What the facts about a home, its disk, its daemon and this machine mean, and what to do about them.

The rule: pure functions from facts to checks. Each names at most one cause, the first that explains the rest, and
advice is a thing to do here and now, with the command where there is one.
"""

from meshd.daemon.api import SOCKET_PATH_SIZE_MAX
from meshd.daemon.check import Check, Figures, fine, remark, unknown, wrong
from meshd.daemon.probe_home import DaemonFacts, DiskFacts, HomeFacts
from meshd.daemon.probe_machine import MachineFacts
from meshd.limits import CARRY_IDS_MAX, CARRY_SIZE_MAX
from meshd.meshtime import BUILD_MS, POSSIBLE_MS
from meshd.post import HOUR_MS

MIB = 1024 * 1024
ROOM_MIN = 100 * MIB  # below it a busy day fills the disk: 100 000 posts of 1 KiB
ROOM_FEW = 1024 * MIB  # below it, say so: other programs fill disks faster than posts do
FILES_MIN = 100  # free inodes; a home needs ten
CARRY_PERCENT_MANY = 90  # of the room for what is carried: from here on, say so
COMMIT_MS_MAX = 100.0  # a post waits for two commits, and so does everybody it is passed to
PYTHON_MIN = (3, 11)
SQLCIPHER_MIN = 4


# --- the folder ---


def permissions(home: HomeFacts) -> Check:
    """Who else may open the home."""
    name = "permissions"
    if not home.there:
        return unknown(name, f"there is no node in {home.path} yet", "make one: mesh init")
    if home.trouble:
        advice = "run mesh as the user whose home it is, or name your own with --home DIR"
        return wrong(name, "home not usable", f"{home.path}: {home.trouble}", advice)
    if home.loose:
        listed = ", ".join(f"{name} (mode {mode:04o})" for name, mode in home.loose[:4])
        advice = f"chmod -R go-rwx '{home.path}'; if others used this machine, make a new node elsewhere"
        detail = f"other users of this machine may open {listed} in {home.path}"
        return wrong(name, "loose permissions", detail, advice, {"files": len(home.loose)})
    return fine(name, "only you may open what is in the home")


def keyslot(home: HomeFacts) -> Check:
    """Whether the small file that holds the keys is whole, and what it opens is there."""
    name = "keyslot"
    if not home.there or home.keyslot == "none":
        return unknown(name, "there is no node here yet", "make one: mesh init")
    if home.keyslot == "missing":
        advice = "put a copy of the file keyslot back; without one nobody can open this log again"
        return wrong(name, "keyslot missing", "the databases are here, and the keyslot is not", advice)
    if home.keyslot == "unread":
        return unknown(name, "it can't be read; see the check permissions")
    if home.keyslot != "ok":
        advice = "put a copy back if you have one; without it: another --home, and a new identity"
        return wrong(name, "keyslot damaged", home.keyslot, advice)
    if home.missing:
        advice = "put the files back from a copy, or start anew in another --home"
        detail = f"the keyslot is here, and {' and '.join(home.missing)} not"
        return wrong(name, "database missing", detail, advice)
    if home.unsealed:
        advice = "do not use this home; put the files back from a copy, or start anew in another --home"
        detail = f"{' and '.join(home.unsealed)} is no encrypted database: damaged, or replaced"
        return wrong(name, "database damaged", detail, advice)
    return fine(name, "whole, and both databases are here")


def settings(home: HomeFacts) -> Check:
    """Whether what the user settled in config.toml is understood, and the hook can be run."""
    if home.settings == "ok":
        return fine("settings", "config.toml is understood")
    return wrong(
        "settings",
        "settings not usable",
        home.settings,
        "mend config.toml in the home, then: mesh down; mesh up",
    )


def passphrase(home: HomeFacts, daemon: DaemonFacts) -> Check:
    """Whether who takes the laptop can read everything."""
    name = "passphrase"
    encrypted = daemon.status.get("encrypted", home.encrypted)
    if encrypted is None:
        return unknown(name, "the keyslot does not tell" if home.there else "there is no node here yet")
    if encrypted:
        return fine(name, "what is on disk opens with your passphrase only")
    advice = "make a node with a passphrase in another --home (mesh init asks for one), and erase this one"
    return wrong(name, "no passphrase", "whoever takes this laptop can read everything", advice)


def socket_path(home: HomeFacts) -> Check:
    """Whether the path of the control socket fits what the system takes."""
    name = "socket path"
    if home.socket_path_size <= SOCKET_PATH_SIZE_MAX:
        return fine(name, "short enough", {"bytes": home.socket_path_size})
    if home.has_descriptor_paths:
        return fine(
            name, "too long for a socket, so it is reached by way of /proc", {"bytes": home.socket_path_size}
        )
    detail = f"{home.socket_path_size} bytes, and the system takes {SOCKET_PATH_SIZE_MAX}"
    return wrong(name, "path too long", detail, "use a --home with a shorter path, such as ~/.mesh")


# --- the disk ---


def room(disk: DiskFacts) -> Check:
    """Whether there is room for what will come."""
    name = "disk room"
    free_mib = disk.free_size // MIB
    detail = f"{free_mib} MiB free of {disk.total_size // MIB} MiB"
    advice = (
        "delete or move something; downloads, caches and the wastebasket first. Posts stay readable meanwhile"
    )
    if disk.free_size < ROOM_MIN:
        return wrong(name, "disk nearly full", detail, advice, {"free_mib": free_mib})
    if disk.files_free is not None and disk.files_free < FILES_MIN:
        return wrong(name, "no room for files", f"{disk.files_free} files can still be made", advice)
    return remark(name, detail, advice if disk.free_size < ROOM_FEW else "", {"free_mib": free_mib})


def carry_room(daemon: DaemonFacts) -> Check:
    """Whether there is room for what others want carried."""
    name, disk = "carry room", daemon.status.get("disk", {})
    if "size" not in disk:
        return unknown(name, "the daemon is not there to tell")
    percent = int(100 * max(disk["size"] / CARRY_SIZE_MAX, disk["ids"] / CARRY_IDS_MAX))
    detail = f"{disk['size'] // MIB} MiB and {disk['ids']} envelopes carried, {percent} % of what may be"
    figures = {"percent": percent, "evicted": disk["evicted"]}
    advice = (
        "your own posts stay, and those of contacts and groups go last; if one link brings far more than the others"
        " (mesh peer list, BYTES IN), give it up: mesh peer drop ADDRESS; room comes back by itself as posts expire"
    )
    if disk["evicted"]:
        detail += f"; {disk['evicted']} of others had to go before their time"
        return wrong(name, "room short", detail, advice, figures)
    return remark(name, detail, advice if percent >= CARRY_PERCENT_MANY else "", figures)


def commit(disk: DiskFacts) -> Check:
    """How long it takes until a post is safely on disk."""
    name = "disk commit"
    if disk.trouble:
        advice = "look whether the disk is full, read-only or failing: dmesg, df, mount"
        return wrong(name, "disk can't be written", f"writing failed: {disk.trouble}", advice)
    if disk.commit_ms is None:
        return unknown(name, "not tried: there is no home yet, or no room in it")
    took = round(disk.commit_ms, 2)
    if disk.commit_ms > COMMIT_MS_MAX:
        advice = (
            "move the home to a faster disk (an internal one, not a stick or card); stop what else writes"
        )
        detail = (
            f"a post takes {took:.0f} ms until it is on disk, and should take less than {COMMIT_MS_MAX:.0f}"
        )
        return wrong(name, "slow disk", detail, advice, {"commit_ms": took})
    return fine(name, f"a post is on disk after {took} ms", {"commit_ms": took})


# --- the daemon ---


def running(home: HomeFacts, daemon: DaemonFacts) -> Check:
    """Whether the daemon runs and answers."""
    name = "daemon"
    if daemon.socket == "answers":
        return fine(
            name, f"runs, pid {daemon.status.get('pid')}", {"uptime_s": daemon.status.get("uptime_s", 0)}
        )
    if daemon.socket == "silent":
        who = daemon.holder or "PID"
        advice = f"if Ctrl-Z stopped it: kill -CONT {who}; else end it: kill {who}; then mesh up"
        return wrong(name, "daemon silent", "its socket is there, and nobody answers", advice)
    if daemon.socket == "refused":
        return wrong(
            name, "socket refused", "its socket belongs to somebody else", "name your own --home DIR"
        )
    if daemon.socket == "stale" and not daemon.holder:
        advice = "start it again: mesh up; daemon.log in the home says why it ended, if it could"
        return wrong(name, "daemon died", "a socket is left over, and its daemon is gone", advice)
    if daemon.holder:
        return fine(name, "one is at work that can't be reached; see the check second daemon")
    return remark(name, "does not run", "start it: mesh up" if home.there else "make a node first: mesh init")


def second_daemon(home: HomeFacts, daemon: DaemonFacts) -> Check:
    """Whether somebody else is at work in this home, or another home is meant."""
    name = "second daemon"
    pid = daemon.status.get("pid")
    if daemon.holder and daemon.holder != pid:
        advice = f"end it: kill {daemon.holder}; then mesh up"
        if daemon.socket == "silent":
            return unknown(name, "its daemon does not answer; see the check daemon")
        if pid is None:
            detail = f"pid {daemon.holder} is at work in this home and does not answer at its socket"
        else:
            detail = f"pid {pid} answers for this home, and pid {daemon.holder} holds its lock"
        return wrong(name, "second daemon", detail, advice)
    same = [other for other, of in daemon.others if of == home.path]
    if same:
        detail = f"another meshd was started for this home: pid {', '.join(map(str, same))}"
        return wrong(name, "second daemon", detail, f"end it: kill {same[0]}")
    if daemon.others:
        listed = ", ".join(f"pid {other} ({of or 'its own place'})" for other, of in daemon.others[:4])
        advice = "two homes are two nodes: with --home DIR you say which one you mean"
        return remark(name, f"none here; for other homes: {listed}", advice, {"others": len(daemon.others)})
    if daemon.holder is None:
        return unknown(name, "this system does not tell who holds the lock")
    return fine(name, "none")


# --- the machine ---


def clock(machine: MachineFacts, home: HomeFacts, daemon: DaemonFacts) -> Check:
    """Whether the clock can be right, and agrees with those the daemon has met."""
    name = "clock"
    advice = "set it by the time of a phone: sudo date -s '2026-11-22 13:00'; then mesh clock confirm"
    if machine.wall_ms < BUILD_MS:
        return wrong(name, "clock impossible", "it shows a time before meshd was made", advice)
    if machine.wall_ms >= BUILD_MS + POSSIBLE_MS:
        return wrong(name, "clock impossible", "it shows a time years ahead", advice)
    if home.newest_ms > machine.wall_ms + HOUR_MS:
        ahead_h = (home.newest_ms - machine.wall_ms) // HOUR_MS
        detail = f"files of this home were written {ahead_h} h later than it is now"
        return wrong(name, "clock went back", detail, advice, {"ahead_h": ahead_h})
    if not daemon.status:
        return fine(name, "possible; others to compare it with: once the daemon runs")
    told = daemon.status["clock"]
    figures = {"off_s": told["off_s"]}
    if told["off_s"]:
        off_h = told["off_s"] / (HOUR_MS / 1000)
        detail = f"those met are {off_h:+.0f} h from this clock; either may be wrong"
        return wrong(name, "clock differs", detail, advice, figures)
    if told["state"] != "ok":
        return wrong(name, f"clock {told['state']}", f"the daemon says: {told['advice']}", advice)
    return fine(name, "possible, and nobody met has another time")


def versions(machine: MachineFacts) -> Check:
    """Whether the programs below us are those that are needed."""
    name = "versions"
    python = ".".join(map(str, machine.python))
    figures: Figures = {
        "python": python,
        "sqlcipher": machine.sqlcipher,
        "system": machine.system,
    }
    if machine.python < PYTHON_MIN:
        return wrong(name, "old python", f"Python {python}", "install Python 3.11 or later", figures)
    major = machine.sqlcipher.partition(".")[0]
    if not major.isdigit() or int(major) < SQLCIPHER_MIN:
        advice = "remove .venv and run scripts/mesh again: another package took the place of sqlcipher3"
        return wrong(name, "no sqlcipher", "the database can't encrypt", advice, figures)
    return fine(name, f"Python {python}, SQLCipher {machine.sqlcipher}", figures)


def core_dumps(machine: MachineFacts) -> Check:
    """Whether a crash would leave keys and posts in a file."""
    name = "core dumps"
    if machine.core_size is None:
        return unknown(name, "this system does not tell")
    if machine.core_size:
        advice = "mesh down, then mesh up: every daemon forbids them at its start"
        return wrong(name, "core dumps allowed", "a crash would write memory to disk", advice)
    return fine(name, "forbidden for the daemon")


def swap(machine: MachineFacts) -> Check:
    """Whether memory may end on disk unencrypted: a remark, for the system's owner alone can change it."""
    name = "swap"
    if machine.swaps is None:
        return unknown(name, "this system does not tell")
    plain = machine.swaps.count("plain")
    if plain:
        advice = "sudo swapoff -a until the next start, or have it encrypted; else keys in memory may reach the disk"
        return remark(
            name,
            "memory may be written to a disk that is not known to be encrypted",
            advice,
            {"plain": plain},
        )
    return fine(name, "none that would write memory to disk in the clear", {"plain": 0})

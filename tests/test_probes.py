"""What the doctor reads off the system: the kernel's lists as Linux 6 prints them, and homes of every kind."""

import ipaddress
import os
import socket
import time
from pathlib import Path

import pytest

from meshd import crypto
from meshd.daemon import probe_home, probe_machine, probe_names, probe_network, probe_reach
from meshd.daemon.home import Home
from meshd.daemon.init import create
from meshd.daemon.probe_home import look_at_home
from meshd.ids import Address
from meshd.net.interfaces import Interface
from meshd.net.mdns import Announcement, answer_packet, host_name_query, read_host_names
from meshd.store.db import cipher_version

WLAN = Interface("wlan0", 2, ((ipaddress.ip_address("10.77.1.1"), 24),))


# --- homes ---


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(str(tmp_path / "home"))
    with made.make():
        create(made, crypto.fresh(os.urandom, 32), "private", "oak", None)
    return made


def test_a_whole_home(home):
    found = look_at_home(str(home.path))
    assert (found.there, found.trouble, found.loose, found.keyslot) == (True, "", (), "ok")
    assert found.encrypted is False and (found.missing, found.unsealed) == ((), ())
    assert found.newest_ms > 0 and found.socket_path_size == len(str(home.path)) + len("/ctl.sock")


def test_a_home_that_is_not_there_or_empty(tmp_path):
    assert not look_at_home(str(tmp_path / "none")).there
    tmp_path.chmod(0o700)
    assert look_at_home(str(tmp_path)).keyslot == "none"


def test_what_others_may_open_is_listed(home):
    home.log.chmod(0o604)
    home.path.chmod(0o750)
    assert look_at_home(str(home.path)).loose == ((".", 0o750), ("log.db", 0o604))


def test_a_link_or_a_file_in_place_of_a_home_is_said(home, tmp_path):
    (tmp_path / "link").symlink_to(home.path)
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        assert "no folder" in look_at_home(str(tmp_path / name)).trouble


def test_keyslots_that_are_damaged_loose_or_gone(home):
    home.keyslot.chmod(0o644)
    assert look_at_home(str(home.path)).keyslot == "unread"
    home.keyslot.chmod(0o600)
    home.keyslot.write_bytes(b"?")
    assert "damaged" in look_at_home(str(home.path)).keyslot
    home.keyslot.unlink()
    assert look_at_home(str(home.path)).keyslot == "missing"


def test_databases_that_are_gone_or_no_longer_encrypted(home):
    home.log.unlink()
    home.carry.write_bytes(b"SQLite format 3\0" + bytes(100))
    found = look_at_home(str(home.path))
    assert (found.missing, found.unsealed) == (("log.db",), ("carry.db",))


@pytest.mark.real
def test_a_commit_is_measured_and_nothing_is_left(home):
    before = sorted(home.path.iterdir())
    found = probe_home.measure_disk(str(home.path))
    assert found.commit_ms is not None and 0 < found.commit_ms < 5000 and not found.trouble
    assert found.total_size > found.free_size > 0
    assert sorted(home.path.iterdir()) == before


@pytest.mark.real
def test_what_a_stuck_doctor_left_is_removed_by_the_next_but_one_at_work_is_not(home):
    for name, age_s in (("doctor-old", 3600), ("doctor-new", 0)):
        (home.path / name).mkdir()
        os.utime(home.path / name, (time.time() - age_s,) * 2)
    probe_home.measure_commit(str(home.path))
    assert [path.name for path in home.path.glob("doctor-*")] == ["doctor-new"]


def test_no_commit_is_tried_beside_a_home_that_is_not_there(tmp_path):
    found = probe_home.measure_disk(str(tmp_path / "a" / "b"))
    assert found.commit_ms is None and found.free_size > 0
    assert list(tmp_path.iterdir()) == []


# --- daemons ---


@pytest.mark.real
def test_sockets_of_every_kind(home):
    def state() -> str:
        return probe_home.look_at_daemon(str(home.path)).socket

    assert state() == "none"
    path = str(home.path / "ctl.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        assert state() == "stale"
        listener.listen()
        assert state() == "silent"
    assert state() == "stale"


@pytest.mark.real
def test_the_holder_of_the_lock_is_found_without_taking_it(home):
    assert probe_home.look_at_daemon(str(home.path)).holder == 0
    with home.lock():
        assert probe_home.look_at_daemon(str(home.path)).holder == os.getpid()


def test_locks_of_the_kernel():
    listing = (
        "1: POSIX  ADVISORY  WRITE 800 08:01:77 0 EOF\n"
        "2: FLOCK  ADVISORY  WRITE 801 08:01:177 0 EOF\n"
        "2: -> FLOCK  ADVISORY  WRITE 803 08:01:77 0 EOF\n"
        "3: FLOCK  ADVISORY  WRITE 802 08:01:77 0 EOF\n"
    )
    assert probe_home.lock_holder(listing, 77) == 802
    assert probe_home.lock_holder(listing, 78) == 0


@pytest.mark.parametrize(
    ("words", "home"),
    [
        (["python", "-I", "-m", "meshd", "run", "--home", "/h", "--no-mdns"], "/h"),
        (["/opt/bin/meshd", "run", "--home=/h"], "/h"),
        (["/usr/bin/python3", "/x/meshd/__main__.py", "run"], ""),
        (["python", "-m", "meshd", "doctor", "--home", "/h"], None),
        (["vi", "meshd", "notes", "and", "then", "some", "run"], None),
        (["run"], None),
        ([""], None),
    ],
)
def test_daemons_are_known_by_their_command_line(words, home):
    assert probe_home.daemon_home(words) == home


# --- the machine ---


def test_limits_of_a_process():
    head = "Limit                     Soft Limit           Hard Limit           Units     \n"
    line = "Max core file size        {}                    unlimited            bytes     \n"
    assert probe_machine.core_limit(head + line.format(0)) == 0
    assert (probe_machine.core_limit(head + line.format("unlimited")) or 0) > 2**60
    assert probe_machine.core_limit(head) is None


def test_swap():
    listing = "Filename\tType\tSize\tUsed\tPriority\n/dev/dm-1 partition 8 0 -2\n/swap\\040file file 8 0 -3\n"
    assert probe_machine.swap_devices(listing) == ["/dev/dm-1", "/swap\\040file"]
    assert probe_machine.swap_kind("/dev/dm-1", "CRYPT-PLAIN-swap") == "encrypted"
    assert probe_machine.swap_kind("/dev/dm-1", "LVM-x") == "plain"
    assert probe_machine.swap_kind("/dev/zram0", "") == "memory"


def test_this_machine_has_what_is_needed():
    assert int(cipher_version().partition(".")[0]) >= 4


# --- networks ---

ARP = """IP address       HW type     Flags       HW address            Mask     Device
10.77.1.2        0x1         0x2         3a:bd:4c:11:22:33     *        wlan0
10.77.1.3        0x1         0x0         00:00:00:00:00:00     *        wlan0
"""
ROUTES = """Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
wlan0\t00000000\tFE014D0A\t0003\t0\t0\t600\t00000000\t0\t0\t0
wlan0\t00014D0A\t00000000\t0001\t0\t0\t600\t00FFFFFF\t0\t0\t0
"""
UDP = """   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
 8194: 00000000:14E9 00000000:0000 07 00000000:00000000 00:00000000 00000000   108        0 504286 2 0 0
 8195: 00000000:14EB 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 504287 2 0 0
14722: 00000000:AE69 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 505227 2 0 0
"""


def test_neighbours_and_routers():
    assert probe_reach.resolved(ARP, "10.77.1.2") is True
    assert probe_reach.resolved(ARP, "10.77.1.3") is False
    assert probe_reach.resolved(ARP, "10.77.1.4") is None
    assert probe_reach.gateways(ROUTES) == ["10.77.1.254"]
    assert probe_reach.gateways("") == []


def test_who_holds_the_ports_of_mdns():
    assert probe_names.port_holders(UDP) == {(5353, 108), (5355, 101)}


def announced(instance: str, port: int, *addresses: str, tag: str = "ab" * 16) -> bytes:
    ours = Announcement(instance, f"host{instance}", port, tag)
    return answer_packet(ours, [ipaddress.ip_address(address) for address in addresses])


def test_an_announcement_is_kept_once_with_what_it_says():
    heard: dict[str, probe_network.Heard] = {}
    for address in ("10.77.1.2", "fe80::2"):
        probe_network.take(announced("oak", 4040, address), WLAN, heard)
    assert list(heard) == ["oak"] and heard["oak"].tag == "ab" * 16
    assert heard["oak"].addresses == {"10.77.1.2", "fe80::2%wlan0"}
    assert heard["oak"].dialled_at() == Address("10.77.1.2", 4040)


def test_M01_the_doctor_keeps_few_of_ten_thousand_bogus_services():
    heard: dict[str, probe_network.Heard] = {}
    for number in range(200):
        probe_network.take(announced(f"x{number}", 4040, "10.77.1.2"), WLAN, heard)
    assert len(heard) == probe_network.HEARD_MAX


@pytest.mark.parametrize("port", [0, 22, 1023])
def test_M03_the_doctor_dials_no_system_service(port):
    assert probe_network.Heard("x", "t", port, {"10.77.1.2"}).dialled_at() is None


@pytest.mark.parametrize("host", ["127.0.0.1", "224.0.0.251", "8.8.8.8", "::1", "fe80::1", "2001:db8::1"])
def test_M03_the_doctor_dials_nobody_that_a_daemon_would_not(host):
    assert probe_network.Heard("x", "t", 4040, {host}).dialled_at() is None


def test_names_in_answers_and_nothing_in_junk():
    name = b"\x09oakcanary\x05local\x00"
    answer = (
        b"\0\0\x84\0\0\0\0\1\0\0\0\0\x011\x011\x0277\x0210\x07in-addr\x04arpa\0\0\x0c\0\1\0\0\0\x0a\0"
        + bytes([len(name)])
        + name
    )
    assert read_host_names(answer) == ["oakcanary.local"]
    assert b"in-addr" in host_name_query(ipaddress.ip_address("10.77.1.1"))
    looped = b"\0\0\x84\0\0\0\0\1\0\0\0\0" + b"\xc0\x0c" * 1500
    for junk in (b"", b"?", answer[:-3], looped, answer + bytes(5000), bytes(64)):
        assert read_host_names(junk) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "ok"),
        ("[hook]\non_fired = ['/bin/true', 'now']", "ok"),
        ("[hook]\non_fired = ['true']", "ok"),
        ("[hook]\non_fired = ['/bin/no-such-program']", "is not there, or no program"),
        ("[hook]\non_fired = ['no-such-program']", "is not there, or no program"),
        ("[hook]\nrun = 1", "there is no setting 'run'"),
    ],
)
def test_settings_that_have_no_effect_are_seen(text: str | None, said: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "config.toml").write_text(text)
    assert said in look_at_home(str(tmp_path)).settings

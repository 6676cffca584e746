"""tests/e2e/test_world_log.py: what the world was told, written down and played again: the same states, tick by tick, and the
same verdicts (DESIGN.md decision 11; THREATS.md G6, G8, O1, O2, O5)."""
import contextlib
import json
import os
import pathlib
import re
import signal
import stat
import subprocess
import tempfile
import time

from harness import Server, binary, wait_until
from pilots import ENV, UNTURNED, Pilot, expect_closed, hear, say, token_for
from rawclient import TEXT, Client, make_frame
from test_world import FLAT, UP, flat_world, point, until_event, world

DRAIN = ("--drain", "300ms")


def replay(path, *words):
    """(exit code, what it printed)"""
    done = subprocess.run([binary(), "replay-world", *words, str(path)], capture_output=True, text=True, timeout=50)
    assert not re.search("Assertion|runtime error|panic", done.stderr), done.stderr
    return done.returncode, done.stdout + done.stderr


def stop(server):
    server.signal(signal.SIGTERM)
    assert server.wait_exit(10) == 0, server.log_text()[-2000:]


def ended(server):
    line, = server.log_lines(event="world_log_ended")
    return line


def figures(printed):
    found = re.search(r"^inputs=(\d+) ticks=(\d+) verdicts=(\d+) hash=(\d+)$", printed, re.M)
    assert found, printed[-2000:]
    return dict(zip(("inputs", "ticks", "verdicts", "hash"), found.groups()))


def ticks_in(path):
    """(number, hash) of each tick, as the server has written them."""
    return re.findall(rb"^tick \d+ \d+ (\d+) (\d+)$", pathlib.Path(path).read_bytes(), re.M)


def cheat(pilot):
    """Until it is told that it has gone too far."""
    def is_told():
        return any(error["code"] == "cheat" for error in pilot.heard("error"))

    while not is_told():
        pilot.update({"x": 250, "y": UP, "z": 250})
        with contextlib.suppress(TimeoutError):
            pilot.until(is_told, 0.3)


def play_a_while(server, folder):
    """All that may come in: a race with a false start and a skipped checkpoint, a cheat who goes, somebody who drops and
    comes back, somebody who drops and is gone, bad tokens, refreshed ones, nonsense, another map."""
    with Pilot(server.world, "ann") as ann, Pilot(server.world, "bob", sibling=True) as bob:
        for pilot in (ann, bob):
            pilot.fly(point(20, 0))
            pilot.say("start_race", {"routeId": "round"})
        ann.update(point(40, 0))
        assert ann.expect("correction")["reason"] == "false_start"
        ann.say("chunk_request", {"tiles": [{"x": 0, "z": 0, "lod": "near"}]})
        ann.say("interact", {"kioskId": "start"})
        for first in (b"{}", b'{"type":"auth","payload":{"token":"%s"}}' % token_for("eve", secret="x" * 40).encode()):
            with Client(server.world, "/ws") as stranger:
                stranger.send(TEXT, first)
                hear(stranger)
        until_event(ann, "go")
        for place in (point(20, 20), point(50, 30)):
            ann.fly(place, speed=28)
        bob.client.socket.close()
        with Pilot(server.world, "eve") as eve:
            eve.say("auth", {"token": token_for("eve", 600)})
            eve.client.send(TEXT, b"[nonsense")
            cheat(eve)
            expect_closed(eve.client, 4403, "cheat")
        with Pilot(server.world, "bob") as again:
            again.update(point(again.at["x"] + 1, again.at["z"], again.at["y"]))
            changed = [FLAT["kiosks"][0] | {"answer": "Later."}]
            (pathlib.Path(folder) / "world.json").write_text(json.dumps(FLAT | {"kiosks": changed}))
            server.process.send_signal(signal.SIGHUP)
            wait_until(lambda: "event=world_reloaded" in server.log_text() or "event=world_kept" in server.log_text(), 5,
                       lambda: server.log_text()[-500:])
            for place in (point(50, 0), point(50, 30), point(20, 30)):
                ann.fly(place, speed=28)
            until_event(ann, "finish")
            again.say("leave_race")
            again.look(0.3)


def test_replay():
    """what the world was told is played again: every tick's hash is the server's, and so is every verdict (G6, G8)"""
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/world.log"
        with flat_world(folder, "--workers", "2", "--world-leave", "1s", "--world-log", path, *DRAIN) as server:
            play_a_while(server, folder)
            stop(server)
            line = ended(server)
            verdicts = [verdict["words"] for verdict in server.log_lines(event="verdict")]
        reasons = {re.search(r"reason=(\w+)", words)[1] for words in verdicts}
        assert {"false_start", "skipped", "too_far"} <= reasons, reasons
        code, printed = replay(path)
        assert code == 0 and "every hash is the server's" in printed and "as the server ended it" in printed, printed[-2000:]
        told = figures(printed)
        assert {name: line[name] for name in ("inputs", "ticks", "hash")} == {
            name: told[name] for name in ("inputs", "ticks", "hash")}, (line, told)
        assert re.findall(r"^verdict member=\d+ (.*)$", printed, re.M) == verdicts, printed[-3000:]
        assert re.search(r'reason=false_start.*\n  by \{"type": "player_update"', printed), printed[:3000]
        _, with_ticks = replay(path, "--ticks")
        again = re.findall(r"^tick (\d+) hash=(\d+)$", with_ticks, re.M)
        assert [(number.decode(), value.decode()) for number, value in ticks_in(path)] == again and len(again) > 100
        assert len({value for _, value in again}) == len(again), "states differ from tick to tick"
        written = pathlib.Path(path).read_text()
        assert "eyJ" not in written and token_for("ann")[:40] not in written, "a token is in it"
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_replay_finds_what_is_different():
    """a log in which one number is another is told from the server's, with the tick; what is no log is refused"""
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/world.log"
        with flat_world(folder, "--world-log", path, *DRAIN) as server, Pilot(server.world, "ann") as ann:
            for x in range(1, 10):
                ann.update(point(x, 0))
                ann.look(0.1)
            stop(server)
        good = pathlib.Path(path).read_bytes()
        changed = pathlib.Path(folder + "/changed.log")
        at = good.index(b'"x": 5,')
        changed.write_bytes(good[:at] + b'"x": 4,' + good[at + 7:])
        code, printed = replay(changed)
        first = int(re.search(rb"^tick \d+ \d+ (\d+) ", good[at:], re.M)[1])
        assert code == 1 and f"from tick {first} on" in printed, printed
        for broken, words in ((b"", "does not begin"), (b"no log", "does not begin"), (good[:30], "how the world was opened"),
                              (good.replace(b'"seed": 7', b'"sead": 7', 1), "sead"),
                              (good[:at] + b"\xff" + good[at + 1:], "no world's log"),
                              (good.replace(b"\njoin ", b"\njoim ", 1), "no world's log")):
            changed.write_bytes(broken)
            code, printed = replay(changed)
            assert code == 1 and words in printed, (broken[:60], printed)
        assert replay(folder + "/none")[0] == 1
        assert subprocess.run([binary(), "replay-world"], capture_output=True).returncode == 2


def test_killed_in_a_race():
    """a server that is killed in a race leaves a log that comes to the same up to its end; the one after it begins anew, and
    keeps that log (O1)"""
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/world.log"
        with flat_world(folder, "--world-log", path) as server:
            with Pilot(server.world, "ann") as ann:
                ann.fly(point(20, 0))
                ann.say("start_race", {"routeId": "round"})
                until_event(ann, "go")
                ann.fly(point(45, 0), speed=28)
                server.signal(signal.SIGKILL)
                server.process.wait()
        code, printed = replay(path)
        assert code == 0 and "every hash is the server's" in printed and int(figures(printed)["ticks"]) > 60, printed[-2000:]
        ticks = ticks_in(path)
        cut = pathlib.Path(folder + "/cut.log")
        cut.write_bytes(pathlib.Path(path).read_bytes()[:-37])
        code, printed = replay(cut)
        assert code == 0 and "in the middle of an entry" in printed, printed[-1000:]
        with flat_world(folder, "--world-log", path, *DRAIN) as server, Pilot(server.world, "ann") as ann:
            assert ann.at == point(0, 0, 0), "the world forgets"
            stop(server)
        assert ticks_in(path + ".old") == ticks and replay(path)[0] == 0


def test_start_that_fails():
    """a server that cannot start, however often it is tried, keeps the log of the one before (O5)"""
    with tempfile.TemporaryDirectory() as folder, world() as other:
        path = pathlib.Path(folder, "world.log")
        path.write_text("what was there")
        for _ in range(3):
            server = Server("--dev", "--world-log", str(path), ready=False, env=ENV, ports=(other.port, other.admin))
            assert server.wait_exit(10) == 71, server.log_text()
            server.stopped = True
        assert pathlib.Path(folder, "world.log.old").read_text() == "what was there" and path.read_bytes() == b""


def test_log_has_its_size():
    """a log that has its size ends, as one that can be played again, and the world goes on"""
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/world.log"
        options = ("--world-log", path, "--world-log-size", "64KiB", "--message-rate", "0", *DRAIN)
        with flat_world(folder, *options) as server, Pilot(server.world, "ann") as ann:
            for _ in range(20):
                ann.say("player_update", {"position": ann.at, "rotation": {"x": 0, "y": 0, "z": 0, "w": 1},
                                          "mode": "walking", "why": "x" * 3900})
            wait_until(lambda: "world_log_ended" in server.log_text(), 5, "the log ends")
            ann.until(lambda: "ann" in ann.shown)
            ann.say("interact", {"kioskId": "start"})
            assert ann.expect("kiosk")["answer"] == "Go."
            stop(server)
            assert ended(server)["why"] == "it has --world-log-size"
        assert 60_000 < os.stat(path).st_size <= 65_536
        code, printed = replay(path)
        assert code == 0 and "as the server ended it" in printed, printed[-1000:]


def test_full_disk():
    """a full disk ends the log with a line that says so, and nothing else (O2)"""
    with world("--world-log", "/dev/full", *DRAIN) as server, Pilot(server.world, "ann") as ann:
        wait_until(lambda: "world_log_ended" in server.log_text(), 5, "the log ends")
        assert ended(server)["why"] == os.strerror(28) and ended(server)["level"] == "error"
        ann.until(lambda: "ann" in ann.shown)
        assert os.path.exists("/dev/full") and stat.S_ISCHR(os.stat("/dev/full").st_mode)
        stop(server)


def test_unwritable():
    """a log that cannot be written, or about no world, is refused at start with one sentence"""
    with tempfile.TemporaryDirectory() as folder:
        os.mkfifo(folder + "/pipe")
        for options, words in ((("--dev", "--world-log", folder + "/none/x.log"), "cannot be written: No such file"),
                               (("--dev", "--world-log", folder + "/pipe"), "cannot be written: No such device"),
                               (("--dev", "--world-log", folder), "cannot be written: Is a directory"),
                               (("--world-log", folder + "/x.log"), "add --world-listen")):
            server = Server(*options, ready=False, env=ENV)
            assert server.wait_exit(10) == 78 and words in server.log_text(), server.log_text()
            server.stopped = True


def test_reader_that_never_reads():
    """a log into a pipe that nobody reads ends once both buffers are full; neither ticks nor the end wait for it (O7)"""
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/pipe"
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with world("--world-log", path, "--message-rate", "0", *DRAIN) as server, Pilot(server.world, "ann") as ann:
            ann.until(lambda: "ann" in ann.shown)
            ticks, begun = server.metric("ringcast_ticks_total", kind="world"), time.monotonic()
            still = {"position": ann.at, "rotation": UNTURNED, "mode": "walking", "why": "x y " * 950}
            frame = make_frame(TEXT, json.dumps({"type": "player_update", "payload": still}).encode())
            for _ in range(100):
                ann.client.send_bytes(frame * 50)
                ann.look(0.001)
            wait_until(lambda: "world_log_ended" in server.log_text(), 10, "the log ends")
            assert ended(server)["why"] == "the disk is too slow for it", ended(server)
            ticks, took = server.metric("ringcast_ticks_total", kind="world") - ticks, time.monotonic() - begun
            assert ticks > took * 5, f"{ticks} ticks in {took} s"
            ann.say("interact", {"kioskId": "none"})
            assert ann.expect("error")["code"] == "no_such_kiosk"
            stop(server)
        os.close(reader)

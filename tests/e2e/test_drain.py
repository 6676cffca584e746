"""tests/e2e/test_drain.py: SIGTERM and SIGINT (THREATS.md O1, D9)."""
import contextlib
import os
import re
import resource
import selectors
import signal
import socket
import threading
import time

from harness import Server, wait_until
from rawclient import Client, Ended, Refused, Response, upgrade_request


def read_closes(clients, seconds, answer=True):
    """Each client's close (code, reason) and when it came, reading all at once."""
    selector, closes = selectors.DefaultSelector(), {}
    for client in clients:
        selector.register(client.socket, selectors.EVENT_READ, client)
    deadline = time.monotonic() + seconds
    while len(closes) < len(clients) and time.monotonic() < deadline:
        for key, _ in selector.select(0.2):
            client = key.data
            try:
                closes[client] = (*client.read_close(0.01), time.monotonic())
                selector.unregister(client.socket)
                if answer:
                    client.socket.close()
            except TimeoutError:
                pass
            except Ended as why:
                raise AssertionError(f"a member got no close frame: {why}") from None
    assert len(closes) == len(clients), f"{len(closes)} of {len(clients)} got a close"
    return list(closes.values())


def retry_hints(closes, drain_ms):
    """The hints of these closes, each 1012 and within the drain."""
    hints = []
    for code, reason, _ in closes:
        match = re.fullmatch(r"restart;retry_ms=(0|[1-9][0-9]*)", reason)
        assert code == 1012 and match, (code, reason)
        hints.append(int(match[1]))
    assert all(0 <= hint <= drain_ms for hint in hints), hints
    return hints


def drain_members(number):
    """Signal `number` with 40 members: everyone is told, then the server is gone."""
    with Server("--dev", "--drain", "3s") as server:
        clients = [server.client(f"/ws/kart/r{n % 3}" if n % 2 else "/ws") for n in range(40)]
        server.wait_metric(40, "ringcast_members", kind="kart")
        start = time.monotonic()
        server.signal(number)
        hints = retry_hints(read_closes(clients, 4), 3000)
        assert max(hints) - min(hints) > 1000 and len(set(hints)) > 10, hints
        assert server.wait_exit(6) == 0
        assert time.monotonic() - start < 6
        assert len(server.log_lines(reason="restart")) == 40, server.log_text()[-1500:]


def test_sigterm():
    """SIGTERM closes every member with 1012 and a retry hint spread over --drain, then exits with 0"""
    drain_members(signal.SIGTERM)


def test_sigint():
    """SIGINT does the same as SIGTERM"""
    drain_members(signal.SIGINT)


def test_not_ready_while_draining():
    """while it drains /readyz is 503, /healthz is 200, and newcomers are refused or told 503"""
    with Server("--dev", "--drain", "3s") as server:
        stubborn = [server.client() for _ in range(10)]
        for client in stubborn:
            client.read_state()
        server.signal(signal.SIGTERM)
        ready = wait_until(lambda: draining(server), 2, "/readyz is 503")
        assert ready.json() == {"status": "draining"}, ready.body
        with contextlib.suppress(OSError):
            assert server.get("/healthz").status == 200
        with contextlib.suppress(ConnectionRefusedError, ConnectionResetError, Ended):
            try:
                server.client().socket.close()
                raise AssertionError("a newcomer was let in during the drain")
            except Refused as why:
                assert why.response.status == 503, why
        assert server.wait_exit(6) == 0


def draining(server):
    assert not server.has_ended(), "the server was gone before it was seen to drain"
    response = server.get("/readyz")
    return response if response.status == 503 else None


def test_second_signal():
    """a second signal ends the server at once, whoever is still there"""
    for first, second in ((signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM)):
        with Server("--dev", "--drain", "30s") as server:
            clients = [server.client() for _ in range(20)]
            for client in clients:
                client.read_state()
            server.signal(first)
            time.sleep(0.3)
            assert not server.has_ended(), "the drain was over before the second signal"
            start = time.monotonic()
            server.signal(second)
            code = server.wait_exit(1.5)
            assert time.monotonic() - start < 1.0 and code >= 0, code


def test_drain_without_members():
    """with nobody there SIGTERM ends the server soon, with 0"""
    with Server("--dev", "--drain", "3s") as server:
        server.signal(signal.SIGTERM)
        assert server.wait_exit(6) == 0


def test_drain_with_members_that_do_not_answer():
    """members that never answer, never read or are stalled do not hold up the end"""
    options = ("--dev", "--drain", "2s", "--kart-tick", "20ms", "--kart-payload", "16000")
    with Server(*options) as server:
        silent = [server.client() for _ in range(5)]
        stalled = [server.client(receive_buffer=4096) for _ in range(5)]
        half = [Client(server.port, handshake=False) for _ in range(5)]
        for client in half:
            client.send_bytes(upgrade_request(server.port)[:50])
        time.sleep(1.0)
        start = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.wait_exit(5) == 0
        assert time.monotonic() - start < 5
        for client in silent + stalled + half:
            client.socket.close()


def test_members_that_are_behind_are_told_too():
    """a member that is behind when the server goes gets the frame that was under way, whole, and then
    its close, as long as it reads within the time for a goodbye"""
    options = ("--dev", "--drain", "4s", "--kart-tick", "20ms", "--kart-payload", "16000")
    with Server(*options) as server, server.client(receive_buffer=4096) as client:
        client.read_state()
        time.sleep(0.5)
        server.signal(signal.SIGTERM)
        wait_until(lambda: server.log_lines(reason="restart"), 5, "its goodbye is queued")
        time.sleep(0.3)
        try:
            retry_hints([(*client.read_close(2.0), 0)], 4000)
        except Ended as why:
            raise AssertionError(f"cut off inside {bytes(client.buffer)[:60]!r}, {len(client.buffer)} "
                                 f"bytes of a frame, without a close: {why}") from None
        assert server.wait_exit(6) == 0


def test_the_last_goodbye_is_sent():
    """the server does not end before the last member's close is on the wire"""
    for _ in range(12):
        with Server("--dev", "--drain", "100ms") as server, server.client() as client:
            client.read_state()
            server.signal(signal.SIGTERM)
            try:
                retry_hints([(*client.read_close(2.0), 0)], 100)
            except Ended as why:
                raise AssertionError(f"no close frame: {why}; {server.log_text()[-300:]}") from None
            assert server.wait_exit(3) == 0


def test_waiting_connections_are_answered():
    """connections that wait in the accept queue when SIGTERM comes are told 503, not reset"""
    with Server("--dev", "--drain", "2s") as server:
        server.process.send_signal(signal.SIGSTOP)
        clients = [Client(server.port, handshake=False) for _ in range(5)]
        for client in clients:
            client.send_bytes(upgrade_request(server.port))
        server.signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGCONT)
        for client in clients:
            raw = client.read_to_end(5)
            assert raw, "no answer at all"
            response = Response(raw)
            told = response.status == 503 or (response.status == 101 and b"restart" in response.rest)
            assert told, raw[:300]
            if response.status == 503:
                assert "retry-after" in response.headers, response.headers
        assert server.wait_exit(6) == 0


def test_port_is_free_after_exit():
    """a new server can listen on the same address at once"""
    with Server("--dev", "--drain", "1s") as server:
        with server.client() as client:
            client.read_state()
            server.signal(signal.SIGTERM)
            client.read_close()
        assert server.wait_exit(5) == 0
        with contextlib.closing(socket.socket()) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", server.port))


def test_commands_during_the_drain():
    """a signal in the middle of traffic: every member still ends with the 1012, never with a cut frame"""
    with Server("--dev", "--drain", "2s", "--kart-tick", "20ms", "--kart-payload", "3000") as server:
        clients = [server.client() for _ in range(30)]
        stop = threading.Event()

        def command():
            with contextlib.suppress(Exception):
                while not stop.is_set():
                    server.command("/host bonus 1")
        commander = threading.Thread(target=command)
        commander.start()
        time.sleep(0.5)
        server.signal(signal.SIGTERM)
        retry_hints(read_closes(clients, 4), 2000)
        stop.set()
        commander.join()
        assert server.wait_exit(5) == 0


def open_connections(port, stop, held):
    """Connection after connection that says nothing, until told to stop."""
    while not stop.is_set():
        with contextlib.suppress(OSError):
            held.append(Client(port, handshake=False, timeout=1.0))
        time.sleep(0.001)


def end_under_pressure(stubborn):
    """(exit code, seconds) of a drain of 1 s while the internal port is pressed with connections."""
    with Server("--dev", "--drain", "1s") as server, contextlib.ExitStack() as members:
        for _ in range(stubborn):
            members.enter_context(server.client()).read_state()
        stop, held = threading.Event(), []
        threads = [threading.Thread(target=open_connections, args=(server.admin, stop, held))
                   for _ in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        start = time.monotonic()
        server.signal(signal.SIGTERM)
        try:
            code = server.wait_exit(6)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        took = time.monotonic() - start
        assert len(held) > 20, f"only {len(held)} connections: no pressure"
        for client in held:
            client.socket.close()
        return code, took


def test_connections_to_the_internal_port_at_the_end():
    """connections that go on coming to the internal port do not hold up the end, nor spoil it"""
    for stubborn in (0, 5, 0, 5):
        code, took = end_under_pressure(stubborn)
        assert code == 0 and took < 2.5, f"exit {code} after {took:.1f} s with {stubborn} members"


DESCRIPTORS = 150


@contextlib.contextmanager
def short_of_descriptors(free):
    """Options for a server that has inherited so many descriptors that only `free` are left to it."""
    inherited = []
    while not inherited or inherited[-1] < DESCRIPTORS - free - 1:
        inherited.append(os.open("/dev/null", os.O_RDONLY))
    limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    try:
        yield {"pass_fds": inherited, "preexec_fn": limit}
    finally:
        for descriptor in inherited:
            os.close(descriptor)


def last_word(client, words):
    """What the server told a client at last: a status, or a close code, or why there was none."""
    word = "nothing"
    try:
        response = client.read_response() if client.buffer or not client.states else None
        word = response.status if response else None
        if word == 503 and "retry-after" not in response.headers:
            word = "503 without Retry-After"
        if word in (101, None):
            word = client.read_close(8.0)[0]
    except (Ended, TimeoutError, AssertionError) as why:
        word = f"{word}, then {why!r}"
    words.append(word)
    client.socket.close()


def test_waiting_connections_are_answered_without_descriptors():
    """who waits in the accept queue because no descriptor is left is told 503 as members leave"""
    with short_of_descriptors(25) as how, Server("--dev", "--workers", "1", "--drain", "3s", **how) as server:
        clients = [Client(server.port, handshake=False, timeout=8.0) for _ in range(50)]
        for client in clients:
            client.send_bytes(upgrade_request(server.port))
        wait_until(lambda: server.log_lines(event="accept_paused"), 3, server.log_text)
        words = []
        threads = [threading.Thread(target=last_word, args=(client, words)) for client in clients]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        server.signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        assert set(words) == {503, 1012}, words
        assert words.count(1012) >= 10 and words.count(503) >= 20, words
        assert server.wait_exit(5) == 0


def count_restarts(server, readings):
    """Adds (begin, how many 1012 /metrics knows) until the server is gone."""
    while not server.has_ended():
        begin = time.monotonic()
        with contextlib.suppress(Ended, OSError, AssertionError):
            readings.append((begin, server.metric("ringcast_disconnects_total")))


def drain_shortly():
    """(when each of 60 members got its 1012, the readings of ringcast_disconnects_total meanwhile)"""
    with Server("--dev", "--drain", "100ms") as server:
        clients = [server.client(f"/ws/kart/r{n % 3}" if n % 2 else "/ws") for n in range(60)]
        for client in clients:
            client.read_state()
        readings = []
        scraper = threading.Thread(target=count_restarts, args=(server, readings))
        scraper.start()
        server.signal(signal.SIGTERM)
        closes = read_closes(clients, 3, answer=False)
        retry_hints(closes, 100)
        assert server.wait_exit(3) == 0
        scraper.join()
        lines = server.log_lines(event="disconnected")
        assert [(line["code"], line["reason"]) for line in lines] == [("1012", "restart")] * 60, lines
        for client in clients:
            client.socket.close()
        return [at for _, _, at in closes], readings


def test_a_short_drain_counts_what_it_sent():
    """in a drain of 100 ms every member gets its 1012, and at each moment ringcast_disconnects_total
    is no less than the closes that have come and no more than all"""
    for _ in range(5):
        arrivals, readings = drain_shortly()
        for begin, count in readings:
            assert sum(at < begin for at in arrivals) <= count <= len(arrivals), (begin, count)
        if any(begin > max(arrivals) and count == len(arrivals) for begin, count in readings):
            return
    raise AssertionError("/metrics was never read after the last close: the drain is too short")

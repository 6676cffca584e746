"""tests/e2e/test_drain.py: SIGTERM and SIGINT (issue item 6, CONVENTIONS.md 4.6, CONTRACT.md D9)."""
import contextlib
import re
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

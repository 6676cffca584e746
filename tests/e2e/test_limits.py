"""tests/e2e/test_limits.py: limits against floods: per address (THREATS.md H23, R13) and per connection
(F15, Z8). Other addresses are 127.0.0.x: all of them are this machine. Without --dev none is exempt."""
import contextlib
import re
import time

from harness import Reader, Server, alone, expect_error, is_gapless, longest_gap, sequence, wait_until
from rawclient import BINARY, CLOSE, PING, PONG, TEXT, Client, Ended, Refused, close_payload, make_frame

LIMITED = "ringcast_rate_limited_total"
FEW = ("--address-connections", "4", "--address-handshakes", "0")
SELDOM = ("--address-connections", "0", "--address-handshakes", "20")


def client_from(server, address, path="/ws"):
    return Client(server.port, path, source=address)


def refusal(server, address):
    """The 429 that this address gets now."""
    try:
        client_from(server, address).socket.close()
    except Refused as why:
        error = expect_error(why.response, 429)
        assert int(why.response.headers["retry-after"]) >= 1, why.response.headers
        return error["code"]
    raise AssertionError(f"{address} was let in")


def admitted(server, address, most):
    """As many clients of an address as are let in, at most so many."""
    clients = []
    with contextlib.suppress(Refused):
        while len(clients) < most:
            clients.append(client_from(server, address))
    return clients


def close_all(clients):
    for client in clients:
        client.socket.close()


def test_connections_of_an_address_are_bounded():
    """past --address-connections an address gets 429, other addresses and its members are unaffected,
    and a place that is left can be taken (H23)"""
    with Server(*FEW) as server:
        members = admitted(server, "127.0.0.2", 10)
        assert len(members) == 4, len(members)
        for _ in range(20):
            assert refusal(server, "127.0.0.2") == "too_many_connections"
        others = admitted(server, "127.0.0.3", 4) + admitted(server, "127.0.0.4", 4)
        assert len(others) == 8
        for client in members + others:
            assert client.is_alive()
        assert server.metric(LIMITED, scope="address_connections") == 21
        assert server.metric("ringcast_handshakes_rejected_total", reason="too_many_connections") == 21
        wait_until(lambda: len(server.log_lines(event="refused", ip="127.0.0.2", status=429)) == 21, 2,
                   "each refusal is in the log")
        members.pop().leave()
        members.pop().reset()
        server.wait_metric(10, "ringcast_members", kind="kart")
        members += wait_until(lambda: admitted(server, "127.0.0.2", 1), 3, "its place is free")
        members += wait_until(lambda: admitted(server, "127.0.0.2", 1), 3, "the other one, too")
        assert refusal(server, "127.0.0.2") == "too_many_connections"
        close_all(members + others)


def test_an_address_is_counted_once_over_all_workers():
    """the limit is one for all workers, and a connection that moves between them counts once (H23)"""
    with Server("--workers", "4", *FEW) as server:
        for _ in range(3):
            clients = []
            for number in range(4):
                clients.append(client_from(server, "127.0.0.2", f"/ws/kart/r{number}"))
                clients[-1].read_state()
            for _ in range(8):
                assert refusal(server, "127.0.0.2") == "too_many_connections"
            close_all(clients)
            server.wait_metric(0, "ringcast_members", kind="kart")
            server.wait_metric(1, "ringcast_connections_open")
        moved = len({line["worker"] for line in server.log_lines(event="connected")})
        assert moved > 1, "all rooms were on one worker"


def test_silent_connections_count():
    """who connects and says nothing takes a place of its address, and gives it back (H23)"""
    with Server(*FEW, "--handshake", "1s") as server:
        silent = [Client(server.port, handshake=False, source="127.0.0.2") for _ in range(4)]
        wait_until(lambda: server.metric("ringcast_connections_open") == 5, 3, "all are accepted")
        assert refusal(server, "127.0.0.2") == "too_many_connections"
        for client in silent:
            assert client.read_to_end(3.0) == b""
        with wait_until(lambda: admitted(server, "127.0.0.2", 1), 3, "the places are free")[0] as one:
            one.read_state()
        close_all(silent)


def churn(server, address, seconds):
    """Connects, upgrades and resets as fast as it can: (how often it got in, how often refused)"""
    end, entered, refused = time.monotonic() + seconds, 0, 0
    while time.monotonic() < end:
        try:
            client_from(server, address).reset()
            entered += 1
        except Refused as why:
            assert why.response.status == 429, why
            refused += 1
        except (Ended, OSError, TimeoutError):
            refused += 1
    return entered, refused


def test_churn_is_capped():
    """connect, upgrade, reset, again and again: no more than the rate gets in, nothing grows, and others
    get in meanwhile (R13)"""
    with Server(*SELDOM) as server, client_from(server, "127.0.0.3") as other:
        other.read_state()
        descriptors = server.descriptors()
        start = time.monotonic()
        entered, refused = churn(server, "127.0.0.2", 3.0)
        most = 40 + 20 * (time.monotonic() - start) + 2
        assert 40 <= entered <= most and refused > 40, (entered, most, refused)
        assert client_from(server, "127.0.0.4").is_alive() and other.is_alive()
        assert server.metric(LIMITED, scope="address_handshakes") == refused
        wait_until(lambda: server.descriptors() <= descriptors + 4, 5, server.descriptors)
        wait_until(lambda: admitted(server, "127.0.0.2", 1), 3, "after a while it is let in")
        server.wait_metric(1, "ringcast_request_buffers_in_use")  # the one that asks


def test_a_flood_of_the_refused_does_not_take_the_places():
    """hundreds of refused sockets that stay open hold a bounded number of slots: others get in (H23)"""
    with Server(*FEW, "--connections", "100") as server:
        members = admitted(server, "127.0.0.2", 4)
        pressing = [Client(server.port, handshake=False, source="127.0.0.2") for _ in range(600)]
        others = []
        for number in range(24):
            others += admitted(server, f"127.0.0.{10 + number}", 4)
        assert len(others) == 96, len(others)
        assert server.metric(LIMITED, scope="address_connections") == 600
        assert server.metric("ringcast_connections_refused_total") >= 100
        for client in members + others:
            assert client.is_alive()
        close_all(members + others + pressing)


def test_exempt_addresses():
    """addresses of --limit-exempt are not counted, and loopback is exempt under --dev (H23)"""
    options = ("--address-connections", "2", "--address-handshakes", "2")
    with Server(*options, "--limit-exempt", "10.0.0.0/8,127.0.0.64/26") as server:
        clients = admitted(server, "127.0.0.127", 30)
        assert len(clients) == 30
        for address in ("127.0.0.63", "127.0.0.128"):
            clients += admitted(server, address, 2)
            refusal(server, address)
        close_all(clients)
    with Server("--dev", *options) as server:
        clients = admitted(server, "127.0.0.1", 15) + admitted(server, "127.9.9.9", 15)
        assert len(clients) == 30
        close_all(clients)


def test_the_internal_listener_does_not_count():
    """requests to the internal listener are neither counted nor refused (H23)"""
    with Server("--address-connections", "1", "--address-handshakes", "1") as server:
        with client_from(server, "127.0.0.1") as client:
            for _ in range(20):
                assert server.get("/healthz").status == 200
            assert client.is_alive()


def test_limits_are_there_by_default():
    """without an option 1,024 connections of an address are let in, and 400 at once (H23, R13)"""
    with Server() as server:
        start = time.monotonic()
        clients = admitted(server, "127.0.0.2", 1500)
        took = time.monotonic() - start
        assert 400 <= len(clients) <= 1024 and len(clients) <= 402 + 200 * took, (len(clients), took)
        assert server.metric(LIMITED, scope="address_handshakes") == 1  # why no more came in
        while len(clients) < 1024 and time.monotonic() < start + 20:
            time.sleep(0.1)
            clients += admitted(server, "127.0.0.2", 1024 - len(clients))
        assert len(clients) == 1024
        time.sleep(0.5)
        assert refusal(server, "127.0.0.2") == "too_many_connections"
        close_all(clients)


def test_forwarded_headers_change_nothing():
    """X-Forwarded-For and the like neither lift a limit nor lay it on somebody else, nor get into the log:
    an address is the socket's (H22)"""
    headers = ("X-Forwarded-For: 10.9.8.7", "X-Real-IP: 10.9.8.7", "Forwarded: for=10.9.8.7",
               "CF-Connecting-IP: 10.9.8.7", "True-Client-IP: 10.9.8.7")
    with Server(*FEW) as server:
        clients = []
        for _ in range(4):
            clients.append(Client(server.port, headers=headers, source="127.0.0.2"))
        for number in range(4):
            lines = (f"X-Forwarded-For: 10.1.1.{number}", "X-Real-IP: 127.0.0.9")
            try:
                clients.append(Client(server.port, headers=lines, source="127.0.0.2"))
            except Refused as why:
                expect_error(why.response, 429)
        assert len(clients) == 4, "another name lifted the limit"
        clients += admitted(server, "127.0.0.9", 4)
        assert len(clients) == 8, "somebody else paid"
        wait_until(lambda: len(server.log_lines(event="connected")) == 8, 2, server.log_text)
        assert "10.9.8.7" not in server.log_text() and "10.1.1." not in server.log_text()
        close_all(clients)


def expect_limited(client, scope, server):
    code, reason = client.read_close(5.0)
    assert code == 4429, (code, reason)
    found = re.fullmatch(r"rate_limited;retry_ms=(\d+)", reason)
    assert found and 1500 <= int(found[1]) <= 2000, reason
    assert server.metric(LIMITED, scope=scope) == 1
    assert server.metric("ringcast_disconnects_total", code=4429, reason="rate_limited") == 1
    client.send(CLOSE, close_payload(4429))
    client.read_end()
    wait_until(lambda: server.log_lines(event="disconnected", code=4429, reason="rate_limited"), 2,
               server.log_text)


def test_control_floods():
    """a burst of 100 pings or unasked pongs is forgiven, a flood is 4429 rate_limited with a hint (F15)"""
    for frames in ([make_frame(PING, b"x" * 125)] * 100, [make_frame(PONG, b"unasked")] * 100,
                   [make_frame(PING), make_frame(PONG)] * 50):
        with Server() as server, server.client() as client, server.client() as other:
            client.read_state()
            client.send_bytes(b"".join(frames))
            assert_no_close(client)
            client.send_bytes(b"".join(frames) * 2)
            expect_limited(client, "control", server)
            assert other.is_alive()


def assert_no_close(client):
    """What comes within a while is no close frame."""
    end = time.monotonic() + 0.3
    with contextlib.suppress(TimeoutError):
        while time.monotonic() < end:
            frame = client.read_message(0.3)
            assert frame.opcode != CLOSE, frame


def test_message_floods():
    """100 messages at once are forgiven, a flood is 4429 rate_limited with a hint (F15)"""
    for opcode, payload in ((TEXT, b""), (TEXT, b"hello"), (BINARY, b"x" * 100)):
        with Server() as server, server.client() as client, server.client() as other:
            client.read_state()
            client.send_bytes(make_frame(opcode, payload) * 100)
            assert_no_close(client)
            client.send_bytes(make_frame(opcode, payload) * 150)
            expect_limited(client, "messages", server)
            assert other.is_alive()


def test_large_messages_cost_more():
    """messages are counted by size, too: half as many of 4 KiB are over the limit (Z8)"""
    with Server() as server, server.client() as client:
        client.read_state()
        client.send_bytes(make_frame(TEXT, b"x" * 4096) * 50)
        assert_no_close(client)
        client.send_bytes(make_frame(TEXT, b"x" * 4096) * 60)
        expect_limited(client, "messages", server)


def test_steady_senders_stay():
    """who keeps below the rates stays: 40 messages and 40 pings a second for three seconds (F15)"""
    with Server() as server, server.client() as client:
        for _ in range(120):
            client.send_bytes(make_frame(TEXT, b"steady") + make_frame(PING, b"steady"))
            time.sleep(0.025)
        assert client.is_alive()
        assert server.metric(LIMITED) == 0


def test_limits_can_be_lifted():
    """a rate of 0 is no limit"""
    with Server("--message-rate", "0", "--control-rate", "0") as server, server.client() as client:
        client.send_bytes((make_frame(TEXT, b"x") + make_frame(PONG)) * 5000)
        assert client.is_alive()
        assert server.metric(LIMITED) == 0


@alone
def test_floods_disturb_nobody():
    """while clients flood with pings and messages, a member misses no tick (F15)"""
    with Server("--kart-tick", "50ms", "--kart-stamp") as server, server.client() as member:
        member.read_state()
        reader, limited, number, end = Reader(member), 0, 0, time.monotonic() + 2
        while time.monotonic() < end:
            number += 1
            time.sleep(0.02)
            frame = make_frame((PING, TEXT)[number % 2], b"flood")
            with server.client() as flooder, contextlib.suppress(Ended):
                flooder.send_bytes(frame * 3000)
                limited += flooder.read_close(5.0)[0] == 4429
        seen = reader.stop()
        assert number >= 20 and limited >= number - 2, (number, limited)
        assert is_gapless(sequence(seen)) and longest_gap(seen) < 0.4, longest_gap(seen)

"""tests/e2e/test_liveness.py: pings, pongs, and peers that vanish (THREATS.md D5)."""
import contextlib
import selectors
import signal
import socket
import time

from harness import Crowd, Server, wait_until
from rawclient import CONTINUATION, PING, PONG, TEXT, Ended, make_frame


def test_no_pong():
    """who reads but never answers a ping is closed with 4408 pong_timeout within ping + pong"""
    with Server("--dev", "--ping", "1s", "--pong", "1s") as server:
        with server.client(answer_pings=False) as client:
            start = time.monotonic()
            assert client.read_close(4.0) == (4408, "pong_timeout")
            took = time.monotonic() - start
            assert 1.5 < took < 2.6 and client.pings >= 1, (took, client.pings)
            client.read_end()
        server.wait_metric(0, "ringcast_connections", kind="kart")
        assert server.metric("ringcast_disconnects_total", code=4408, reason="pong_timeout") == 1
        wait_until(lambda: len(server.log_lines(reason="pong_timeout")) == 1, 2, server.log_text)


def test_pongs_keep():
    """who answers stays; text and bonuses are no answer"""
    with Server("--dev", "--ping", "1s", "--pong", "1s") as server:
        with server.client() as polite, server.client(answer_pings=False) as chatty:
            start, ended = time.monotonic(), None
            while time.monotonic() - start < 5:
                polite.read_state()
                if ended is None:
                    ended = chatter(chatty)
            assert polite.pings >= 3 and polite.is_alive()
            assert ended == (4408, "pong_timeout"), ended


def chatter(client):
    """Says something and reads one frame; the close, when it is that."""
    try:
        client.send(TEXT, b"still here")
        client.read_state(1.0)
    except (AssertionError, Ended):
        return (4408, "pong_timeout") if client.close_seen else None
    return None


def test_pings_have_jitter():
    """clients that joined together are not all pinged together"""
    with Server("--dev", "--ping", "2s", "--kart-tick", "10s") as server:
        clients = [server.client() for _ in range(40)]
        at = []
        for client in clients:
            frame = client.read_frame()
            while frame.opcode != PING:
                frame = client.read_frame()
            at.append(frame.at)
        spread = arrival_spread(server, clients)
        assert spread > 0.1, f"all pings within {spread:.3f} s"


def arrival_spread(server, clients):
    """When the second pings of the clients arrive: from the first to the last of them."""
    selector, at = selectors.DefaultSelector(), {}
    for client in clients:
        client.send(PONG)
        client.socket.setblocking(False)
        selector.register(client.socket, selectors.EVENT_READ, client)
    deadline = time.monotonic() + 4
    while len(at) < len(clients) and time.monotonic() < deadline:
        for key, _ in selector.select(0.5):
            client = key.data
            client.buffer += key.fileobj.recv(4096)
            if b"\x89\x00" in client.buffer:
                at.setdefault(client, time.monotonic())
    assert len(at) == len(clients), f"only {len(at)} were pinged: {server.log_text()[-500:]}"
    return max(at.values()) - min(at.values())


def test_stopped_process():
    """a process that is stopped is gone within ping + pong and the time for a goodbye"""
    with Server("--dev", "--ping", "1s", "--pong", "1s") as server, Crowd(server.port, 20) as crowd:
        server.wait_metric(20, "ringcast_members", kind="kart")
        crowd.signal(signal.SIGSTOP)
        start = time.monotonic()
        server.wait_metric(0, "ringcast_members", seconds=3, kind="kart")
        server.wait_metric(1, "ringcast_connections_open", seconds=6)
        assert time.monotonic() - start < 6
        assert server.metric("ringcast_disconnects_total", reason="pong_timeout") == 20


def test_unsolicited_pongs():
    """pongs that nobody asked for are no offence, as long as they are no flood (F15)"""
    with Server("--dev") as server, server.client() as client:
        for _ in range(90):
            client.send(PONG, b"here I am")
        assert client.is_alive()


def test_message_that_is_never_finished():
    """a begun message that is not finished is given up on, though its sender answers pings (F10)"""
    with Server("--dev", "--ping", "1s", "--pong", "1s") as server, server.client() as client:
        client.send(TEXT, b"once upon a time", final=False)
        code, reason = client.read_close(40.0)
        assert code == 4408, (code, reason)
        wait_until(lambda: server.metric("ringcast_message_buffers_in_use") == 0, 5,
                   "the message buffer is back")


def test_a_steady_sender_has_the_time_anew_for_each_message():
    """who sends message after message, each segment ending inside the next one, is never too late"""
    with Server("--dev", "--message", "1s") as server:
        stream = b"".join(make_frame(TEXT, b"steady") for _ in range(51))  # 12 bytes each
        clients = {cut: server.client() for cut in (1, 5, 9)}  # in the header, the mask, the payload
        for turn in range(50):
            for cut, client in clients.items():
                begin = 12 * turn + cut if turn > 0 else 0
                client.send_bytes(stream[begin:12 * (turn + 1) + cut])
            time.sleep(0.05)
        for cut, client in clients.items():
            client.send_bytes(stream[12 * 50 + cut:])
            assert client.is_alive(), f"cut {cut} bytes into a message"
            client.socket.close()
        assert server.metric("ringcast_messages_received_total", type="text") == 51 * len(clients)
        assert server.metric("ringcast_disconnects_total", reason="message_timeout") == 0


def drip_until_close(client, pieces):
    """Sends a piece every 50 ms until the close comes: its code and reason, and the seconds."""
    start = time.monotonic()
    for piece in pieces:
        client.send_bytes(piece)
        with contextlib.suppress(TimeoutError):
            return (*client.read_close(0.05), time.monotonic() - start)
    raise AssertionError("the server waits for the end of a message for ever")


def test_a_message_without_end_is_given_up():
    """a message that is not finished in --message is 4408 message_timeout: a silent one, one that comes
    byte by byte, one of ever more fragments with pings between them, one right behind a whole one"""
    whole, fragment = make_frame(TEXT, b"whole"), make_frame(CONTINUATION, b"and", final=False)
    ways = {"silent": [whole[:5]] + [b""] * 50,
            "slow": [make_frame(TEXT, declared=100, mask=bytes(4))] + [b"x"] * 50,
            "fragments": [make_frame(TEXT, b"once", final=False)] + [fragment + make_frame(PING)] * 50,
            "behind a whole one": [whole, whole + whole[:5]] + [b""] * 50}
    with Server("--dev", "--message", "1s") as server:
        for name, pieces in ways.items():
            with server.client() as client:
                client.read_state()
                code, reason, took = drip_until_close(client, pieces)
                assert (code, reason) == (4408, "message_timeout"), (name, code, reason)
                assert 0.9 < took < 1.8, f"{name}: after {took:.2f} s"
                client.read_end()
        assert server.metric("ringcast_disconnects_total", code=4408,
                             reason="message_timeout") == len(ways)
        server.wait_metric(0, "ringcast_message_buffers_in_use")


def test_reset():
    """a member that vanishes with a reset is gone at once, with a line in the log"""
    with Server("--dev") as server:
        client = server.client()
        client.read_state()
        client.reset()
        server.wait_metric(0, "ringcast_members", seconds=2, kind="kart")
        wait_until(lambda: server.log_lines(reason="recv_error") + server.log_lines(reason="peer_left") +
                   server.log_lines(reason="send_error"), 2, server.log_text)


def test_half_closed():
    """a member that ends its side without a close frame is gone at once"""
    with Server("--dev") as server, server.client() as client:
        client.read_state()
        client.socket.shutdown(socket.SHUT_WR)
        server.wait_metric(0, "ringcast_members", seconds=2, kind="kart")
        client.read_to_end(3.0)
        server.wait_metric(1, "ringcast_connections_open", seconds=3)

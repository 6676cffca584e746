"""tests/e2e/test_http.py: requests and handshakes that are wrong (THREATS.md H1 to H20, H26), and
the right ones beside them that must pass. Against the default configuration, unless a test needs else."""
import contextlib
import socket
import threading
import time

from harness import Reader, Server, alone, exchange, expect_error, longest_gap, wait_until
from rawclient import Client, Ended, Refused, make_frame, PING, upgrade_request

WS_HEADERS = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")


def ask(server, start, *headers, host="Host: x"):
    """One response to a request of these lines."""
    lines = [start] + ([host] if host else []) + list(headers)
    return exchange(server.port, "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n")


def upgrade(server, *, headers=(), without=(), path="/ws"):
    """The response to a handshake with some headers added or left out; closes the socket after 101."""
    with Client(server.port, handshake=False) as client:
        client.send_bytes(upgrade_request(server.port, path, headers=headers, without=without))
        response = client.read_response()
        if response.status != 101:
            assert client.read_to_end() == b"", "after a failed upgrade the socket must be closed"
    return response


def test_other_methods():
    """another method than GET on a WebSocket route is 405 with Allow: GET (H1)"""
    with Server() as server:
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "BREW"):
            response = ask(server, f"{method} /ws HTTP/1.1", *WS_HEADERS)
            expect_error(response, 405)
            assert response.headers["allow"] == "GET", (method, response.headers)


def test_head_has_no_body():
    """HEAD is 405 as well, and its answer carries no body (RFC 9110 §9.3.2)"""
    with Server() as server, Client(server.port, handshake=False) as client:
        client.send_bytes(b"HEAD /ws HTTP/1.1\r\nHost: x\r\n\r\n")
        head, _, body = client.read_to_end().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 405 ") and body == b"", (head, body)


MALFORMED = (b" /ws HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", b" /ws HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
             b" /ws HTTP/1.1\r\n\r\n", b" /ws HTTP/9.1\r\nHost: x\r\n\r\n", b" ws HTTP/1.1\r\nHost: x\r\n\r\n",
             b" /ws HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b" /\x01", b" \n",
             b" /ws HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20000 + b"\r\n\r\n")


def answer_to(port, data):
    """(status line, body) of the answer to a request that is refused."""
    with Client(port, handshake=False) as client:
        with contextlib.suppress(Ended):
            client.send_bytes(data)
        head, separator, body = client.read_to_end().partition(b"\r\n\r\n")
    assert separator, f"no answer to {data[:60]!r}"
    return head.partition(b"\r\n")[0], body


def test_malformed_head_has_no_body():
    """HEAD is answered without a body also where the request is malformed; with another method, also
    one that begins like it, there is one"""
    with Server() as server:
        for port in (server.port, server.admin):
            for rest in MALFORMED:
                status, body = answer_to(port, b"HEAD" + rest)
                assert status.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")), (rest[:60], status)
                assert body == b"", (rest[:60], body)
                for method in (b"GET", b"HEADER", b"HEA", b"head"):
                    assert answer_to(port, method + rest)[1], (method, rest[:60])


def test_a_head_before_it_takes_no_body_away():
    """what is refused at its first bytes has a body, though a HEAD was in the same memory before"""
    with Server("--workers", "1") as server, server.client() as member:
        member.read_state()
        for data in (b"\x16\x03\x01", b"\r\n", b"H\x00", b"HEAD\x00"):
            for port in (server.port, server.admin):
                assert answer_to(port, b"HEAD /nothing HTTP/1.1\r\nHost: x\r\n\r\n")[1] == b""
                status, body = answer_to(port, data)
                assert status.startswith(b"HTTP/1.1 400 ") and body, (data, status, body)


def test_garbage():
    """what is not HTTP is 400, or closed in silence (H1, H21)"""
    with Server() as server:
        for data in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
                     b"SSH-2.0-OpenSSH_9.2\r\n", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
                     b"\r\n\r\n\x00\r\nQUIT\n", b"\r\n\r\n" * 50, b"\x00" * 10000, b"GET\r\n\r\n",
                     b"GET  /ws HTTP/1.1\r\n\r\n", b"GET /ws  HTTP/1.1\r\n\r\n", b" GET /ws HTTP/1.1\r\n",
                     b"GET\t/ws\tHTTP/1.1\r\n\r\n", b"GET ws HTTP/1.1\r\nHost: x\r\n\r\n",
                     b"GET * HTTP/1.1\r\nHost: x\r\n\r\n", b"G(T /ws HTTP/1.1\r\nHost: x\r\n\r\n",
                     b"GET /ws http/1.1\r\nHost: x\r\n\r\n", b"GET /ws HTTP/1.1 x\r\nHost: x\r\n\r\n",
                     b"GET /w s HTTP/1.1\r\nHost: x\r\n\r\n", b"*1\r\n$4\r\nPING\r\n"):
            with Client(server.port, handshake=False) as client:
                with contextlib.suppress(Ended):
                    client.send_bytes(data)
                answer = client.read_to_end(6.5)
                assert answer == b"" or answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 ",
                                                           b"HTTP/1.1 505 ")), (data, answer)


def test_other_versions():
    """HTTP/1.0 and 0.9 are 400, an unknown major version is 505 (H2)"""
    with Server() as server:
        expect_error(ask(server, "GET /ws HTTP/1.0", *WS_HEADERS), 400)
        expect_error(exchange(server.port, b"GET /ws\r\n\r\n"), 400)
        for version in ("HTTP/2.0", "HTTP/3.0", "HTTP/0.9"):
            expect_error(ask(server, f"GET /ws {version}", *WS_HEADERS), 505)
        for version in ("HTTP/1.1.1", "HTTP/11", "HTTP/1.", "HTTP/+1.1", "HTCPCP/1.0"):
            expect_error(ask(server, f"GET /ws {version}", *WS_HEADERS), 400, 505)


def test_hosts():
    """no Host is 400, two are 400 (H3)"""
    with Server() as server:
        expect_error(ask(server, "GET /ws HTTP/1.1", *WS_HEADERS, host=None), 400)
        expect_error(ask(server, "GET /ws HTTP/1.1", "Host: y", *WS_HEADERS), 400)
        expect_error(ask(server, "GET /ws HTTP/1.1", "host: x", *WS_HEADERS), 400)


def test_upgrade_headers():
    """without Upgrade: websocket and Connection: upgrade it is 426 and says what to send (H4, H12)"""
    with Server() as server:
        for without, headers in ((("Upgrade",), ()), (("Connection",), ()),
                                 (("Upgrade", "Connection"), ()),
                                 (("Connection",), ("Connection: keep-alive",)),
                                 (("Connection",), ("Connection: Upgraded",)),
                                 (("Upgrade",), ("Upgrade: h2c",)),
                                 (("Upgrade",), ("Upgrade: websockets",))):
            response = upgrade(server, without=without, headers=headers)
            expect_error(response, 426)
            assert response.headers["upgrade"].lower() == "websocket", response.headers
        for name, value in (("Connection", "keep-alive, Upgrade"), ("Connection", "keep-alive,UPGRADE"),
                            ("Connection", "upgrade"), ("Connection", " ,  upgrade ,"),
                            ("Upgrade", "WebSocket"), ("Upgrade", "WEBSOCKET")):
            response = upgrade(server, without=(name,), headers=(f"{name}: {value}",))
            assert response.status == 101, (name, value, response.status)
        response = upgrade(server, without=("Connection",),
                           headers=("Connection: keep-alive", "Connection: Upgrade"))
        assert response.status == 101, response.status


def test_websocket_versions():
    """another version, none or two are 426 with Sec-WebSocket-Version: 13 (H5, H20)"""
    with Server() as server:
        for headers in ((), ("Sec-WebSocket-Version: 8",), ("Sec-WebSocket-Version: 14",),
                        ("Sec-WebSocket-Version:",), ("Sec-WebSocket-Version: 013",),
                        ("Sec-WebSocket-Version: 13, 13",), ("Sec-WebSocket-Version: 8, 13",),
                        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13")):
            response = upgrade(server, without=("Sec-WebSocket-Version",), headers=headers)
            expect_error(response, 426)
            assert response.headers["sec-websocket-version"] == "13", response.headers


def test_keys():
    """a key that is missing, doubled, or not 16 bytes in base64 is 400 (H6)"""
    keys = ("", "x", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZ===",
            "dGhlIHNhbXBsZSBub25jZQ===", "dGhlIHNhbXBsZSBub25jZQ== x", "dGhlIHNhbXBsZSBub25j",
            "dGhlIHNhbXBsZSBub25jZXM=", "dGhlIHNhbXBs-SBub25jZQ==", "dGhlIHNhbXBs ZSBub25jZQ=",
            "A" * 3000, "dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ==")
    with Server() as server:
        without = ("Sec-WebSocket-Key",)
        expect_error(upgrade(server, without=without), 400)
        for key in keys:
            response = upgrade(server, without=without, headers=(f"Sec-WebSocket-Key: {key}",))
            expect_error(response, 400)
        expect_error(upgrade(server, headers=("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",)), 400)


def test_origins():
    """a foreign Origin is 403 before the 101; the own one, a listed one and none pass (H7, S0-16)"""
    with Server("--allow-origin", "https://good.com", "--allow-origin", "http://game.test:3000") as server:
        own = f"http://127.0.0.1:{server.port}"
        for origin in ("https://evil.com", "null", "https://good.com.evil.com", "http://good.com",
                       "https://good.com:444", "https://good.com/", "https://xgood.com", "good.com",
                       "https://good.com@evil.com", "http://game.test", "http://game.test:30000",
                       own + ".evil.com", own + "1", f"http://127.0.0.1:{server.port + 1}",
                       "http://127.0.0.1", "", f"ftp://127.0.0.1:{server.port}"):
            expect_error(upgrade(server, headers=(f"Origin: {origin}",)), 403)
        for origin in ("https://good.com", "http://game.test:3000", own):
            assert upgrade(server, headers=(f"Origin: {origin}",)).status == 101, origin
        assert upgrade(server).status == 101
        two = ("Origin: https://good.com", "Origin: https://evil.com")
        expect_error(upgrade(server, headers=two), 400, 403)
        expect_error(upgrade(server, headers=two[::-1]), 400, 403)


def test_any_origin_under_dev():
    """--dev lets every Origin in"""
    with Server("--dev") as server:
        for origin in ("https://evil.com", "null", "http://localhost:3000"):
            assert upgrade(server, headers=(f"Origin: {origin}",)).status == 101, origin


def test_silent_connection():
    """who connects and says nothing is gone at the handshake deadline (H8)"""
    with Server("--handshake", "1s") as server:
        start = time.monotonic()
        clients = [Client(server.port, handshake=False) for _ in range(20)]
        clients.append(Client(server.admin, handshake=False))
        for client in clients:
            assert client.read_to_end(3.0) in (b"",)
        took = time.monotonic() - start
        assert 0.9 < took < 2.5, f"closed after {took:.2f} s"


def test_slow_headers():
    """one byte of a request now and then does not move the handshake deadline (H8)"""
    with Server("--handshake", "1s") as server, server.client() as member:
        member.read_state()
        data = upgrade_request(server.port)
        for port in (server.port, server.admin):
            start = time.monotonic()
            with Client(port, handshake=False) as client:
                with contextlib.suppress(Ended):
                    for index in range(50):
                        client.send_bytes(data[index:index + 1])
                        time.sleep(0.05)
                        if arrived(client):
                            break
                answer = client.read_to_end(2.0)
                took = time.monotonic() - start
            assert 0.9 < took < 2.0, f"closed after {took:.2f} s"
            assert answer == b"" or answer.startswith(b"HTTP/1.1 408 "), answer
        assert member.is_alive()


def arrived(client):
    client.socket.setblocking(False)
    try:
        return bool(client.socket.recv(1, socket.MSG_PEEK)) or True
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_slow_body():
    """a command's body that does not come is given up on at the same deadline (H8)"""
    with Server("--dev", "--handshake", "1s") as server:
        with Client(server.admin, handshake=False) as client:
            client.send_bytes(b"POST /v1/rooms/kart/commands HTTP/1.1\r\nHost: localhost\r\n"
                              b"Authorization: Bearer dev\r\nContent-Length: 50\r\n\r\n{")
            start = time.monotonic()
            answer = client.read_to_end(3.0)
            assert 0.8 < time.monotonic() - start < 2.0
            assert answer == b"" or answer.startswith(b"HTTP/1.1 408 "), answer


def test_head_limits():
    """a head over 8 KiB, a line over 4 KiB or more than 64 headers is 431 (H9)"""
    with Server() as server:
        for headers in ((f"X: {'a' * 4200}",), tuple(f"X{n}: {'a' * 1000}" for n in range(9)),
                        tuple(f"X{n}: a" for n in range(60)), (f"{'X' * 4200}: a",),
                        (f"X: {'a' * 100000}",), tuple(f"X{n}: a" for n in range(2000))):
            expect_error(upgrade_all(server, headers), 431)
        expect_error(upgrade_all(server, (), path="/ws?" + "a" * 4200), 431)
        passing = ((f"X: {'a' * 4000}",), tuple(f"X{n}: {'a' * 900}" for n in range(8)),
                   tuple(f"X{n}: a" for n in range(59)))
        for headers in passing:
            assert upgrade(server, headers=headers).status == 101, headers[0][:9]


def upgrade_all(server, headers, path="/ws"):
    """Like upgrade, when the server may answer before it has read everything."""
    return exchange(server.port, upgrade_request(server.port, path, headers=headers))


def test_head_byte_by_byte():
    """a request is the same however it is cut; a head that grows for ever is 431 (H10)"""
    with Server() as server:
        with Client(server.port, handshake=False) as client:
            data = upgrade_request(server.port)
            for index in range(len(data)):
                client.send_bytes(data[index:index + 1])
            client.read_upgrade(b"dGhlIHNhbXBsZSBub25jZQ==")
            client.read_state()
        with Client(server.port, handshake=False) as client:
            with contextlib.suppress(Ended):
                client.send_bytes(b"GET /ws HTTP/1.1\r\nHost: x\r\n")
                for index in range(9000):
                    client.send_bytes(b"\n" if index % 80 == 79 else b"\r" if index % 80 == 78 else
                                      b":" if index % 80 == 5 else b"x")
            assert client.read_to_end().startswith(b"HTTP/1.1 431 ")


def test_hostile_lists():
    """subprotocols and extensions full of spaces, commas and quotes cost nothing (H11)"""
    with Server() as server:
        for value in (" " * 4000, "," * 4000, ", " * 2000, "\"" * 4000, "a" * 4000, "a," * 2000,
                      "\t " * 2000, ",a;b=\"" * 600, ";" * 4000):
            start = time.monotonic()
            for name in ("Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Connection"):
                response = upgrade(server, headers=(f"{name}: {value}",))
                assert response.status in (101, 400, 431), (name, value[:10], response.status)
            assert time.monotonic() - start < 2.0, f"{value[:10]!r} took long"


def test_subprotocols():
    """an offered subprotocol is answered when it is spoken, else 400 names it; none stays none"""
    with Server() as server:
        def offer(*lines):
            return upgrade(server, headers=[f"Sec-WebSocket-Protocol: {line}" for line in lines])
        for lines in (("ringcast.bare",), ("x, ringcast.bare",), ("x", "ringcast.bare"),
                      ("ringcast.bare,y",)):
            response = offer(*lines)
            assert response.status == 101, (lines, response.status)
            assert response.headers["sec-websocket-protocol"] == "ringcast.bare"
        error = expect_error(offer("graphql-ws"), 400)
        assert "ringcast.bare" in error["message"], f"the error must name what is spoken: {error}"
        assert "sec-websocket-protocol" not in upgrade(server).headers


def test_extensions_are_declined():
    """offered extensions are declined by silence, right or malformed (RFC 6455 §9.1)"""
    with Server() as server:
        for value in ("permessage-deflate; client_max_window_bits", "x-webkit-deflate-frame", "foo;bar"):
            response = upgrade(server, headers=(f"Sec-WebSocket-Extensions: {value}",))
            assert response.status == 101 and "sec-websocket-extensions" not in response.headers


def test_control_characters():
    """CR, LF, NUL and their like where they do not belong are 400 (H13)"""
    heads = (b"GET /ws HTTP/1.1\nHost: x\n\n", b"GET /ws HTTP/1.1\r\nHost: x\n\r\n",
             b"GET /w\x00s HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /w\x01s HTTP/1.1\r\nHost: x\r\n\r\n",
             b"GET /w\x7fs HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /w\xe4s HTTP/1.1\r\nHost: x\r\n\r\n",
             b"GET /ws HTTP/1.1\r\nHost : x\r\n\r\n", b"GET /ws HTTP/1.1\r\nHost: x\r\n Folded: y\r\n\r\n",
             b"GET /ws HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc\r\n\r\n",
             b"GET /ws HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
             b"GET /ws HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
             b"GET /ws HTTP/1.1\r\nHost: x\r\nA\x00: b\r\n\r\n",
             b"GET /ws HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n", b"GET /ws HTTP/1.1\r\nHost: x\r\nnocolon\r\n\r\n",
             b"GET /ws HTTP/1.1\r\nHost: x\r\nA B: c\r\n\r\n", b"GET /ws HTTP/1.1\r\n Host: x\r\n\r\n",
             b"GET /ws HTTP/1.1\r\nHost: x\r\nA: \x1b[31m\r\n\r\n", b"GET /ws HTTP/1.1\r\r\nHost: x\r\n\r\n")
    with Server() as server:
        for head in heads:
            try:
                expect_error(exchange(server.port, head), 400)
            except (AssertionError, TimeoutError) as why:
                raise AssertionError(f"{head!r}: {why}") from None


def test_bodies_on_upgrade():
    """a handshake with a body is 400; Content-Length: 0 is none (H14)"""
    with Server() as server:
        for headers in (("Content-Length: 5",), ("Transfer-Encoding: chunked",),
                        ("Transfer-Encoding: identity",), ("Content-Length: 5", "Transfer-Encoding: chunked"),
                        ("Content-Length: 0", "Transfer-Encoding: chunked"),
                        ("Content-Length: 0", "Content-Length: 5"), ("Content-Length: abc",),
                        ("Content-Length: -0",), ("Content-Length: 99999999999999999999999",)):
            response = exchange(server.port, upgrade_request(server.port, headers=headers) + b"hello")
            assert response.status in (400, 413, 501), (headers, response.status)
        assert upgrade(server, headers=("Content-Length: 0",)).status == 101


def test_pipelined_request():
    """a second request behind a failed upgrade is not answered (H18)"""
    with Server() as server:
        wrong = upgrade_request(server.port, without=("Sec-WebSocket-Key",))
        expect_error(exchange(server.port, wrong + upgrade_request(server.port)), 400)
        expect_error(exchange(server.port, b"GET /no HTTP/1.1\r\nHost: x\r\n\r\n" * 100), 404)


def test_big_leftover_does_not_eat_the_answer():
    """who sends a lot behind a refused request can still read why it was refused (RFC 9112 §9.6)"""
    with Server() as server:
        for _ in range(5):
            wrong = upgrade_request(server.port, without=("Sec-WebSocket-Key",))
            expect_error(exchange(server.port, wrong + b"x" * 60000), 400)


def test_expectations():
    """Expect: 100-continue is not continued (H19)"""
    with Server() as server:
        expect_error(upgrade(server, headers=("Expect: 100-continue",)), 417)


def test_vanishing_in_the_handshake():
    """resets and half-closed sockets around the request leave nothing behind (H26)"""
    with Server("--handshake", "2s") as server:
        data = upgrade_request(server.port)
        server.metrics()
        descriptors = server.descriptors()
        for size in (0, 1, 20, len(data) - 1, len(data)):
            for how in ("reset", "close", "half"):
                client = Client(server.port, handshake=False)
                client.send_bytes(data[:size])
                if how == "reset":
                    client.reset()
                elif how == "close":
                    client.socket.close()
                else:
                    client.socket.shutdown(socket.SHUT_WR)
                    with contextlib.suppress(Ended):
                        client.read_to_end(5)
                    client.socket.close()
        server.wait_metric(0, "ringcast_connections", kind="kart")
        server.wait_metric(0, "ringcast_members", kind="kart")
        wait_until(lambda: server.descriptors() <= descriptors, 5, server.descriptors)


def test_refusals_are_counted():
    """each refused handshake is in ringcast_handshakes_rejected_total, under its reason"""
    with Server("--workers", "1") as server:
        before = server.metric("ringcast_handshakes_rejected_total")
        for headers, without in (((), ("Sec-WebSocket-Key",)), ((), ("Upgrade",)),
                                 (("Content-Length: 1",), ())):
            upgrade(server, headers=headers, without=without)
        upgrade(server, path="/ws/kart/a.b")
        after = server.metrics()
        assert after.get("ringcast_handshakes_rejected_total") == before + 4
        reasons = {labels["reason"] for name, labels, value in after.samples
                   if name == "ringcast_handshakes_rejected_total" and value > 0}
        assert len(reasons) >= 4, reasons
        lines = wait_until(lambda: len(server.log_lines(event="refused")) >= 4 and
                           server.log_lines(event="refused"), 2, server.log_text)
        assert [line["status"] for line in lines] == ["400", "426", "400", "404"], lines
        assert all(line["reason"] for line in lines), lines


def test_connections_are_bounded():
    """past --connections newcomers are turned away, members stay, and a free place can be taken"""
    with Server("--connections", "8") as server:
        members = []
        for _ in range(20):
            with contextlib.suppress(Refused, Ended, TimeoutError):
                members.append(Client(server.port, timeout=1.0))
        assert 4 <= len(members) <= 8, f"{len(members)} members"
        for member in members:
            assert member.is_alive()
        members.pop().leave()

        def place():
            with contextlib.suppress(Refused, Ended, TimeoutError):
                return Client(server.port, timeout=1.0)
        with wait_until(place, 5, "the place is free again") as client:
            client.read_state()


def test_operators_get_in_when_full():
    """when all places are taken and more clients press in, /metrics and /healthz still answer"""
    with Server("--connections", "64") as server:
        members = []
        with contextlib.suppress(Refused, Ended, TimeoutError):
            while len(members) < 70:
                members.append(server.client())
        pressing = [Client(server.port, handshake=False) for _ in range(200)]
        for _ in range(10):
            assert server.get("/healthz").status == 200
            assert server.metric("ringcast_connections", kind="kart") == len(members)
        for client in members + pressing:
            client.socket.close()


@alone
def test_a_crowd_of_slow_handshakes():
    """500 half-sent requests disturb no member and are all gone after the deadline (H8)"""
    with Server("--dev", "--handshake", "2s", "--kart-tick", "100ms", "--kart-stamp") as server:
        with server.client() as member:
            member.read_state()
            reader = Reader(member)
            half = upgrade_request(server.port)[:60]
            clients = []
            for _ in range(500):
                clients.append(Client(server.port, handshake=False))
                clients[-1].send_bytes(half)
            wait_until(lambda: server.metric("ringcast_connections_open") >= 500, 1.5,
                       lambda: server.metric("ringcast_connections_open"))
            wait_until(lambda: server.metric("ringcast_connections_open") <= 3, 6,
                       lambda: server.metric("ringcast_connections_open"))
            assert longest_gap(reader.stop()) < 0.5
            server.wait_metric(1, "ringcast_request_buffers_in_use")  # the one that asks
            for client in clients:
                client.socket.close()
            assert member.is_alive()


def test_many_handshakes_at_once():
    """200 clients that connect at the same moment all get in"""
    with Server() as server:
        clients, failures = [], []

        def join():
            try:
                client = Client(server.port, timeout=10)
                client.read_state()
                clients.append(client)
            except Exception as why:  # noqa: BLE001 -- shown below
                failures.append(repr(why))
        threads = [threading.Thread(target=join) for _ in range(200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures and len(clients) == 200, failures[:3]
        clients[0].send_bytes(make_frame(PING, b"x"))
        assert clients[0].read_until_pong()[0] == b"x"

"""tests/e2e/test_proxies.py: whose connection it is behind a proxy: X-Forwarded-For from trusted ones (THREATS.md H22)
and PROXY protocol v2 (H21). The proxies are 127.0.0.x, which are all this machine."""
import contextlib
import socket
import struct
import time

from harness import Server, exchange, expect_error, request, wait_until
from rawclient import Client, Ended, Refused, upgrade_request

LIMITED = "ringcast_rate_limited_total"
FEW = ("--address-connections", "2", "--address-handshakes", "0")
TRUST = ("--trusted-proxy", "127.0.0.1", "--trusted-proxy", "10.0.0.0/8,2001:db8:1::/48")
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def forwarded(server, value, *, source="127.0.0.1", more=()):
    lines = () if value is None else (f"X-Forwarded-For: {value}",)
    return Client(server.port, headers=(*lines, *more), source=source)


def refused(server, value, *, source="127.0.0.1"):
    """The status and code that are answered in place of the WebSocket."""
    try:
        forwarded(server, value, source=source).socket.close()
    except Refused as why:
        return why.response.status, expect_error(why.response, why.response.status)["code"]
    raise AssertionError(f"{value} was let in")


def ips(server):
    return [line["ip"] for line in server.log_lines(event="connected")]


# ---- X-Forwarded-For

def test_clients_of_a_trusted_proxy_count_by_their_own_addresses():
    """the right-most hop that is not trusted is who counts, is in the log, and pays; others of the same proxy are not
    concerned (H22)"""
    with Server(*FEW, *TRUST) as server:
        clients = [forwarded(server, "198.51.100.7"), forwarded(server, "1.2.3.4, 198.51.100.7, 10.0.0.2")]
        assert refused(server, "198.51.100.7") == (429, "too_many_connections")
        assert refused(server, "10.9.9.9, 198.51.100.7,10.0.0.3:443") == (429, "too_many_connections")
        clients += [forwarded(server, f"198.51.100.{number}") for number in range(8, 28)]
        for client in clients:
            assert client.is_alive()
        assert server.metric(LIMITED, scope="address_connections") == 2
        wait_until(lambda: len(ips(server)) == 22, 2, server.log_text)
        assert ips(server).count("198.51.100.7") == 2 and "127.0.0.1" not in ips(server), ips(server)
        clients.pop(0).leave()
        wait_until(lambda: server.log_lines(event="disconnected", ip="198.51.100.7"), 2, server.log_text)
        again = wait_until(lambda: let_in(server, "198.51.100.7"), 3, "its place is free")
        assert refused(server, "198.51.100.7") == (429, "too_many_connections")
        for client in [*clients, again]:
            client.socket.close()


def let_in(server, value):
    with contextlib.suppress(Refused):
        return forwarded(server, value)


def test_addresses_of_ipv6_clients():
    """an IPv6 client counts by its /64, an IPv4 one in IPv6's clothes as IPv4 (H22, H23)"""
    with Server(*FEW, *TRUST) as server:
        clients = [forwarded(server, "2001:db8:7:7::1"), forwarded(server, "[2001:db8:7:7::2]:5000, 2001:db8:1::9")]
        assert refused(server, "2001:db8:7:7:ffff::3") == (429, "too_many_connections")
        clients += [forwarded(server, "::ffff:198.51.100.7"), forwarded(server, "198.51.100.7:80")]
        assert refused(server, "198.51.100.7") == (429, "too_many_connections")
        clients.append(forwarded(server, "2001:db8:7:8::1"))
        for client in clients:
            client.socket.close()


def test_a_place_moves_with_its_connection():
    """a connection that another worker takes over keeps its client's address, and gives that place back (H22)"""
    with Server("--workers", "4", *FEW, *TRUST) as server:
        for _ in range(4):
            clients = [Client(server.port, f"/ws/kart/r{number}", headers=(f"X-Forwarded-For: 192.0.2.{number // 2}",))
                       for number in range(8)]
            for number in range(4):
                assert refused(server, f"192.0.2.{number}") == (429, "too_many_connections")
            for client in clients:
                client.socket.close()
            server.wait_metric(0, "ringcast_members", kind="kart")
            server.wait_metric(1, "ringcast_connections_open")
        assert len({line["worker"] for line in server.log_lines(event="connected")}) > 1


def test_strangers_are_not_believed():
    """from who is no trusted proxy the header is nothing: it neither lifts a limit nor lays it on somebody (H22)"""
    with Server(*FEW, *TRUST) as server:
        clients = [forwarded(server, f"198.51.100.{number}", source="127.0.0.2") for number in range(2)]
        assert refused(server, "198.51.100.9", source="127.0.0.2") == (429, "too_many_connections")
        assert refused(server, "127.0.0.2") == (429, "too_many_connections")  # the same one, by a proxy
        clients += [forwarded(server, f"198.51.100.{number}") for number in (0, 0)]
        wait_until(lambda: len(ips(server)) == 4, 2, server.log_text)
        assert sorted(ips(server)) == ["127.0.0.2"] * 2 + ["198.51.100.0"] * 2, ips(server)
        for client in clients:
            client.socket.close()


def test_other_headers_of_a_trusted_proxy():
    """X-Real-IP, Forwarded and the like are never looked at: without X-Forwarded-For the proxy itself counts (H22)"""
    headers = ("X-Real-IP: 198.51.100.7", "Forwarded: for=198.51.100.7", "CF-Connecting-IP: 198.51.100.7")
    with Server(*FEW, *TRUST) as server:
        clients = [forwarded(server, None, more=headers) for _ in range(2)]
        assert refused(server, None) == (429, "too_many_connections")
        assert "198.51.100" not in server.log_text()
        clients.append(forwarded(server, "198.51.100.7"))
        for client in clients:
            client.socket.close()


def test_a_proxy_that_says_nonsense():
    """what a trusted proxy says and is no address is 400; what a client has put left of its address is not read (H22)"""
    with Server(*TRUST) as server:
        for value in ("unknown", "_hidden", "198.51.100.7, nonsense, 10.0.0.2", "1.2.3", "[::1", "198.51.100.7/8"):
            assert refused(server, value) == (400, "bad_forwarded"), value
        assert server.metric("ringcast_handshakes_rejected_total", reason="bad_forwarded") == 6
        with forwarded(server, "nonsense, <b>, 198.51.100.7, 10.0.0.2") as client:
            client.read_state()
        server.wait_metric(1, "ringcast_connections_open")


def test_handshakes_of_a_proxys_clients():
    """how often an address comes is its own, too: one client of a proxy that connects too often is refused alone, with
    Retry-After, and silent sockets of a proxy end at the handshake's deadline (H22, H23)"""
    with Server("--address-handshakes", "5", "--handshake", "500ms", *TRUST) as server:
        statuses = []
        for _ in range(20):
            response = request(server.port, "GET", "/none", headers={"X-Forwarded-For": "198.51.100.7"})
            statuses.append(response.status)
            assert response.status == 404 or int(response.headers["retry-after"]) >= 1
        assert statuses[:10] == [404] * 10 and statuses.count(429) >= 5, statuses
        with forwarded(server, "198.51.100.8") as client:
            client.read_state()
        silent = [Client(server.port, handshake=False) for _ in range(30)]
        for client in silent:
            assert client.read_to_end(3) == b""
            client.socket.close()


def test_rooms_count_with_the_client():
    """rooms count with the client's address, not with the proxy's (H22, R7)"""
    with Server("--address-rooms", "1", *TRUST) as server:
        def acquire(address):
            return request(server.port, "POST", "/api/rooms", headers={"X-Forwarded-For": address}).status
        assert acquire("198.51.100.7") == 200 and acquire("198.51.100.7") == 429
        assert acquire("198.51.100.8") == 200


# ---- PROXY v2

def header(source="198.51.100.7", *, command=0x21, family=None, block=None, more=b"", size=None):
    v6 = ":" in source
    if block is None:
        kind = socket.AF_INET6 if v6 else socket.AF_INET
        block = socket.inet_pton(kind, source) + socket.inet_pton(kind, "::1" if v6 else "127.0.0.1")
        block += struct.pack(">HH", 54321, 8080)
    block += more
    family = (0x21 if v6 else 0x11) if family is None else family
    return SIGNATURE + struct.pack(">BBH", command, family, len(block) if size is None else size) + block


def proxied(server, head, *, source="127.0.0.1", headers=(), at_once=True):
    """A client whose connection begins with this header."""
    client = Client(server.port, handshake=False, source=source)
    asked = upgrade_request(server.port, headers=headers)
    if at_once:
        client.send_bytes(head + asked)
    else:
        client.send_bytes(head)
        client.send_bytes(asked)
    response = client.read_response()
    if response.status != 101:
        client.socket.close()
        raise Refused(response)
    return client


def test_proxy_protocol():
    """with --proxy-protocol the header says whose connection it is: for limits and in the log (H21)"""
    with Server("--proxy-protocol", *FEW, *TRUST) as server:
        tlvs = b"\x04\x00\x00" + b"\x02\x00\x0bexample.com" + b"\xea\x00\x05\x01vpce"
        clients = [proxied(server, header()), proxied(server, header(more=tlvs), at_once=False)]
        try:
            proxied(server, header())
            raise AssertionError("a third one was let in")
        except Refused as why:
            assert expect_error(why.response, 429)["code"] == "too_many_connections"
            assert int(why.response.headers["retry-after"]) >= 1
        clients += [proxied(server, header("2001:db8:7::1")), proxied(server, header("::ffff:198.51.100.8"))]
        wait_until(lambda: len(ips(server)) == 4, 2, server.log_text)
        assert sorted(ips(server)) == ["198.51.100.7", "198.51.100.7", "198.51.100.8", "2001:db8:7::1"], ips(server)
        for client in clients:
            client.read_state()
        clients.pop(0).leave()
        wait_until(lambda: let_proxied_in(server), 3, "its place is free").socket.close()
        for client in clients:
            client.socket.close()


def let_proxied_in(server):
    with contextlib.suppress(Refused):
        return proxied(server, header())


def test_proxy_protocol_without_a_client():
    """a proxy that speaks for itself, or of what has no IP address, counts as itself; and its X-Forwarded-For still
    tells whose request it is (H21, H22)"""
    with Server("--proxy-protocol", *TRUST) as server:
        for head in (header(command=0x20, family=0, block=b""), header(command=0x20, family=0x77, block=b"x" * 99),
                     header(family=0x00, block=b""), header(family=0x31, block=b"\0" * 216),
                     header(family=0x12, block=b"\1" * 12)):
            with proxied(server, head) as client:
                client.read_state()
        for head in (header("10.0.0.9"), header(command=0x20, family=0, block=b"")):
            with proxied(server, head, headers=("X-Forwarded-For: 198.51.100.9, 10.0.0.8",)) as client:
                client.read_state()
        with proxied(server, header(), headers=("X-Forwarded-For: 203.0.113.1",)) as client:  # no proxy said that
            client.read_state()
        wait_until(lambda: len(ips(server)) == 8, 2, server.log_text)
        assert sorted(ips(server)) == ["127.0.0.1"] * 5 + ["198.51.100.7"] + ["198.51.100.9"] * 2, ips(server)


WRONG = (b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", b"PROXY TCP4 198.51.100.7 127.0.0.1 54321 8080\r\n",
         b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64, b"SSH-2.0-OpenSSH_9.2\r\n", b"\0" * 5000,
         SIGNATURE + b"\x11\x11\0\x0c" + b"\0" * 12, header(command=0x22), header(family=0x41), header(family=0x13),
         header(block=b"\0" * 11), header("::1", block=b"\0" * 35), header(more=b"\x04"), header(more=b"\x04\0\x01"),
         header(more=b"\x04\xff\xffxxxx"), header(size=0xFFFF), header(size=1009), b"\r\n\r\n" * 10,
         header(block=b"\0" * 12 + b"\x04\x00\x10short"))


def test_what_is_no_header():
    """under --proxy-protocol anything but a sound PROXY v2 header is closed in silence and counted: v1, TLS, SSH, plain
    HTTP, vectors past the end, a size over the bound (H21)"""
    with Server("--proxy-protocol", *TRUST) as server:
        for data in WRONG:
            with Client(server.port, handshake=False) as client:
                with contextlib.suppress(Ended):
                    client.send_bytes(data)
                assert client.read_to_end(2.0) == b"", data
        ended = "ringcast_http_connections_ended_total"
        server.wait_metric(len(WRONG), ended, reason="proxy_header")
        server.wait_metric(1, "ringcast_connections_open")
        with proxied(server, header()) as client:
            client.read_state()


def test_a_header_that_does_not_come():
    """a header that is cut, slow or missing ends at the handshake's deadline in silence; in pieces it is read (H21)"""
    with Server("--proxy-protocol", "--handshake", "700ms", *TRUST) as server:
        cut = [b"", SIGNATURE[:1], SIGNATURE, header()[:16], header()[:-1], header(more=b"\x04\0\x10" + b"x" * 16)[:-1]]
        waiting = []
        for data in cut:
            waiting.append(Client(server.port, handshake=False))
            if data:
                waiting[-1].send_bytes(data)
        for client in waiting:
            assert client.read_to_end(3.0) == b""
            client.socket.close()
        server.wait_metric(len(cut), "ringcast_http_connections_ended_total", reason="handshake_timeout")
        with Client(server.port, handshake=False) as client:
            for byte in header(more=b"\x04\0\x02xx") + upgrade_request(server.port):
                client.send_bytes(bytes([byte]))
            assert client.read_response().status == 101
        with Client(server.port, handshake=False) as client:  # the request does not come: that is told
            client.send_bytes(header() + b"GET /")
            assert client.read_to_end(3.0).startswith(b"HTTP/1.1 408 ")
        server.wait_metric(1, "ringcast_request_buffers_in_use")


def test_strangers_under_proxy_protocol():
    """who is no trusted proxy is closed at once, whatever it sends, counted and logged; the internal listener speaks
    plain HTTP (H21)"""
    with Server("--proxy-protocol", *TRUST) as server:
        for data in (header(), upgrade_request(server.port), b""):
            with Client(server.port, handshake=False, source="127.0.0.2") as client:
                begun = time.monotonic()
                with contextlib.suppress(Ended):
                    client.send_bytes(data)
                assert client.read_to_end(2.0) == b"" and time.monotonic() - begun < 1.5
        assert server.metric("ringcast_strangers_refused_total") == 3
        assert len(server.log_lines(event="refused", ip="127.0.0.2", reason="no_trusted_proxy")) == 3
        assert server.get("/healthz").status == 200
        with proxied(server, header()) as client:
            client.read_state()


def test_headers_are_off_by_default():
    """without the option a PROXY header is no HTTP, also from a trusted proxy; with it and without a proxy nobody
    could come, so it does not start (H21)"""
    with Server(*TRUST) as server:
        answer = exchange(server.port, header() + upgrade_request(server.port))
        assert answer.status == 400
    server = Server("--proxy-protocol", ready=False)
    assert server.wait_exit(5) == 2
    server.stopped = True
    assert "--trusted-proxy" in server.log_text()
    server.__exit__(None)

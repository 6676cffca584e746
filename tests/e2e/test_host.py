"""tests/e2e/test_host.py: a host's commands on the internal listener (THREATS.md J, S0-15)."""
import json

from harness import Server, exchange, expect_error, request
from rawclient import Client

COMMANDS = "/v1/rooms/kart/commands"
NOTHING = "/host bonus 0"  # answered with the state as it is


def test_every_command():
    """a host can start, finish, reset, enter a phase, pause, resume, extend, and change the pot"""
    with Server("--dev") as server:
        assert server.do("/host reset") == {"phase": "idle", "pot": 0, "time_remaining_ms": 0}
        assert server.do("/host bonus 500")["pot"] == 500
        assert server.do("/host bonus -200")["pot"] == 300
        state = server.do("/host start")
        assert state["phase"] == "staging" and state["pot"] == 300, state
        paused = server.do("/host pause")["time_remaining_ms"]
        assert 40000 < paused <= 45000
        assert server.do("/host start")["time_remaining_ms"] == paused, "a race is on: nothing changes"
        assert server.do("/host extend 10")["time_remaining_ms"] == paused + 10000
        assert server.do("/host resume")["time_remaining_ms"] <= paused + 10000
        assert server.do("/host phase racing")["phase"] == "racing"
        assert server.do("/host pot 1")["pot"] == 1
        assert server.do("/host finish")["phase"] == "cooldown"
        assert server.do("/host reset") == {"phase": "idle", "pot": 0, "time_remaining_ms": 0}


def test_answer_is_the_state():
    """the answer to a command is the state's exact text, as JSON"""
    with Server("--dev") as server:
        server.do("/host reset")
        response = server.command("/host bonus 500")
        assert response.body == b'{"phase":"idle","pot":500,"time_remaining_ms":0}', response.body
        assert response.headers["content-type"].startswith("application/json")


def test_authorization():
    """without the right key a command is 401, says how to authenticate, and does nothing"""
    body = b'{"command":"/host bonus 500"}'
    with Server("--dev") as server:
        before = server.do("/host reset")
        for value in (None, "Bearer wrong", "Bearer", "Bearer ", "dev", "Basic ZGV2", "Bearer devil",
                      "Bearer de", "Bearer Dev", "Bearer dev dev", "Bearer \xe4"):
            headers = {} if value is None else {"Authorization": value}
            response = request(server.admin, "POST", COMMANDS, headers=headers, body=body)
            expect_error(response, 401)
            assert response.headers.get("www-authenticate", "").startswith("Bearer"), value
        assert server.do(NOTHING) == before


def test_scheme_has_any_case():
    """the word Bearer may be written in any case (RFC 9110 §11.1)"""
    with Server("--dev") as server:
        for scheme in ("bearer", "BEARER"):
            response = request(server.admin, "POST", COMMANDS, body=b'{"command":"/host help"}',
                               headers={"Authorization": f"{scheme} dev"})
            assert response.status == 200, (scheme, response.status)


def test_two_authorizations():
    """two Authorization headers are not one that is right"""
    with Server("--dev") as server:
        body = b'{"command":"/host bonus 1"}'
        for first, second in (("dev", "wrong"), ("wrong", "dev")):
            response = exchange(server.admin, (
                f"POST {COMMANDS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {first}\r\n"
                f"Authorization: Bearer {second}\r\nContent-Length: {len(body)}\r\n\r\n"
            ).encode() + body)
            assert response.status in (400, 401), response.status


def test_key_from_the_environment():
    """the key is RINGCAST_API_KEY; without --dev the key `dev` opens nothing"""
    with Server(env={"RINGCAST_API_KEY": "correct horse/battery+staple"}) as server:
        assert server.do("/host pot 5")["pot"] == 5
        expect_error(server.command("/host pot 6", key="dev"), 401)
        assert server.do(NOTHING)["pot"] == 5


def test_no_key_no_commands():
    """without --dev and without a key nobody can command"""
    with Server() as server:
        for key in ("dev", "", "x"):
            response = server.command("/host bonus 1", key=key or " ")
            assert response.status in (401, 403, 503), response.status
        with server.client() as client:
            assert client.read_state()["pot"] == 0


def test_help_command():
    """/host help answers in words what is understood"""
    with Server("--dev") as server:
        before = server.do("/host reset")
        message = server.do("/host help")["message"]
        for word in ("start", "finish", "reset", "phase", "bonus", "pot", "pause", "resume", "extend"):
            assert f"/host {word}" in message, message
        assert server.do(NOTHING) == before


def expect_understood(response):
    """400, with what is understood in words."""
    error = expect_error(response, 400)
    assert "/host bonus" in error["message"] and "/host start" in error["message"], error


def test_unknown_commands():
    """what is not a command, or has a wrong argument, is 400 with what is understood"""
    with Server("--dev") as server:
        before = server.do("/host reset")
        for line in ("", " ", "/host", "/host dance", "host start", "/HOST start", "/host Start",
                     "/host bonus", "/host bonus many", "/host bonus 1.5", "/host bonus 1 2",
                     "/host bonus 99999999999999999999999", "/host phase lunch", "/host start now",
                     "/host start\n", "\u00e4", "\U0001f3c1", "x" * 3000):
            expect_understood(server.command(line))
        assert server.do(NOTHING) == before


def test_refused_commands():
    """what the rules forbid now is 409, with the reason, and changes nothing"""
    with Server("--dev") as server:
        before = server.do("/host reset")
        for line in ("/host bonus -1", "/host pot -1", "/host pot 9007199254740992", "/host finish",
                     "/host pause", "/host resume", "/host extend 5"):
            expect_error(server.command(line), 409)
        assert server.do(NOTHING) == before


def test_broken_bodies():
    """a body that is not {"command":"..."} is 400 and does nothing"""
    bodies = [b"", b" ", b"{", b"}", b"null", b"5", b'"/host start"', b"[]", b"{}", b'["/host start"]',
              b'{"command":5}', b'{"command":null}', b'{"command":["/host start"]}',
              b'{"Command":"/host start"}', b'{"command":"/host start"',
              b'{"command":"/host start"}x', b'{"command":"/host start"}{}',
              b"{'command':'/host start'}", b'{command:"/host start"}', b'{"command":"/host start",}',
              b'{"command":"/host start" /* now */}', b'{"command":"/host\nstart"}',
              b'{"command":"\\ud800"}', b'{"command":"/host bonus 5\\u0000"}',
              b'{"command":"\xff"}', b'\xff\xfe{\x00', b'{"x":"\xc3"}',
              b'{"command":"/host bonus 1","command":"/host bonus 1"}',
              b'{"command":"/host bonus 1","x":NaN}', b'{"command":"/host bonus 1","x":01}',
              b"[" * 4000, b'{"command":' + b"[" * 2000 + b"]" * 2000 + b"}",
              b'{"command":"/host bonus 1","x":' + b"[" * 1900 + b"]" * 1900 + b"}",
              b'{"a":' * 600 + b"1" + b"}" * 600]
    with Server("--dev") as server:
        before = server.do("/host reset")
        for body in bodies:
            response = server.post(COMMANDS, body)
            assert response.status == 400, f"{body[:60]!r}: {response.status} {response.body!r}"
            expect_error(response, 400)
        assert server.do(NOTHING) == before


def test_broken_bodies_are_told_what_is_understood():
    """the answer to a broken body says what is understood, as that to an unknown command does"""
    with Server("--dev") as server:
        for body in (b"", b"{", b"[]", b"{}", b'{"command":5}', b'{"command":"/host b\\u0000"}',
                     b'{"command":"\xff"}', b"[" * 1000, b'{"command":"a","command":"b"}'):
            expect_understood(server.post(COMMANDS, body))


def test_escapes_in_a_command():
    """a command may be written with JSON's escapes and white space"""
    with Server("--dev") as server:
        server.do("/host reset")
        body = b' \r\n{ "command" :\t"\\u002fhost\\u0020bonus 5" } \n'
        assert json.loads(server.post(COMMANDS, body).body)["pot"] == 5


def test_body_size():
    """a body of 4096 bytes is read, a larger one is 413 before it has come"""
    with Server("--dev") as server:
        assert server.post(COMMANDS, b'{"command":"/host help"}'.ljust(4096)).status == 200
        expect_error(server.post(COMMANDS, b'{"command":"/host help"}'.ljust(4097)), 413)
        head = (f"POST {COMMANDS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer dev\r\n"
                "Content-Length: 1000000000\r\n\r\n")
        expect_error(exchange(server.admin, head.encode()), 413)


def test_methods():
    """commands take POST only, what is read takes GET only"""
    with Server("--dev") as server:
        for method in ("GET", "PUT", "DELETE", "PATCH"):
            response = request(server.admin, method, COMMANDS,
                               headers={"Authorization": "Bearer dev"})
            expect_error(response, 405)
            assert response.headers["allow"] == "POST", response.headers
        for path in ("/metrics", "/healthz", "/readyz"):
            response = request(server.admin, "POST", path, body=b"")
            expect_error(response, 405)
            assert "GET" in response.headers["allow"], response.headers
        expect_error(server.get("/nothing"), 404)


def test_body_in_pieces():
    """head and body may come in pieces, byte by byte"""
    body = b'{"command":"/host pot 44"}'
    with Server("--dev") as server, Client(server.admin, handshake=False) as client:
        data = (f"POST {COMMANDS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer dev\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode() + body
        for index in range(len(data)):
            client.send_bytes(data[index:index + 1])
        response = client.read_response()
        assert response.status == 200 and response.json()["pot"] == 44


def test_no_chunks():
    """a chunked body is refused, and one with a length beside it as well (THREATS H14)"""
    chunked = b"1a\r\n{\"command\":\"/host pot 4\"}\r\n0\r\n\r\n"
    head = f"POST {COMMANDS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer dev\r\n"
    with Server("--dev") as server:
        before = server.do("/host reset")
        expect_error(exchange(server.admin, (head + "Transfer-Encoding: chunked\r\n\r\n").encode() +
                              chunked), 400, 501)
        for lines in ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
                      "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                      "Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
                      "Content-Length: +5\r\n\r\n", "Content-Length: 0x5\r\n\r\n",
                      "Content-Length: 5, 5\r\n\r\n", "Content-Length: -1\r\n\r\n"):
            expect_error(exchange(server.admin, (head + lines).encode() + chunked), 400)
        assert server.do(NOTHING) == before


def test_health():
    """/healthz and /readyz answer without a key"""
    with Server() as server:
        response = server.get("/healthz")
        assert (response.status, response.json()) == (200, {"status": "ok"})
        assert server.get("/readyz").status == 200


def test_metrics_are_well_formed():
    """/metrics is Prometheus text: each sample has a type, no sample comes twice"""
    with Server() as server, server.client() as client:
        client.read_state()
        response = server.get("/metrics")
        assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
        metrics, seen = server.metrics(), set()
        for name, labels, _ in metrics.samples:
            assert name in metrics.types or name.rsplit("_", 1)[0] in metrics.types, name
            assert (name, tuple(sorted(labels.items()))) not in seen, f"{name} {labels} twice"
            seen.add((name, tuple(sorted(labels.items()))))
        for name in ("ringcast_connections", "ringcast_connections_open", "ringcast_rooms",
                     "ringcast_frame_encodes_total", "ringcast_ticks_total", "ringcast_members",
                     "ringcast_disconnects_total", "ringcast_frames_sent_total",
                     "ringcast_bytes_sent_total", "ringcast_bytes_received_total",
                     "ringcast_dropped_total", "ringcast_frames_live",
                     "ringcast_outbox_storage_in_use", "ringcast_message_buffers_in_use",
                     "ringcast_request_buffers_in_use", "ringcast_receive_buffers_free",
                     "ringcast_messages_received_total", "ringcast_handshakes_rejected_total",
                     "ringcast_tick_overruns_total"):
            assert name in metrics.types, f"/metrics does not know {name}"

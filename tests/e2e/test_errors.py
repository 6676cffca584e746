"""tests/e2e/test_errors.py: errors that no other test calls by name, each as the table in ERRORS.md has it
(tests/tools/errors.py sees that every error is named by some test)."""
import contextlib
import json
import tempfile
import time

from harness import Server, exchange, expect_error, request
from rawclient import TEXT, Client, deflate, upgrade_request
from test_defaults import token_of


def head(line, *lines):
    return (line + "\r\n" + "".join(one + "\r\n" for one in lines) + "\r\n").encode("latin-1")


def test_requests():
    """what is no request, or none of HTTP/1.1 as it is spoken here, is refused by its code, and counted by it"""
    get, host = "GET /ws HTTP/1.1", "Host: x"
    wrong = [
        (head("GET\t/ws HTTP/1.1", host), 400, "bad_request_line"), (head("GET  /ws HTTP/1.1", host), 400, "bad_request_line"),
        (head(get, host, "A: \x01"), 400, "bad_character"), (head(get, host, "A : b"), 400, "bad_header"),
        (head(get, host, " folded: b"), 400, "bad_header"), (head(get), 400, "bad_host"), (head(get, host, host), 400, "bad_host"),
        (head("GET /%zz HTTP/1.1", host), 400, "bad_target"), (head("GET ws HTTP/1.1", host), 400, "bad_target"),
        (head("PATCH /api/rooms/1/start HTTP/1.1", host, "Content-Length: x"), 400, "bad_length"),
        (head(get, host, "Content-Length: 5") + b"hello", 400, "body_not_allowed"),
        (head("POST /api/rooms HTTP/1.1", host, "Content-Length: 5000"), 413, "body_too_big"),
        (head("POST /api/rooms HTTP/1.1", host, "Content-Length: 1", "Expect: 100-continue"), 417, "expectation"),
        (head(get, host, "A: " + "x" * 5000), 431, "head_too_big"),
        (head("POST /api/rooms HTTP/1.1", host, "Transfer-Encoding: chunked"), 501, "not_implemented"),
        (head("GET /ws HTTP/2.0", host), 505, "bad_version"), (head("GET /nowhere HTTP/1.1", host), 404, "not_found"),
    ]
    with Server("--dev") as server:
        for data, status, code in wrong:
            assert expect_error(exchange(server.port, data), status)["code"] == code, data
            assert server.metric("ringcast_handshakes_rejected_total", reason=code) >= 1


def test_handshakes():
    """what is no handshake of RFC 6455 is refused by its code, and so is a foreign page"""
    with Server() as server:
        def refused(status, code, path="/ws", **how):
            with Client(server.port, handshake=False) as client:  # a 426 names Upgrade beside close
                client.send_bytes(upgrade_request(server.port, path, **how))
                assert expect_error(client.read_response(), status)["code"] == code, how

        refused(400, "websocket_key", key=b"short")
        refused(400, "subprotocol", headers=["Sec-WebSocket-Protocol: chess"])
        refused(400, "subprotocol_syntax", headers=["Sec-WebSocket-Protocol: a b"])
        refused(400, "extension_syntax", headers=["Sec-WebSocket-Extensions: ;"])
        refused(403, "origin_not_allowed", headers=["Origin: https://evil.example"])
        refused(426, "upgrade_required", without=["Upgrade"])
        refused(426, "websocket_version", without=["Sec-WebSocket-Version"])
        old = upgrade_request(server.port).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
        assert expect_error(exchange(server.port, old), 400)["code"] == "http_too_old"
        assert expect_error(request(server.port, "POST", "/ws", body=b""), 405)["code"] == "method_not_allowed"
        vote = exchange(server.port, upgrade_request(server.port, "/api/rooms"))
        assert (vote.status, vote.json()) == (404, {"error": "no websocket here"})
        vote = request(server.port, "DELETE", "/api/rooms")
        assert (vote.status, vote.json()) == (405, {"error": "method not allowed"})
        vote = request(server.port, "PATCH", "/api/rooms/123456/dance", body=b"")
        assert (vote.status, vote.json()) == (404, {"error": "not found"})


def test_places_and_times():
    """what there is no room, no place or no time for is refused by its code"""
    with Server("--dev", "--handshake", "500ms", "--rooms", "1", "--connections", "3") as server:
        slow = exchange(server.port, b"GET /ws HTTP/1.1\r\n", 4)
        assert expect_error(slow, 408)["code"] == "request_timeout"
        with server.client("/ws/kart/a"), contextlib.ExitStack() as others:
            answer = exchange(server.port, upgrade_request(server.port, "/ws/kart/b"))
            assert expect_error(answer, 503)["code"] == "too_many_rooms"
            for _ in range(2):
                others.enter_context(server.client())
            answer = exchange(server.port, upgrade_request(server.port))
            assert expect_error(answer, 503)["code"] == "full" and int(answer.headers["retry-after"]) >= 1
    with Server("--address-handshakes", "1", "--address-connections", "0") as server:
        answers = [request(server.port, "GET", "/nowhere") for _ in range(5)]
        assert expect_error(answers[-1], 429)["code"] == "too_many_handshakes"
        assert int(answers[-1].headers["retry-after"]) >= 1


def test_commands():
    """a host's command is refused by its code"""
    with Server("--dev") as server:
        for answer, status, code in ((server.post("/v1/rooms/kart/commands", b"{}"), 400, "not_understood"),
                                     (server.command("/host dance"), 400, "not_understood"),
                                     (server.command("/host start", key="wrong"), 401, "unauthorized"),
                                     (server.command("/host start", room="nobody-here"), 404, "no_such_room"),
                                     (server.command("/host pot -1"), 409, "refused")):
            assert expect_error(answer, status)["code"] == code, answer.body


def test_unknown_key():
    """a token that names a key which this server does not have is refused by that (A3)"""
    key = {"kty": "oct", "kid": "one", "alg": "HS384", "k": "A" * 64}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"keys": [key]}, file)
        file.flush()
        with Server("--dev", "--jwt-keys", file.name) as server:
            token = token_of({"alg": "HS384", "kid": "two"}, {"exp": int(time.time()) + 60})
            answer = exchange(server.port, upgrade_request(server.port, f"/ws/rooms/ABC234?token={token}"))
            assert expect_error(answer, 401)["code"] == "unknown_key"


def test_a_bomb():
    """a compressed message that holds far more than it weighs is refused by that (Z2)"""
    with Server("--dev", "--enable-echo", "--echo-deflate") as server:
        with server.client("/echo", offer="permessage-deflate") as client:
            client.send(TEXT, deflate(b"x" * (1 << 20)), rsv=4)
            assert client.read_close() == (1009, "inflates_too_much")

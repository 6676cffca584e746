"""tests/conformance/closing.py: who ends the TCP connection.

Autobahn's client ends its side as soon as it has the server's close frame, so that it never sees a server that would have
kept the connection. These clients keep theirs open and wait: after the closing handshake the server ends TCP, and at once
(RFC 6455 §7.1.1, §5.5.1).
"""
import rawclient
from rawclient import BINARY, CLOSE, CONTINUATION, TEXT, close_payload

PATH = "/echo"
SECONDS = 1.0  # the server's own deadline for a client that does not answer is longer


def echo(client, opcode, payload):
    client.send(opcode, payload)
    frame = client.read_message()
    assert (frame.opcode, frame.payload) == (opcode, payload), f"sent {payload[:20]!r}, got {frame}"


def expect_close(client, wanted):
    """The server's close frame with this code, then the end of the stream, while our side stays open."""
    code, reason = client.read_close()
    assert code == wanted, f"close code {code} {reason!r}, wanted {wanted}"
    if wanted == 1002:
        client.send(CLOSE, close_payload(code))  # the server closed first
    client.read_end(SECONDS)


def closed_by_client(client):
    """the client closes with a code: the server answers with it and ends TCP first"""
    echo(client, TEXT, b"hello")
    client.send(CLOSE, close_payload(1000, b"done"))
    expect_close(client, 1000)


def closed_without_code(client):
    """the client closes without a code: the server answers without one and ends TCP first"""
    client.send(CLOSE)
    expect_close(client, None)


def closed_inside_a_message(client):
    """the client closes between two fragments: the server answers and ends TCP first"""
    client.send(TEXT, b"half", final=False)
    client.send(CLOSE, close_payload(1000))
    expect_close(client, 1000)


def closed_and_written_on(client):
    """the client writes on behind its close frame: the server answers once and ends TCP first"""
    client.send(CLOSE, close_payload(1000))
    client.send(TEXT, b"too late")
    expect_close(client, 1000)


def closed_by_server(client):
    """the server closes for a reserved bit, the client answers: the server ends TCP first"""
    echo(client, BINARY, bytes(1000))
    client.send(TEXT, b"x", rsv=2)
    expect_close(client, 1002)


def closed_by_server_for_order(client):
    """the server closes for a continuation without a start, the client answers: the server ends TCP first"""
    client.send(CONTINUATION, b"alone")
    expect_close(client, 1002)


CHECKS = (closed_by_client, closed_without_code, closed_inside_a_message, closed_and_written_on, closed_by_server,
          closed_by_server_for_order)


def check(port):
    """(sentence, None or what went wrong) for each."""
    for function in CHECKS:
        try:
            with rawclient.Client(port, PATH) as client:
                function(client)
            yield function.__doc__, None
        except Exception as why:  # noqa: BLE001 -- whatever it is, the check has failed and the others go on
            yield function.__doc__, f"{type(why).__name__}: {why}"

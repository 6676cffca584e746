"""tests/e2e/test_cli.py: the command line, the environment, the log."""
import contextlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import time

from harness import (Server, alone, binary, environment, expect_error, free_port, request,
                     wait_until)
from rawclient import CLOSE, TEXT, Refused, close_payload, upgrade_request, Client


def run(*arguments, env=None, **how):
    """A run that must end by itself."""
    return subprocess.run([binary(), *arguments], env=environment(env or {}), timeout=10,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, **how)


def test_usage_errors():
    """a wrong command line is exit 2, with a sentence on stderr that names what is wrong"""
    for arguments, word in ((["serve", "--nonsense"], "nonsense"), (["serve", "--listen"], "listen"),
                            (["serve", "--listen", "nowhere"], "nowhere"), (["frobnicate"], "frobnicate"),
                            (["serve", "--listen", "127.0.0.1:99999"], "99999"),
                            (["serve", "--ping", "soon"], "soon"), (["serve", "--ping", "-1s"], "-1s"),
                            (["serve", "--ping", "5"], "5"), (["serve", "--kart-tick", "0ms"], "0"),
                            (["serve", "--kart-payload", "99999999"], "99999999"),
                            (["serve", "--connections", "-1"], "-1"), (["serve", "--rooms", "x"], "x"),
                            (["serve", "--log-level", "loud"], "loud"),
                            (["serve", "--log-format", "xml"], "xml"), (["serve", "extra"], "extra"),
                            (["--dev=maybe", "serve"], "dev"), (["serve", ""], "")):
        done = run(*arguments)
        assert done.returncode == 2, (arguments, done.returncode, done.stderr)
        assert word in done.stderr and not done.stdout, (arguments, done.stdout, done.stderr)


def test_help():
    """--help is on stdout, exit 0, and names every option that it has"""
    for arguments in (["--help"], ["serve", "--help"]):
        done = run(*arguments)
        assert done.returncode == 0 and not done.stderr, (arguments, done.stderr)
    for option in ("--listen", "--admin", "--dev", "--ping", "--pong", "--handshake", "--drain",
                   "--kart-tick", "--kart-payload", "--kart-stamp", "--kart-autostart",
                   "--allow-origin", "--connections", "--rooms", "--log-level", "--log-format"):
        assert option in done.stdout, f"--help does not know {option}"


def test_version():
    """`ringcast version` says which, exit 0"""
    done = run("version")
    assert done.returncode == 0 and re.search(r"\d+\.\d+", done.stdout), done.stdout + done.stderr


def test_no_command():
    """without a command there is a hint, exit 2"""
    done = run()
    assert done.returncode == 2 and "serve" in done.stderr, (done.returncode, done.stderr)


def test_port_0():
    """port 0, which would be one that nobody knows, is a usage error, wherever it comes from"""
    for options, env in ((("--listen", "127.0.0.1:0"), {}), (("--listen", ":0"), {}),
                         (("--admin", "127.0.0.1:0"), {}), ((), {"RINGCAST_LISTEN": "127.0.0.1:0"}),
                         ((), {"PORT": "0"})):
        admin = () if "--admin" in options else ("--admin", f"127.0.0.1:{free_port()}")
        try:
            done = run("serve", "--dev", *admin, *options, env=env)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{options} {env} is served") from None
        assert done.returncode == 2 and "0" in done.stderr, (options, env, done)


def descriptors(count):
    """For the child: no more than this many descriptors, and no way to get more."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def test_too_few_descriptors():
    """with fewer descriptors than even one client needs, or than --connections asks for, it is exit 71
    with one sentence that names `ulimit -n` and both numbers"""
    for limit, options in ((100, ()), (100, ("--workers", "1")), (25, ("--workers", "1")),
                           (4096, ("--connections", "999999")),
                           (200, ("--workers", "1", "--connections", "100"))):
        done = run("serve", "--dev", "--listen", f"127.0.0.1:{free_port()}", "--admin",
                   f"127.0.0.1:{free_port()}", *options, preexec_fn=descriptors(limit))
        assert done.returncode == 71, (limit, options, done.returncode, done.stderr)
        assert done.stderr.count("\n") == 1 and "`ulimit -n`" in done.stderr, done.stderr
        assert f" {limit})" in done.stderr, done.stderr
        assert not options[-2:-1] == ("--connections",) or options[-1] in done.stderr, done.stderr


def address_space(size):
    """For the child: no more than so many bytes of it."""
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size))


def test_too_little_memory():
    """where the kernel does not give the memory that the limits need, it is exit 71 with one sentence that
    names the remedy, not a crash later; where it does, it starts (R5)"""
    options = ("--workers", "1", "--connections", "50")
    done = run("serve", "--listen", f"127.0.0.1:{free_port()}", "--admin", f"127.0.0.1:{free_port()}",
               *options, preexec_fn=address_space(256 << 20))
    assert done.returncode == 71, (done.returncode, done.stderr)
    assert done.stderr.count("\n") == 1 and "--connections" in done.stderr, done.stderr
    with Server(*options, preexec_fn=address_space(8 << 30)) as server, server.client() as client:
        client.read_state()


def test_few_descriptors_are_shared_out_in_advance():
    """with a few descriptors more than it needs the server holds as many clients as it said, answers
    the next one with 503, and never runs dry"""
    with Server("--dev", "--workers", "1", preexec_fn=descriptors(128)) as server:
        promised = int(server.log_lines(event="limits")[0]["connections"])
        assert 1 <= promised < 20, promised
        clients = [server.client() for _ in range(promised)]
        for client in clients:
            client.read_state()
        for _ in range(20):
            try:
                server.client().socket.close()
                raise AssertionError(f"more than the {promised} that were promised")
            except Refused as why:
                assert why.response.status == 503, why
        assert server.metric("ringcast_accept_pauses_total") == 0
        for client in clients:
            assert client.is_alive()
            client.socket.close()


def test_address_in_use():
    """an address that is taken is exit 71 with a sentence that names it"""
    with contextlib.closing(socket.socket()) as taken:
        port = free_port()
        taken.bind(("127.0.0.1", port))
        taken.listen()
        address = f"127.0.0.1:{port}"
        for options in (("--listen", address, "--admin", f"127.0.0.1:{free_port()}"),
                        ("--listen", f"127.0.0.1:{free_port()}", "--admin", address)):
            done = run("serve", "--dev", *options)
            assert done.returncode == 71, (done.returncode, done.stderr)
            assert str(port) in done.stderr, done.stderr


def test_two_servers_on_one_address():
    """a second server on the same address does not quietly share it: exit 71"""
    with Server("--dev") as server:
        done = run_briefly("serve", "--dev", "--listen", f"127.0.0.1:{server.port}",
                           "--admin", f"127.0.0.1:{free_port()}")
        assert done == 71, f"exit {done}"
        with server.client() as client:
            client.read_state()


def run_briefly(*arguments):
    """The exit code of a run that may not end; then None."""
    process = subprocess.Popen([binary(), *arguments], env=environment({}), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return process.wait(3)
    except subprocess.TimeoutExpired:
        return None
    finally:
        process.kill()
        process.wait()


def test_environment():
    """RINGCAST_<OPTION> sets an option, a flag goes before it"""
    env = {"RINGCAST_KART_TICK": "50ms", "RINGCAST_KART_STAMP": "true", "RINGCAST_KART_PAYLOAD": "333"}
    with Server("--dev", env=env) as server, server.client() as client:
        start = time.monotonic()
        texts = [client.read_state_text() for _ in range(10)]
        assert time.monotonic() - start < 2 and all(len(text) == 333 for text in texts)
        assert '"s":' in texts[0]
    with Server("--dev", "--kart-payload", "222", env=env) as server, server.client() as client:
        assert len(client.read_state_text()) == 222


def test_environment_errors():
    """a wrong value in the environment is an error that names the variable"""
    done = run("serve", "--dev", env={"RINGCAST_PING": "soon"})
    assert done.returncode in (2, 78), done.returncode
    assert "RINGCAST_PING" in done.stderr and "soon" in done.stderr, done.stderr


def test_port_variable():
    """PORT chooses the public port when no address is given"""
    port, admin = free_port(), free_port()
    process = subprocess.Popen([binary(), "serve", "--dev", "--admin", f"127.0.0.1:{admin}"],
                               env=environment({"PORT": str(port)}), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def join():
            with contextlib.suppress(OSError):
                return Client(port)
        with wait_until(join, 5, f"it listens on {port}") as client:
            client.read_state()
    finally:
        process.kill()
        process.wait()


def test_banner_under_dev():
    """--dev says loudly that it is for development; without it nothing says so"""
    with Server("--dev") as server:
        assert "dev" in server.log_text().lower(), server.log_text()
    with Server() as server:
        assert not server.log_lines(level="error"), server.log_text()


def is_demo(server):
    """Any origin may connect, the key is "dev", races run by themselves; and it says so."""
    with server.client(headers=("Origin: https://anywhere.example",)) as client:
        wait_until(lambda: client.read_state()["phase"] != "idle", 5, "a race starts by itself")
    assert server.command("/host bonus 5", key="dev").status == 200
    assert len(server.log_lines(event="dev_mode")) == 1, server.log_text()
    server.signal(signal.SIGTERM)
    assert server.wait_exit(5) == 0
    assert server.log_lines(event="draining")[0]["drain_ms"] == "5000", server.log_text()


def test_spellings_of_dev():
    """--dev=on, --dev=true, --dev=1 and RINGCAST_DEV=1 are the same demo as --dev"""
    for options, env in ((("--dev",), {}), (("--dev=on",), {}), (("--dev=true",), {}),
                         (("--dev=1",), {}), ((), {"RINGCAST_DEV": "1"}), ((), {"RINGCAST_DEV": "on"}),
                         (("--dev=on",), {"RINGCAST_DEV": "0"}), (("--dev=off", "--dev=on"), {})):
        with Server(*options, env=env) as server:
            try:
                is_demo(server)
            except Exception as why:
                raise AssertionError(f"{options} {env}: {why!r}") from why


def test_spellings_of_not_dev():
    """--dev=off wins over RINGCAST_DEV=1: the key "dev" opens nothing, no other origin may connect"""
    for options, env in (((), {}), (("--dev=off",), {"RINGCAST_DEV": "1"}), ((), {"RINGCAST_DEV": "0"}),
                         (("--dev=false",), {"RINGCAST_DEV": "true"}), (("--dev", "--dev=off"), {})):
        with Server(*options, env=env) as server:
            expect_error(server.command("/host bonus 5", key="dev"), 401, 403, 404)
            try:
                server.client(headers=("Origin: https://anywhere.example",)).socket.close()
                raise AssertionError(f"{options} {env}: any origin may connect")
            except Refused as why:
                assert why.response.status == 403, why
            assert not server.log_lines(event="dev_mode"), (options, env)


@contextlib.contextmanager
def taken_port(port):
    """Nobody can listen on it on loopback meanwhile; somebody else may see to that already."""
    with contextlib.closing(socket.socket()) as taken:
        with contextlib.suppress(OSError):
            taken.bind(("127.0.0.1", port))
            taken.listen()
        yield


@alone
def test_dev_listens_on_loopback():
    """without --listen the demo wants port 8080 of loopback, however --dev is spelt, and the server
    that is no demo wants it of every address"""
    admin = ("--admin", f"127.0.0.1:{free_port()}")
    with taken_port(8080):
        for options, env in ((("--dev",), {}), (("--dev=on",), {}), (("--dev=true",), {}),
                             ((), {"RINGCAST_DEV": "1"})):
            done = run("serve", *admin, *options, env=env)
            assert done.returncode == 71, (options, env, done.returncode, done.stderr)
            assert " 127.0.0.1:8080 " in done.stderr, (options, env, done.stderr)
        for options, env in (((), {}), (("--dev=off",), {"RINGCAST_DEV": "1"})):
            done = run("serve", *admin, *options, env=env)
            assert done.returncode == 71, (options, env, done.returncode, done.stderr)
            assert "127.0.0.1" not in done.stderr and ":8080 " in done.stderr, (options, env, done)


def test_log_lines():
    """every line is logfmt with time, level and event; each close is one line with its reason"""
    with Server("--dev") as server:
        with server.client() as client:
            client.leave()
        with server.client() as client:
            client.send(TEXT, b"x", mask=False)
            client.read_close()
        client = server.client()
        client.read_state()
        client.socket.close()
        wait_until(lambda: server.log_lines(reason="peer_left"), 3, server.log_text)
        time.sleep(0.1)  # a second line about one of them would have come by now
        for reason, code in (("peer_closed", "1000"), ("unmasked_frame", "1002"), ("peer_left", None)):
            lines = server.log_lines(reason=reason)
            assert len(lines) == 1, (reason, lines)
            assert code is None or lines[0]["code"] == code, lines
            assert "conn" in lines[0] and "127.0.0.1" in lines[0]["ip"], lines
        for line in server.log_text().splitlines():
            assert re.match(r"(time|ts)=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ", line), line
            assert re.search(r"Z level=(debug|info|warn|error) (worker=\d+ )?event=[a-z_]+( |$)", line), line


def test_json_log():
    """with --log-format json every line is one JSON object"""
    with Server("--dev", "--log-format", "json", "--drain", "1s") as server:
        with server.client("/ws?name=%22%0Ax") as client:
            client.send(CLOSE, close_payload(4000, b'"quoted"\nand broken'))
            client.read_close()
        server.signal(signal.SIGTERM)
        assert server.wait_exit(5) == 0
        lines = [json.loads(line) for line in server.log_text().splitlines()]
        assert all({"level", "event"} <= set(line) for line in lines), lines
        assert any(line["event"] == "listening" for line in lines)
        assert [line["code"] for line in lines if line.get("reason") == "peer_closed"] in ([4000], ["4000"])


def test_no_secrets_in_the_log():
    """neither keys nor tokens in URLs nor what members say are in the log (THREATS H24)"""
    secrets = ("k3y-of-the-host", "tok3n-in-the-query", "b3arer-of-a-member", "c00kie-value", "s3cret-chat")
    with Server("--log-level", "debug", env={"RINGCAST_API_KEY": secrets[0]}) as server:
        server.do("/host bonus 5")
        expect_error(server.command("/host bonus 5", key="wr0ng-key-tried"), 401)
        path = f"/v1/rooms/kart/commands?key={secrets[0]}"
        expect_error(request(server.admin, "POST", path, body=b"{"), 401)
        headers = (f"Authorization: Bearer {secrets[2]}", f"Cookie: session={secrets[3]}")
        for path in (f"/ws?token={secrets[1]}", f"/ws/kart/a.b?token={secrets[1]}"):
            with Client(server.port, handshake=False) as client:
                client.send_bytes(upgrade_request(server.port, path, headers=headers))
                if client.read_response().status == 101:
                    client.send(TEXT, secrets[4].encode())
                    client.send(CLOSE, close_payload(1000, secrets[4].encode()))
                    client.read_close()
        time.sleep(0.2)
        for secret in secrets + ("wr0ng-key-tried",):
            assert secret not in server.log_text(), f"{secret} is in the log"


def test_hostile_text_cannot_forge_log_lines():
    """line breaks and escapes from peers never reach the log as such"""
    with Server("--dev", "--log-level", "debug") as server:
        with server.client("/ws?x=%0Alevel=error%20event=forged") as client:
            client.send(CLOSE, close_payload(1000, b"\nlevel=error event=forged\x1b[31m"))
            client.read_close()
        with contextlib.suppress(Exception):
            server.client("/ws/kart/%0Alevel=error%20event=forged").socket.close()
        time.sleep(0.2)
        assert not server.log_lines(event="forged"), server.log_text()
        assert "\x1b" not in server.log_text()


def test_stuck_log_reader():
    """when nobody reads stderr the server goes on (THREATS O7)"""
    port, admin = free_port(), free_port()
    process = subprocess.Popen([binary(), "serve", "--dev", "--listen", f"127.0.0.1:{port}", "--admin",
                                f"127.0.0.1:{admin}", "--log-level", "debug"], env=environment({}),
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        def join():
            with contextlib.suppress(OSError):
                return Client(port)
        with wait_until(join, 5, "it listens") as member:
            for _ in range(1500):  # far more lines than a pipe holds
                with Client(port) as client:
                    client.send(TEXT, b"", mask=False)
            assert member.is_alive() and member.read_state(2.0)
        process.send_signal(signal.SIGTERM)
        process.stderr.close()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def serves_without_log(**how):
    """A server whose stderr takes nothing: it works, does not spin, and ends with 0."""
    with Server("--dev", "--log-level", "debug", "--workers", "2", ready=False, **how) as server:
        def join():
            with contextlib.suppress(OSError):
                return server.client()
        with wait_until(join, 5, "it listens") as client:
            client.read_state()
            for _ in range(50):
                server.client().socket.close()
            assert client.is_alive()
        server.wait_metric(0, "ringcast_members", kind="kart")
        before = server.cpu_seconds()
        time.sleep(1.0)
        used = server.cpu_seconds() - before
        assert used < 0.1, f"{used:.2f} s of CPU time in an idle second"
        dropped = server.metric("ringcast_log_lines_dropped_total")
        server.signal(signal.SIGTERM)
        assert server.wait_exit(5) == 0
    return dropped


def close_streams(*streams):
    def close():
        for stream in streams:
            os.close(stream)
    return close


def test_no_stderr():
    """with stderr closed, or all three streams, the server works; none of its sockets takes the place"""
    serves_without_log(preexec_fn=close_streams(2))
    serves_without_log(preexec_fn=close_streams(0, 1, 2))


def test_stderr_that_takes_nothing():
    """with stderr on a full disk or on a pipe without a reader the server works and does not spin"""
    with open("/dev/full", "wb") as full:
        assert serves_without_log(stderr=full) > 50
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as broken:
        assert serves_without_log(stderr=broken) > 50

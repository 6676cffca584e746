"""tests/e2e/test_signals.py: signals at bad moments and from strangers, and what a server leaves to
the next one (THREATS.md O1)."""
import os
import signal
import socket
import time

from harness import Server, free_port, wait_until


def terminate_before_exec():
    """In the child: a SIGTERM that is blocked, and so waits until the server looks for it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    os.kill(os.getpid(), signal.SIGTERM)


def end_early(*options, delay=None, **how):
    """The exit code of a server that is told to end `delay` seconds after its start, if at all. It
    must not have written to its standard input, which is a socket that would take it."""
    ours, theirs = socket.socketpair()
    with ours, Server("--dev", "--drain", "1s", *options, ready=False, stdin=theirs, **how) as server:
        theirs.close()
        server.stopped = True
        if delay is not None:
            time.sleep(delay)
            server.signal(signal.SIGTERM)
        code = server.wait_exit(4)
        ours.settimeout(2)
        written = ours.recv(1000)
        assert written == b"", f"{written!r} was written to standard input"
        return code


def test_sigterm_before_the_start():
    """a SIGTERM that waits already when the server starts ends it with 0"""
    for workers in ("1", "2", "5", "0"):
        for _ in range(5):
            code = end_early("--workers", workers, preexec_fn=terminate_before_exec)
            assert code == 0, f"exit {code} with --workers {workers}"


def test_sigterm_during_the_start():
    """a SIGTERM in the first milliseconds ends the server, whatever it was about to do"""
    codes = [end_early("--workers", "3", delay=attempt * 0.0015) for attempt in range(20)]
    assert set(codes) <= {0, -signal.SIGTERM}, codes
    assert 0 in codes, f"each came before anything was begun: {codes}"


def test_foreign_real_time_signals():
    """SIGRTMIN from a stranger changes nothing, also not while the server drains"""
    with Server("--dev", "--drain", "2s") as server, server.client() as client:
        client.read_state()
        for _ in range(20):
            server.process.send_signal(signal.SIGRTMIN)
        time.sleep(0.3)
        assert client.is_alive() and not server.log_lines(event="draining")
        assert server.get("/readyz").status == 200
        server.signal(signal.SIGTERM)
        wait_until(lambda: server.log_lines(event="draining"), 2, server.log_text)
        for _ in range(20):
            server.process.send_signal(signal.SIGRTMIN)
        code, reason = client.read_close(3.0)
        assert code == 1012 and reason.startswith("restart;retry_ms="), (code, reason)
        client.socket.close()
        assert server.wait_exit(4) == 0


def end_well(server):
    server.signal(signal.SIGTERM)
    assert server.wait_exit(5) == 0


def end_by_kill(server):
    server.signal(signal.SIGKILL)
    assert server.wait_exit(5) == -signal.SIGKILL


def end_by_second_signal(server):
    server.signal(signal.SIGTERM)
    wait_until(lambda: server.log_lines(event="draining"), 2, server.log_text)
    server.signal(signal.SIGTERM)
    assert server.wait_exit(2) >= 0


def restart_at_once(end, drain):
    """Five times: a server with members on the same two ports as the one before, which has just ended
    and whose members are still there."""
    ports, before = (free_port(), free_port()), []
    for _ in range(6):
        with Server("--dev", "--drain", drain, ports=ports) as server:
            members = [server.client() for _ in range(10)]
            for member in members:
                member.read_state()
            assert server.get("/healthz").status == 200
            for member in before:
                member.socket.close()
            before = members
            end(server)


def test_restart_after_a_clean_exit():
    """after a clean exit a server can be started at once on the same two ports"""
    restart_at_once(end_well, "200ms")


def test_restart_after_kill():
    """after kill -9 a server can be started at once on the same two ports"""
    restart_at_once(end_by_kill, "1s")


def test_restart_after_a_second_signal():
    """after a second signal a server can be started at once on the same two ports"""
    restart_at_once(end_by_second_signal, "30s")

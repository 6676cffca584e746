"""tests/e2e/crowd.py PORT COUNT PATH: many connections in a process of their own, so that a test can
stop or kill them all at once.

Prints `joined COUNT` when each of them has its first state. Then it reads and throws away what comes
and answers one line of numbers to each word on stdin:
    counts   connections still open, bytes received by the one that got least, and by all
Ends with its stdin.
"""
import resource
import selectors
import sys

import rawclient


def raise_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def join(port, count, path):
    clients = []
    for _ in range(count):
        client = rawclient.Client(port, path, timeout=20)
        client.read_state()
        client.socket.setblocking(False)
        clients.append(client)
    return clients


def read_some(selector, key):
    """Counts what has come; forgets a connection that has ended."""
    try:
        piece = key.fileobj.recv(65536)
    except ConnectionError:
        piece = b""
    if piece:
        key.data[0] += len(piece)
    else:
        key.data[1] = False
        selector.unregister(key.fileobj)


def main():
    port, count, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    raise_limit()
    clients = join(port, count, path)
    selector, totals = selectors.DefaultSelector(), []
    for client in clients:
        totals.append([0, True])  # bytes, still open
        selector.register(client.socket, selectors.EVENT_READ, totals[-1])
    selector.register(sys.stdin, selectors.EVENT_READ, None)
    print(f"joined {count}", flush=True)
    while True:
        for key, _ in selector.select():
            if key.data is not None:
                read_some(selector, key)
            elif not sys.stdin.readline():
                return
            else:
                received = [total[0] for total in totals]
                print(sum(total[1] for total in totals), min(received), sum(received), flush=True)


if __name__ == "__main__":
    main()

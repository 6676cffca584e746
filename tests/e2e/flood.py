"""tests/e2e/flood.py PORT SECONDS: a member that sends tiny frames as fast as it can and reads what
comes. Prints how many frames it sent, or how the server ended it."""
import sys
import threading
import time

import rawclient


def discard(client):
    while True:
        try:
            if not client.socket.recv(65536):
                return
        except OSError:
            return


def main():
    client = rawclient.Client(int(sys.argv[1]), timeout=10)
    block, sent = rawclient.make_frame(rawclient.TEXT, b"") * 2000, 0
    threading.Thread(target=discard, args=(client,), daemon=True).start()
    end = time.monotonic() + float(sys.argv[2])
    try:
        while time.monotonic() < end:
            client.socket.sendall(block)
            sent += 2000
    except OSError as why:
        print(f"ended after {sent} frames: {why}")
        return
    print(sent)


if __name__ == "__main__":
    main()

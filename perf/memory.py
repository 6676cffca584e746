"""perf/memory.py: what connections cost in memory: the server's resident bytes, and the kernel's for their
sockets, at both ends, because server and clients share one kernel here.

    resident        VmRSS of the server's process: /proc/PID/statm
    socket_buffers  pages that TCP has taken for what was sent and not read yet, in whole pages for each socket:
                    `mem` of TCP in /proc/net/sockstat
    socket_objects  the objects of CACHES, by their number and size in /proc/slabinfo; only root may read that

The dentry of each socket (some 200 bytes) is not in it, because files of others have the same cache; nor is what
the load client's own process holds. Of the kernel's figures about half is the client's end.
"""
import os
import pathlib
import re

CACHES = ("TCP", "request_sock_TCP", "tw_sock_TCP", "sock_inode_cache", "filp", "eventpoll_epi", "ep_head",
          "skbuff_head_cache", "skbuff_small_head", "skbuff_fclone_cache", "io_kiocb")
PAGE = os.sysconf("SC_PAGESIZE")


def objects():
    """{cache: bytes}; None where it may not be read."""
    try:
        text = pathlib.Path("/proc/slabinfo").read_text()
    except OSError:
        return None
    found = {}
    for line in text.splitlines()[2:]:
        name, active, _, size, *_ = line.split()
        if name in CACHES:
            found[name] = int(active) * int(size)
    return found


def read(pid):
    """Bytes: {"resident", "socket_buffers", "socket_objects": {cache: bytes} or None}."""
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    sockstat = pathlib.Path("/proc/net/sockstat").read_text()
    buffers = int(re.search(r"^TCP:.* mem (\d+)", sockstat, re.M)[1])
    return {"resident": pages * PAGE, "socket_buffers": buffers * PAGE, "socket_objects": objects()}


def per_connection(before, after, connections):
    """Bytes for each, of two readings; what others closed meanwhile can make it less than nothing."""
    each = {name: (after[name] - before[name]) / connections for name in ("resident", "socket_buffers")}
    if before["socket_objects"] is None or after["socket_objects"] is None:
        return each | {"socket_objects": None, "caches": None}
    grown = {name: (after["socket_objects"].get(name, 0) - size) / connections
             for name, size in before["socket_objects"].items()}
    return each | {"socket_objects": sum(grown.values()),
                   "caches": {name: size for name, size in grown.items() if size >= 1}}


def kernel(each):
    """The kernel's share, or None where the objects may not be read."""
    return None if each["socket_objects"] is None else each["socket_objects"] + each["socket_buffers"]

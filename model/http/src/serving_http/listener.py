"""Sockets that listen, and as many open files as the system allows."""

from __future__ import annotations

import logging
import socket

LOG = logging.getLogger(__name__)
# Connections that may wait to be accepted.
BACKLOG = 4096
# Files a process needs for other things than connections.
OTHER_FILES = 256
EVERY_ADDRESS = frozenset({"", "::"})


def bind(host: str, port: int, *, is_shared: bool = False) -> socket.socket:
    """Return a listening socket; without a host, or on "::", on every address of both families where there are both.

    With `is_shared` other processes may listen on the same port, and the kernel spreads connections over them. Raise
    OSError where the port is taken.
    """
    if host in EVERY_ADDRESS and socket.has_dualstack_ipv6():
        try:
            return _create("::", port, socket.AF_INET6, is_shared=is_shared, dualstack_ipv6=True)
        except OSError as error:
            if not _is_without_ipv6(error):
                raise
            LOG.info("no IPv6 here (%s): listening on IPv4", error.strerror)
            host = ""
    return _create(host, port, socket.AF_INET6 if ":" in host else socket.AF_INET, is_shared=is_shared)


def _create(host: str, port: int, family: int, *, is_shared: bool, dualstack_ipv6: bool = False) -> socket.socket:
    return socket.create_server(
        (host, port), family=family, backlog=BACKLOG, reuse_port=is_shared, dualstack_ipv6=dualstack_ipv6
    )


def _is_without_ipv6(error: OSError) -> bool:
    """Tell a machine where IPv6 is compiled in and switched off from a port that is taken."""
    import errno  # noqa: PLC0415

    return error.errno in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


def allow_connections(wanted: int) -> int:
    """Raise the limit on open files for so many connections; return how many there may be."""
    try:
        import resource  # noqa: PLC0415 - not there on Windows
    except ImportError:
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + OTHER_FILES
    if soft < needed and soft != resource.RLIM_INFINITY:
        most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    possible = wanted if soft == resource.RLIM_INFINITY else min(wanted, soft - OTHER_FILES)
    if possible < wanted:
        LOG.warning("%d open files are allowed: taking %d connections, not %d", soft, possible, wanted)
    return max(1, possible)

"""What every Python does that starts with this folder on its path: it reaches no other machine, and says who tried.

Where the variable OFFLINE_LOG names a file, each attempt to look up or to reach anything but this machine is written
there, a line each, and refused. Libraries that are not Python's are not seen here: see `namespace.py`.
"""

import ipaddress
import os
import socket
import sys


def _local(host):
    if host in (None, "", b"", "localhost", b"localhost", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _deny(event, arguments):
    log = os.environ.get("OFFLINE_LOG") if event in _HOST else None
    host = _HOST[event](arguments) if log else None
    if log and not _local(host):
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{event} {host} by {' '.join(sys.argv)[:200]}\n")
        raise PermissionError(f"{event}: {host} is another machine, and tests have no network")


def _of(address):
    """The host of a socket's address; a pipe's path has none."""
    return address[0] if isinstance(address, tuple) and address else None


#: Event of Python's audit -> the host in its arguments.
_HOST = {
    "socket.connect": lambda arguments: _of(arguments[1]),
    "socket.sendto": lambda arguments: _of(arguments[1]),
    "socket.sendmsg": lambda arguments: _of(arguments[1]),
    "socket.getaddrinfo": lambda arguments: arguments[0],
    "socket.gethostbyname": lambda arguments: arguments[0],
    "socket.gethostbyaddr": lambda arguments: arguments[0],
    "socket.getnameinfo": lambda arguments: _of(arguments[0]),
}

sys.addaudithook(_deny)

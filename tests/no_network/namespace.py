"""Run a command where all the world is this machine, and print every address of it that the command asked for.

    unshare -rn python namespace.py LOG COMMAND...

In the new network namespace of Linux there is the loopback alone. All addresses are routed to it, so that whatever is
sent, by any library in any language, is refused at once and seen on it: a line "tcp 93.184.216.34 80" in LOG for each
destination, lookups of names (port 53) included, and none for what goes to this machine.
"""

import fcntl
import ipaddress
import socket
import struct
import subprocess
import sys
import threading

PROTOCOLS = {6: "tcp", 17: "udp"}
_SIOCSIFFLAGS, _UP_RUNNING = 0x8914, 0x41
_RTM_NEWROUTE, _REQUEST_ACK_CREATE, _RTA_OIF = 24, 0x405, 4
_TABLE_LOCAL, _BOOT, _SCOPE_HOST, _RTN_LOCAL = 255, 3, 254, 2
_ALL_PROTOCOLS = 3


def loop() -> None:
    """Bring the loopback up and route every address to it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _UP_RUNNING))
    for family in (socket.AF_INET, socket.AF_INET6):
        route = struct.pack("8BI", family, 0, 0, 0, _TABLE_LOCAL, _BOOT, _SCOPE_HOST, _RTN_LOCAL, 0)
        body = route + struct.pack("HHI", 8, _RTA_OIF, socket.if_nametoindex("lo"))
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as netlink:
            netlink.send(struct.pack("IHHII", 16 + len(body), _RTM_NEWROUTE, _REQUEST_ACK_CREATE, 1, 0) + body)
            (failed,) = struct.unpack_from("i", netlink.recv(4096), 16)
        if failed and family == socket.AF_INET:  # a machine may have no IPv6
            raise OSError(-failed, "no route to the loopback")


def foreign(packet: bytes) -> str | None:
    """What a packet was sent to, where that is another machine or a name server; else None."""
    if packet[0] >> 4 == 4:
        start, protocol, address = packet[0] % 16 * 4, packet[9], packet[16:20]
    else:
        start, protocol, address = 40, packet[6], packet[24:40]
    if protocol not in PROTOCOLS:
        return None
    to, (_, port) = ipaddress.ip_address(address), struct.unpack_from(">HH", packet, start)
    opening = protocol == 17 or packet[start + 13] & 0x12 == 0x02  # SYN alone; the rest answers or goes on
    if not opening or (to.is_loopback and port != 53):
        return None
    return f"{PROTOCOLS[protocol]} {to} {port}"


def main(log: str, *command: str) -> int:
    """Run the command; return its status."""
    loop()
    found, over = set(), threading.Event()
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL_PROTOCOLS)) as wire:
        wire.bind(("lo", 0))
        wire.settimeout(0.2)

        def watch() -> None:
            while True:
                try:
                    found.add(foreign(wire.recv(65535)))
                except TimeoutError:
                    if over.is_set():
                        return

        watching = threading.Thread(target=watch)
        watching.start()
        status = subprocess.run(command, check=False).returncode
        over.set()
        watching.join()
    with open(log, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in sorted(filter(None, found)))
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

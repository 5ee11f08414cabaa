"""Which names this server goes by, and which web pages may speak to it.

Without it any page that a person opens could send requests to a server on that person's own machine: straight away, or
by a name of its own that it has resolve to 127.0.0.1. Knows nothing of keys.

    Origins.of(config).check("127.0.0.1:8000", origin=None)
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from covey.config import ServerConfig
from covey.server.errors import ApiError


@dataclass(frozen=True)
class Origins:
    """hosts: names that a Host header may have, in lower case and without port; None allows any. origins: pages' own."""

    hosts: frozenset[str] | None
    origins: frozenset[str]

    @classmethod
    def of(cls, config: ServerConfig) -> Origins:
        allowed = config.allowed_hosts or []
        names = {"localhost", config.host, socket.gethostname(), *allowed}
        hosts = None if "*" in allowed else frozenset(name.lower() for name in names)
        return cls(hosts, frozenset(origin.lower().rstrip("/") for origin in config.allowed_origins or []))

    def check(self, host: str, origin: str | None) -> None:
        """Raises ApiError 403. An address needs no permission: no page can make one its own."""
        name = _without_port(host)
        if self.hosts is not None and name not in self.hosts and not _is_address(name):
            raise ApiError(403, f"Host {name[:100]!r} is not a name of this server: add it to allowed_hosts", code="host_not_allowed")
        if origin is None or origin.lower() in self.origins:
            return
        try:
            page = urlsplit(origin.lower()).netloc
        except ValueError:
            page = ""
        if not page or page != host.lower():
            raise ApiError(403, f"Origin {origin[:100]!r} may not send requests: add it to allowed_origins", code="origin_not_allowed")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _without_port(host: str) -> str:
    name, colon, port = host.lower().rpartition(":")
    name = name if colon and (port.isdigit() or not port) else host.lower()
    return name.removeprefix("[").removesuffix("]")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

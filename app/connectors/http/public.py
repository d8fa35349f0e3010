"""Calls to addresses that callers name: only public ones are reached, whatever a name resolves to.

The address is checked where the connection is made: the name is resolved, all its addresses are checked, and one of
those is connected to. TLS and the `Host` header go by the name. No proxy is used, and no redirect is followed.
"""

import ipaddress
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from app.connectors.contract.errors import UpstreamError, UpstreamTimeoutError

if TYPE_CHECKING:
    from app.connectors.http.transport import Client

MAX_URL_CHARS = 2048
# Addresses of one name that are tried in turn, within the time of one attempt.
MAX_TRIED = 3

# One attempt, from resolving the name to the head of the answer.
CONNECT_S, ANSWER_S = 5.0, 15.0

Address = IPv4Address | IPv6Address
Resolve = Callable[..., Sequence[tuple[Any, ...]]]

# What is not public, from IANA's registries of special addresses; Python's own list changes with its patches.
_NOT_PUBLIC_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # where Azure's machines find their platform
    )
)  # fmt: skip
# Of IPv6 only this is given out, and in it these are special or hold another address (Teredo, 6to4).
_PUBLIC_V6 = IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))
# Where a network translates to IPv4, the last 32 bits are the address that is reached.
_TRANSLATED = IPv6Network("64:ff9b::/96")


class AddressRefusedError(OSError):
    """The address is not one that callers may have reached; the message says why, and names only what they gave."""


class NotReachedError(Exception):
    """There is no answer; the message says why, for whoever named the URL."""


class PublicClient:
    """POSTs to URLs that callers named, within `reach`. Safe to share between threads and over a fork."""

    def __init__(self, reach: "Reach", *, answer_s: float = ANSWER_S) -> None:
        self.reach = reach
        self._answer_s = answer_s

    def post(self, url: str, body: bytes, *, headers: Mapping[str, str]) -> int:
        """The status of the answer, whose body is not read. Raises NotReachedError."""
        try:
            self.reach.check_url(url)
            return self._client.status(url, body, headers=headers, timeout_s=self._answer_s)
        except AddressRefusedError as error:
            raise NotReachedError(f"The URL is refused: {error}") from error
        except UpstreamError as error:
            raise NotReachedError(self._reason(error)) from error

    @cached_property
    def _client(self) -> "Client":
        # Imported with the first call: commands that make none start faster without.
        from app.connectors.http.transport import Client

        return Client(connect_timeout_s=CONNECT_S, connect=self.reach.connect)

    def _reason(self, error: UpstreamError) -> str:
        from app.connectors.http import failures

        for cause in failures.causes(error):
            if isinstance(cause, AddressRefusedError):
                return f"The URL is refused: {cause}"
        if isinstance(error, UpstreamTimeoutError):
            is_late = error.code == "connect_timeout"
            return f"No connection within {CONNECT_S:g} s." if is_late else f"No answer within {self._answer_s:g} s."
        return error.message.replace("provider", "host")


class Reach:
    """Where calls may go: to public addresses, and to the hosts and networks of `allowed` (separated by commas).

    Hosts of `allowed` may have any address, and may be called by http. Raises ValueError for an entry that is neither
    a host name nor a network.
    """

    def __init__(self, allowed: str = "", *, resolve: Resolve = socket.getaddrinfo) -> None:
        self._resolve = resolve
        self._hosts: set[str] = set()
        self._networks: list[IPv4Network | IPv6Network] = []
        for entry in filter(None, (part.strip().lower() for part in allowed.split(","))):
            try:
                self._networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                if "/" in entry or ":" in entry:
                    raise ValueError(
                        f"{entry!r:.80} is neither a host name nor a network such as 10.1.0.0/16"
                    ) from None
                self._hosts.add(entry.rstrip("."))

    def check_url(self, url: str) -> None:
        """Raises AddressRefusedError for a URL that can never be called. Names are not resolved."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise AddressRefusedError("it is not a valid URL.") from None
        if (
            len(url) > MAX_URL_CHARS
            or not url.isascii()
            or not url.isprintable()
            or any(char in url for char in ' \\"<>')
        ):
            raise AddressRefusedError(f"it must have at most {MAX_URL_CHARS} characters, all of them ASCII.")
        if not host or parts.username is not None or parts.password is not None or parts.fragment:
            raise AddressRefusedError("it must name a host, and have no user, password or fragment.")
        if parts.scheme != "https" and not (parts.scheme == "http" and self._is_allowed(host)):
            raise AddressRefusedError("it must begin with https://.")
        if port == 0:
            raise AddressRefusedError("port 0 does not exist.")
        if not self._is_allowed(host):
            if _is_local(host):
                raise AddressRefusedError(f"{host:.100} is not a public host.")
            if (literal := _literal(host)) is not None:
                self._check(host, literal)

    def check(self, url: str) -> None:
        """As `check_url`, and also for a name that resolves to an address that is not public.

        A name that does not resolve passes: it may tomorrow, and is checked again at each connection.
        """
        self.check_url(url)
        parts = urlsplit(url)
        try:
            self.addresses(parts.hostname or "", parts.port or 443)
        except AddressRefusedError:
            raise
        except (OSError, UnicodeError):
            return

    def addresses(self, host: str, port: int) -> list[tuple[Any, ...]]:
        """What `getaddrinfo` finds, all of it checked. Raises AddressRefusedError, or OSError if there is nothing."""
        name = host.strip("[]")
        try:
            found = list(self._resolve(name, port, 0, socket.SOCK_STREAM))
        except UnicodeError as error:
            raise socket.gaierror(socket.EAI_NONAME, "the host name is not valid") from error
        for entry in found:
            self._check(name, ipaddress.ip_address(str(entry[4][0]).partition("%")[0]))
        return found

    def connect(self, host: str, port: int, timeout: float | None) -> socket.socket:
        """A connection to one of the checked addresses. Raises AddressRefusedError, or OSError."""
        found = self.addresses(host, port)[:MAX_TRIED]
        each = None if timeout is None else timeout / max(1, len(found))
        last: OSError = socket.gaierror(socket.EAI_NONAME, "the host has no address")
        for family, kind, protocol, _, address in found:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(each)
                sock.connect(address)
                return sock
            except OSError as error:
                sock.close()
                last = error
        raise last

    def _check(self, host: str, address: Address) -> None:
        if self._is_allowed(host) or any(address in network for network in self._networks):
            return
        if not is_public(address):
            raise AddressRefusedError(f"{host:.100} is not at a public address.")

    def _is_allowed(self, host: str) -> bool:
        name = host.lower().rstrip(".").strip("[]")
        if name in self._hosts:
            return True
        literal = _literal(name)
        return literal is not None and any(literal in network for network in self._networks)


def is_public(address: Address) -> bool:
    """True of an address that anybody on the internet has, or could have."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _TRANSLATED:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        return address in _PUBLIC_V6 and not any(address in network for network in _NOT_PUBLIC_V6)
    return not any(address in network for network in _NOT_PUBLIC_V4)


def _is_local(host: str) -> bool:
    name = host.lower().rstrip(".")
    # A name without a dot is one of the machine's or of its own network, except for the forms of an address.
    return name == "localhost" or name.endswith((".localhost", ".local", ".internal", ".localdomain"))


def _literal(host: str) -> Address | None:
    """The address that `host` is, in whatever form a resolver takes for one; None for a name."""
    name = host.strip("[]").partition("%")[0]
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(name))  # 127.1, 0x7f.1, 2130706433, 017700000001
    except OSError:
        return None

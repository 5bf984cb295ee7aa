"""URLs, IP addresses and CIDR ranges: the Kubernetes libraries of those names."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from kai_sched.devices.cel.budget import Budget
from kai_sched.devices.cel.types import overload
from kai_sched.devices.cel.values import CelError, CelMap, Cidr, Ip, Url

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:", re.ASCII)


def _parse_url(text: str) -> Url | None:
    """Absolute URI or absolute path, as Go's ParseRequestURI reads it; None if neither."""
    if not text or not (text.startswith("/") or _SCHEME.match(text)) or re.search(r"[\x00-\x20\x7f]", text):
        return None
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    host = parts.netloc.rsplit("@", 1)[-1]
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        values.setdefault(name, []).append(value)
    return Url(
        text,
        parts.scheme,
        host,
        (parts.hostname or "") if host else "",
        "" if port is None else str(port),
        quote(parts.path, safe="/%:@!$&'()*+,;=~"),
        tuple((name, tuple(items)) for name, items in values.items()),
    )


def _url(budget: Budget, text: str) -> Url:
    budget.take_text(text)
    url = _parse_url(text)
    if url is None:
        raise CelError(f"URL parse error during conversion from string: {text!r}")
    return url


def _parse_ip(text: str) -> Ip | None:
    """None for what the library refuses: zones and IPv4-mapped addresses too."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and (address.scope_id or address.ipv4_mapped):
        return None
    return Ip(address)


def _ip(_budget: Budget, text: str) -> Ip:
    address = _parse_ip(text)
    if address is None:
        raise CelError(f"IP Address {text!r} parse error during conversion from string")
    return address


def _parse_cidr(text: str) -> Cidr | None:
    head, separator, length = text.partition("/")
    address = _parse_ip(head)
    if address is None or not separator or not re.fullmatch(r"0|[1-9]\d{0,2}", length, re.ASCII):
        return None
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    return Cidr(address.address, network)


def _cidr(_budget: Budget, text: str) -> Cidr:
    cidr = _parse_cidr(text)
    if cidr is None:
        raise CelError("network address parse error during conversion from string")
    return cidr


def _is_canonical(budget: Budget, text: str) -> bool:
    return str(_ip(budget, text).address) == text


def _contains_cidr(_budget: Budget, outer: Cidr, inner: Cidr) -> bool:
    if outer.network.version != inner.network.version:
        return False
    return inner.network.subnet_of(outer.network)  # type: ignore[arg-type]


def _contains_ip(_budget: Budget, outer: Cidr, address: Ip) -> bool:
    return address.address in outer.network


def _is_global_unicast(_budget: Budget, ip: Ip) -> bool:
    address = ip.address
    is_broadcast = str(address) == "255.255.255.255"
    return not (
        is_broadcast
        or address.is_unspecified
        or address.is_loopback
        or address.is_multicast
        or address.is_link_local
    )


def _is_link_local_multicast(_budget: Budget, ip: Ip) -> bool:
    packed = ip.address.packed
    if ip.address.version == 4:
        return packed[:3] == bytes([224, 0, 0])
    return packed[0] == 0xFF and packed[1] & 0x0F == 0x02


def _query(_budget: Budget, url: Url) -> CelMap:
    return CelMap((name, list(items)) for name, items in url.query)


def _masked(_budget: Budget, cidr: Cidr) -> Cidr:
    return Cidr(cidr.network.network_address, cidr.network)


OVERLOADS: Final = (
    overload("url(string) -> url", _url),
    overload("isURL(string) -> bool", lambda _b, x: _parse_url(x) is not None),
    overload("url:getScheme() -> string", lambda _b, x: x.scheme),
    overload("url:getHost() -> string", lambda _b, x: x.host),
    overload("url:getHostname() -> string", lambda _b, x: x.hostname),
    overload("url:getPort() -> string", lambda _b, x: x.port),
    overload("url:getEscapedPath() -> string", lambda _b, x: x.escaped_path),
    overload("url:getQuery() -> map(string, list(string))", _query),
    overload("ip(string) -> ip", _ip),
    overload("isIP(string) -> bool", lambda _b, x: _parse_ip(x) is not None),
    overload("ip.isCanonical(string) -> bool", _is_canonical),
    overload("string(ip) -> string", lambda _b, x: str(x.address)),
    overload("ip:family() -> int", lambda _b, x: x.address.version),
    overload("ip:isUnspecified() -> bool", lambda _b, x: x.address.is_unspecified),
    overload("ip:isLoopback() -> bool", lambda _b, x: x.address.is_loopback),
    overload("ip:isLinkLocalMulticast() -> bool", _is_link_local_multicast),
    overload("ip:isLinkLocalUnicast() -> bool", lambda _b, x: x.address.is_link_local),
    overload("ip:isGlobalUnicast() -> bool", _is_global_unicast),
    overload("cidr(string) -> cidr", _cidr),
    overload("isCIDR(string) -> bool", lambda _b, x: _parse_cidr(x) is not None),
    overload("cidr:containsIP(string) -> bool", lambda b, x, y: _contains_ip(b, x, _ip(b, y))),
    overload("cidr:containsIP(ip) -> bool", _contains_ip),
    overload("cidr:containsCIDR(string) -> bool", lambda b, x, y: _contains_cidr(b, x, _cidr(b, y))),
    overload("cidr:containsCIDR(cidr) -> bool", _contains_cidr),
    overload("cidr:ip() -> ip", lambda _b, x: Ip(x.address)),
    overload("cidr:masked() -> cidr", _masked),
    overload("cidr:prefixLength() -> int", lambda _b, x: x.network.prefixlen),
    overload("string(cidr) -> string", lambda _b, x: f"{x.address}/{x.network.prefixlen}"),
)

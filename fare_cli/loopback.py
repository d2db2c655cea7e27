"""Addresses that mean this machine."""

from __future__ import annotations

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, so that nobody listens in on the way. Names but `localhost` are not looked up."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def past_proxies(host: str) -> dict[str, None]:
    """The `mounts` of an HTTP client that reaches `host`, if it is this machine, without the proxies that the
    environment names, since a proxy elsewhere cannot reach it. Empty for other hosts."""
    return {f"all://[{host}]" if ":" in host else f"all://{host}": None} if is_loopback(host) else {}

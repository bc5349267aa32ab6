"""The proxy that the environment (or the system) names, as httpx reads it."""

from __future__ import annotations

import ssl
from ipaddress import ip_address, ip_network
from urllib.request import getproxies

import httpx
from attrs import frozen

from .http import BaseTransport, proxy_errors


@frozen
class Proxy:
    """A proxy.

    Args:
        address: such as `http://proxy.example.com:3128`, without a user name and password.
        variable: what names it, such as HTTPS_PROXY.
    """

    address: str
    variable: str


def proxy_for(url: str, *, allow_http: bool) -> Proxy | None:
    """The proxy that calls to `url` go through; None where they go straight to the server.

    Over plain http a client goes through one only with `allow_http`.

    Raises:
        ConfigurationError: httpx can make nothing of what the environment says; no client would work.
    """
    with proxy_errors():
        with httpx.Client(verify=False, trust_env=allow_http or url.startswith("https:")) as client:
            target = httpx.URL(url)
            # httpx says it in no other way.
            if client._transport_for_url(target) is client._transport:
                return None
        named = getproxies()
        scheme = target.scheme if named.get(target.scheme) else "all"
        proxy = httpx.URL(named[scheme] if "://" in named[scheme] else f"http://{named[scheme]}")
    return Proxy(str(proxy.copy_with(userinfo=b"")).rstrip("/"), f"{scheme.upper()}_PROXY")


def names_proxy(url: str) -> bool:
    """Whether the environment names a proxy for addresses of this kind, `url` itself left out or not."""
    named = getproxies()
    return bool(named.get(httpx.URL(url).scheme) or named.get("all"))


def network_of(host: str) -> str | None:
    """The network in NO_PROXY that holds the address `host`: httpx reads only single addresses there, no networks."""
    for entry in getproxies().get("no", "").split(","):
        try:
            if "/" in entry and ip_address(host) in ip_network(entry.strip(), strict=False):
                return entry.strip()
        except ValueError:
            continue
    return None


def without_proxy(verify: bool | ssl.SSLContext) -> BaseTransport:
    """A transport that goes straight to the server, whatever the environment says."""
    return httpx.HTTPTransport(verify=verify)

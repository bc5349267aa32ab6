"""The proxy that the environment, or the system, names for a server. httpx given a transport does not read it."""

from __future__ import annotations

import ssl
from urllib.request import getproxies, proxy_bypass

import httpx

from ..errors import ConfigurationError


def proxy_for(url: str, ssl_context: ssl.SSLContext, *, allow_http: bool) -> httpx.Proxy | None:
    """Return the proxy for calls to `url`; None if they go straight to the server. It is trusted as the server is.

    A proxy can read plain http, so calls over http go through one only with `allow_http`.

    Raises:
        ConfigurationError: the proxy's address cannot be one.
    """
    target, named = httpx.URL(url), getproxies()
    if target.scheme == "http" and not allow_http:
        return None
    if not (address := named.get(target.scheme) or named.get("all")):
        return None
    host = target.raw_host.decode("ascii")
    port = target.port or (443 if target.scheme == "https" else 80)
    # NO_PROXY has hosts with and without ports; an IPv6 address such as ::1 without brackets.
    if proxy_bypass(host) or proxy_bypass(f"[{host}]:{port}" if ":" in host else f"{host}:{port}"):
        return None
    address = address if "://" in address else f"http://{address}"
    try:
        return httpx.Proxy(address, ssl_context=ssl_context if address.lower().startswith("https:") else None)
    except (ValueError, httpx.InvalidURL):  # what they say may be a part of the password in the address
        raise ConfigurationError(
            "httpx cannot use the address of the proxy that the environment names. "
            "Look at HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY."
        ) from None

"""The proxy that the environment, or the system, names for a server. httpx given a transport does not read it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import getproxies, proxy_bypass

import httpx
from attrs import field, frozen

from ..errors import ConfigurationError, sentence


@frozen
class Proxy:
    """A proxy.

    Args:
        url: its address, which may hold a user name and a password.
        variable: what names it, such as HTTPS_PROXY.
    """

    url: str = field(repr=False)
    variable: str

    @property
    def address(self) -> str:
        """Such as `http://proxy.example.com:3128`, without user name and password."""
        return str(httpx.URL(self.url).copy_with(userinfo=b"")).rstrip("/")

    def for_httpx(self, ssl_context: ssl.SSLContext) -> httpx.Proxy:
        """What httpx takes. An https proxy is trusted as the server is."""
        return httpx.Proxy(self.url, ssl_context=ssl_context if self.url.lower().startswith("https:") else None)


def proxy_for(url: str, *, allow_http: bool) -> Proxy | None:
    """The proxy for calls to `url`; None if they go straight to the server.

    A proxy can read plain http, so calls over http go through one only with `allow_http`.

    Raises:
        ConfigurationError: the proxy's address cannot be one.
    """
    target, named = httpx.URL(url), getproxies()
    if target.scheme == "http" and not allow_http:
        return None
    scheme = target.scheme if named.get(target.scheme) else "all"
    if not (address := named.get(scheme)):
        return None
    host = target.raw_host.decode("ascii")
    port = target.port or (443 if target.scheme == "https" else 80)
    # NO_PROXY has hosts with and without ports; an IPv6 address such as ::1 without brackets.
    if proxy_bypass(host) or proxy_bypass(f"[{host}]:{port}" if ":" in host else f"{host}:{port}"):
        return None
    proxy = Proxy(address if "://" in address else f"http://{address}", f"{scheme.upper()}_PROXY")
    with proxy_errors():
        # The system's calls take the rest of a port after a division by 65536.
        if (httpx.URL(proxy.url).port or 0) > 65535:
            raise ValueError("its port is above 65535")
        httpx.Proxy(proxy.url)
    return proxy


@contextmanager
def proxy_errors() -> Iterator[None]:
    """Turns what httpx raises for a proxy that it cannot use into a ConfigurationError."""
    try:
        yield
    except (ImportError, ValueError, httpx.InvalidURL) as problem:
        # What httpx says of an address may be a part of the password in it.
        words = "its address cannot be read"
        if isinstance(problem, ImportError):
            words = "SOCKS needs another package: pip install httpx[socks]"
        elif isinstance(problem, ValueError):
            words = str(problem) if "port" in str(problem) else "httpx knows http, https, socks5 and socks5h"
        raise ConfigurationError(
            f"httpx cannot use the proxy that the environment names: {sentence(words)} "
            "Look at HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY."
        ) from None

"""The proxy of a server, for what stands above the client, such as `processmaker doctor`."""

from __future__ import annotations

from ..wire import proxy
from ..wire.proxy import Proxy

__all__ = ["Proxy", "proxy_for"]


def proxy_for(site: str, *, allow_http: bool = False) -> Proxy | None:
    """Return the proxy that a client for this server uses; None if it uses none.

    Raises:
        ConfigurationError: the proxy that the environment names cannot be used.
    """
    return proxy.proxy_for(site, allow_http=allow_http)

"""The server's address, in the forms that people write it."""

from __future__ import annotations

import re
from ipaddress import ip_address

from ..errors import ConfigurationError

API_PATH = "/api/1.0"

# Addresses that people copy from a browser: pages of ProcessMaker, and what lies beside or below its API.
_PAGE = re.compile(r"(?P<prefix>.*?)(/api/1\.0)?/(login|api|api/documentation|(requests|tasks|start_processes)(/.*)?)")


def site_of(base_url: str, *, allow_http: bool) -> str:
    """Return the server's address without `/api/1.0` and trailing slashes, with its path prefix if it has one.

    Raises:
        ConfigurationError: it is no http(s) address, or that of a page; it holds credentials; or it would send the
            token unencrypted.
    """
    # A message does not repeat what may hold a password or a token.
    shown = "base_url" if any(mark in str(base_url) for mark in "@?#") else f"base_url {base_url!r}"
    refuse_quotes("base_url", base_url)
    from httpx import Request  # here, as the command line's help and completion read profiles without it

    try:
        # Read by httpx, so that what is checked here is where the token goes later.
        url = Request("GET", base_url.strip()).url
        url.raw_host.decode().encode("idna")  # as socket.getaddrinfo does: no empty or overlong label
    except Exception:  # InvalidURL, which is no ValueError; IDNA's errors; for another type than str
        raise ConfigurationError(f"{shown} is not an address such as https://pm.example.com") from None
    if url.userinfo:
        raise ConfigurationError("base_url holds a user name or password; sign in with token= or auth= instead")
    if url.scheme not in ("http", "https") or not url.host or (url.port or 0) > 65535 or len(base_url.split()) > 1:
        raise ConfigurationError(f"{shown} is not an address such as https://pm.example.com")
    if url.query or url.fragment:
        raise ConfigurationError(f"{shown} holds more than an address: leave out what follows ? or #")
    if url.scheme == "http" and not allow_http and not _is_loopback(url.host):
        raise ConfigurationError(
            f"{shown} is plain http: the token would cross the network unencrypted",
            hint="Use https, or allow it with allow_http=True.",
        )
    origin = f"{url.scheme}://{url.netloc.decode()}"
    path = url.raw_path.decode().partition("?")[0].rstrip("/")
    if page := _PAGE.fullmatch(path):
        raise ConfigurationError(
            f"{shown} is the address of a page, not of the server: leave its end out, {origin}{page['prefix']}"
        )
    return origin + path.removesuffix(API_PATH).rstrip("/")


def origin_of(url: str) -> str:
    """Return `https://pm.example.com`: scheme, host, and the port if it is not the usual one."""
    return "/".join(site_of(url, allow_http=True).split("/")[:3])


def refuse_quotes(name: str, value: object) -> None:
    """Refuse a value in literal quotation marks. A shell removes them; Docker's env files keep them.

    Raises:
        ConfigurationError: it names the setting, and does not repeat the value.
    """
    text = value.strip() if isinstance(value, str) else ""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        raise ConfigurationError(
            f"{name} is in quotation marks, which are taken for a part of it: leave them out. "
            "Docker's --env-file and some .env readers keep them"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")

"""Connections of requests that go to an address which was checked, and nowhere else."""

from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from crawl.tls import tls_context


def pinned_session(host: str, address: str, port: int) -> requests.Session:
    """Return a session whose connections go to one checked address of a host; nothing of the environment counts."""
    session = requests.Session()
    session.trust_env = False
    for scheme in ("http://", "https://"):
        session.mount(scheme, _PinnedAdapter(host, address, port))
    return session


class _PinnedAdapter(HTTPAdapter):
    """Connects to one address, whatever the name resolves to by now; the certificate must be the name's."""

    def __init__(self, host: str, address: str, port: int) -> None:
        super().__init__()
        self._host, self._address, self._port = host, address, port

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: object, proxies: object = None, cert: object = None
    ) -> urllib3.HTTPConnectionPool:
        """Return connections to the pinned address."""
        scheme = urlsplit(request.url or "").scheme
        # `assert_hostname` must not be given: urllib3 would then switch the check off in the context itself.
        tls = {"ssl_context": tls_context(), "server_hostname": self._host} if scheme == "https" else {}
        pool: urllib3.HTTPConnectionPool = self.poolmanager.connection_from_host(
            self._address, self._port, scheme, pool_kwargs=tls
        )
        return pool

    def cert_verify(self, conn: object, url: object, verify: object, cert: object) -> None:
        """Leave verifying to the context; loading certificates into it again for each connection takes a while."""

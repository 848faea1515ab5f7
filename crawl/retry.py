"""Which failures may pass: what a later run asks for again."""

_PASSING = frozenset(
    {
        "connection_failed",
        "dns_failed",
        "host_down",
        "http_429",
        "incomplete_body",
        "retry_after_too_long",
        "robots_unavailable",
        "timeout",
    }
)


def is_retryable(reason: str) -> bool:
    """Return whether a URL that failed for a reason may be had later.

    That the server is unwell (5xx), asks for patience (429), has a certificate that does not hold or cannot be reached
    passes; what it said of the URL itself does not.

    >>> is_retryable("http_503"), is_retryable("host_down"), is_retryable("http_404")
    (True, True, False)
    """
    return reason in _PASSING or reason.startswith(("http_5", "tls_"))

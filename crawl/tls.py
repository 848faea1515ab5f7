"""TLS as this crawler speaks it: certificates always verified, TLS 1.2 at least, one context for the whole process.

There is no second try without TLS, or with less of it: a host whose certificate does not hold is not asked.
"""

import functools
import ssl

_TRUST_FAULTS = {9: "expired", 10: "expired", 18: "self_signed", 19: "untrusted", 20: "untrusted", 62: "wrong_host"}
"""OpenSSL's codes for what is wrong with a certificate; 64 is 62 for addresses. Source: openssl/x509_vfy.h."""

_OLD_PROTOCOL = frozenset({"TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "WRONG_SSL_VERSION"})


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Return the process's TLS settings; loading the certificates of the system takes some 20 ms.

    Source: RFC 9325, section 3.1.1 (no protocol older than TLS 1.2).
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def tls_reason(error: BaseException) -> str | None:
    """Return the reason behind an error, where TLS is what failed.

    One of "tls_certificate_expired" (or not valid yet), "tls_certificate_self_signed", "tls_certificate_untrusted",
    "tls_certificate_wrong_host", "tls_protocol_too_old" and "tls_failed", for all else.
    """
    cause = _tls_error(error)
    if cause is None:
        return None
    if isinstance(cause, ssl.SSLCertVerificationError):
        code = 62 if cause.verify_code == 64 else cause.verify_code
        return f"tls_certificate_{_TRUST_FAULTS.get(code, 'untrusted')}"
    return "tls_protocol_too_old" if cause.reason in _OLD_PROTOCOL else "tls_failed"


def _tls_error(error: BaseException) -> ssl.SSLError | None:
    """Return the error of TLS behind an error of a library, which passes it on by one of several ways."""
    met: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop()
        if isinstance(each, ssl.SSLError) and type(each).__module__ == "ssl":  # not aiohttp's, which knows no code
            return each
        if isinstance(each, BaseException) and id(each) not in met:
            met.add(id(each))
            waiting += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
    return None

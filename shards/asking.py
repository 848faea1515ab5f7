"""Asking a store: again where it fails, and saying so in one line where it goes on failing."""

import logging
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

RETRY_DELAYS_S = (0.2, 1.0, 3.0, 9.0)
"""Before each further try of a request that failed."""

Answer = TypeVar("Answer")


class DatasetError(RuntimeError):
    """A dataset cannot be read; the message says which, where and what would do."""


class StoreError(DatasetError):
    """A store gives no answer; nothing is said about what it holds."""


class RefusalError(StoreError):
    """A store does not take what it is asked, or there is none: asking again would not help."""


def ask(name: str, request: Callable[[], Answer]) -> Answer:
    """Return what a request gives, asking again where it fails.

    Args:
        name: What is asked for, as it is named to people.
        request: Asks once.

    Raises:
        FileNotFoundError: The store says that there is no such file.
        FileExistsError: The store says that there is one already.
        RefusalError: The store refuses, or there is no such store or bucket.
        StoreError: It failed each time.
    """
    for delay in (*RETRY_DELAYS_S, None):
        try:
            return request()
        except FileExistsError:
            raise
        except FileNotFoundError as error:
            if answer_of(error)[1] == "NoSuchBucket":
                raise RefusalError(f"{name}: the store has no such bucket; make it, or name another") from error
            raise
        except ValueError as error:
            if "endpoint" not in str(error):
                raise
            raise RefusalError(f"{name}: {error}; see AWS_ENDPOINT_URL, or the endpoint in storage_options") from error
        except _failures() as error:
            is_refused = isinstance(error, PermissionError) or _is_refusal(error)
            if delay is None or is_refused:
                told = f"{type(error).__name__}: {error}".strip(": ")
                raise (RefusalError if is_refused else StoreError)(
                    f"{name}: the store gives no answer ({told}); see that it can be reached, and that "
                    "storage_options or the environment have its keys and endpoint"
                ) from error
            logger.info("%s: %s; asking again in %g s", name, error, delay)
            time.sleep(delay)
    raise AssertionError("the last try returns or raises")


def answer_of(error: Exception) -> tuple[int, str]:
    """Return an S3 store's HTTP status and code, 0 and "" where it was not such a store that refused."""
    told: Any = getattr(error.__cause__ or error.__context__, "response", None)
    if not isinstance(told, dict):
        return 0, ""
    return told.get("ResponseMetadata", {}).get("HTTPStatusCode", 0), told.get("Error", {}).get("Code", "")


def _failures() -> tuple[type[Exception], ...]:
    """Return the errors by which the file systems in use say that a request failed; not all of them are `OSError`s."""
    found: list[type[Exception]] = [OSError]
    for module, name in (("aiohttp", "ClientError"), ("botocore.exceptions", "BotoCoreError")):
        if module in sys.modules:
            found.append(getattr(sys.modules[module], name))
    return tuple(found)


def _is_refusal(error: Exception) -> bool:
    """Return whether an HTTP status says that asking again would not help.

    Source: RFC 9110, section 15.5: 4xx are the client's errors, of which 408, 425 and 429 pass.
    """
    status = getattr(error, "status", None)
    return isinstance(status, int) and 400 <= status < 500 and status not in (408, 425, 429)

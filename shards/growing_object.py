"""Large objects of an S3 store, put part by part while they are still being written.

Whoever writes hundreds of megabytes would else wait for all of them to be sent at the end. What is put so is nowhere to
be seen until the last request makes an object of it.

Source: Amazon S3, "Uploading and copying objects using multipart upload".
"""

import io
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

from shards.asking import StoreError

PART_BYTES = 8 * 2**20
"""Of an object that are put together: S3 takes 10,000 of them; memory for larger ones would be asked for each time."""

SENT_AT_ONCE = 2
"""Parts: one may wait for its answer while the other is sent."""

Ask = Callable[[Callable[[Any, str], Any]], Any]
"""Has a request, given `s3fs` and the object's path, made; again where it fails."""


@contextmanager
def growing(ask: Ask, *, is_sent: bool) -> Iterator["GrowingObject"]:
    """Yield a `GrowingObject`, for `finish`; after an error nothing is left of it.

    Args:
        ask: How the store is asked.
        is_sent: Whether parts are put while others are written; if not, it is a file like others.
    """
    with GrowingObject(tempfile.TemporaryFile(buffering=0), ask, is_sent) as file:
        try:
            yield file
        except BaseException:
            file.give_up()
            raise


class GrowingObject(io.BufferedRandom):
    """A file of this machine, written from its beginning to its end, that becomes an object; it may be read back.

    Args:
        raw: An empty file.
        ask: See `growing`.
        is_sent: See `growing`.
    """

    def __init__(self, raw: io.FileIO, ask: Ask, is_sent: bool) -> None:
        super().__init__(raw)
        self._ask, self._is_sent = ask, is_sent
        self._behind = ThreadPoolExecutor(SENT_AT_ONCE)
        self._upload: Future[str] | None = None
        self._parts: list[Future[dict[str, Any]]] = []
        self._num_written = 0

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - whatever has a buffer
        """Write, and have what is a whole part by then put."""
        num_bytes = super().write(data)
        self._num_written += num_bytes
        while self._is_sent and self._num_written >= (len(self._parts) + 1) * PART_BYTES:
            self.flush()
            self._put_part()
        return num_bytes

    def finish(self) -> bool:
        """Put the rest, and make an object of the parts; return whether it stands, or is to be put whole."""
        if self._upload is None:
            return False
        try:
            if self._num_written > len(self._parts) * PART_BYTES:
                self.flush()
                self._put_part()
            parts = {"Parts": [part.result() for part in self._parts]}
            self._send("complete_multipart_upload", UploadId=self._upload.result(), MultipartUpload=parts)
        except (StoreError, FileNotFoundError):  # where an answer was lost, the upload is no more
            self.give_up()
            return False
        return True

    def give_up(self) -> None:
        """Have the store forget the parts, as far as it can be reached."""
        self._behind.shutdown(cancel_futures=True)
        upload, self._upload = self._upload, None
        if upload is not None and not upload.cancelled() and upload.exception() is None:
            with suppress(StoreError, FileNotFoundError):
                self._send("abort_multipart_upload", UploadId=upload.result())

    def close(self) -> None:
        """Close the file."""
        self._behind.shutdown()
        super().close()

    def _send(self, operation: str, **how: object) -> Any:  # noqa: ANN401 - what S3 answers
        def request(files: Any, path: str) -> Any:  # noqa: ANN401 - fsspec has no types
            bucket, key, _ = files.split_path(path)
            return files.call_s3(operation, Bucket=bucket, Key=key, **how)

        return self._ask(request)

    def _put_part(self) -> None:
        if self._upload is None:
            self._upload = self._behind.submit(lambda: str(self._send("create_multipart_upload")["UploadId"]))
        self._parts.append(self._behind.submit(self._sent, self._upload, len(self._parts)))

    def _sent(self, upload: "Future[str]", number: int) -> dict[str, Any]:
        data = os.pread(self.fileno(), PART_BYTES, number * PART_BYTES)
        answer = self._send("upload_part", UploadId=upload.result(), PartNumber=number + 1, Body=data)
        return {"PartNumber": number + 1, "ETag": answer["ETag"]}

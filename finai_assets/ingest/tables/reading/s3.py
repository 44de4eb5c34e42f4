"""Files in S3, listed and copied to the cache; a store that asks for slower requests is waited for, and then said to throttle."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pyarrow.fs as pafs

from finai_assets.ingest.tables.reading.digests import SETTLED_NS
from finai_resources.errors import ConfigError, ContractError
from finai_resources.json_text import remembered, to_json
from finai_resources.printable import excerpt
from finai_resources.whole_file import replace_file, replacing

PAUSES = (0.2, 0.4, 0.8, 1.6, 3.2, 6.4)  # seconds after each refusal; a request is made once more than there are pauses
CHUNK = 8 << 20
_SLOW = ("slow_down", "slowdown", "reduce your request rate", "throttl", "toomanyrequests", "503", "429")

T = TypeVar("T")


class Bucket:
    """The part of S3 that a source reads.

    Parameters
    ----------
    filesystem
        pyarrow's, which repeats no request by itself.
    sleep
        Waits for some seconds.
    """

    def __init__(self, filesystem: pafs.FileSystem, sleep: Callable[[float], None] = time.sleep) -> None:
        self.filesystem, self._sleep = filesystem, sleep

    @classmethod
    def from_environment(cls) -> Bucket:
        """Open S3 with the credentials of the environment, at ``FINAI_S3_ENDPOINT`` where it is set.

        Raises
        ------
        ConfigError
            There are no credentials.
        """
        credentials = boto3.Session().get_credentials()
        if credentials is None:
            raise ConfigError(
                "no S3 credentials were found", where="s3://", fix="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        frozen = credentials.get_frozen_credentials()
        options: dict[str, Any] = {}
        if endpoint := os.environ.get("FINAI_S3_ENDPOINT"):
            scheme, _, host = endpoint.partition("://")
            options = {"scheme": scheme, "endpoint_override": host.rstrip("/")}
        return cls(
            pafs.S3FileSystem(
                access_key=frozen.access_key,
                secret_key=frozen.secret_key,
                session_token=frozen.token,
                region=os.environ.get("AWS_REGION", "us-east-1"),
                force_virtual_addressing=False,
                retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=1),
                **options,
            )
        )

    def names(self, folder: str) -> list[tuple[str, bool]]:
        """Return the names below a prefix, ascending, and whether each is a prefix itself."""
        found = self._patiently(
            lambda: self.filesystem.get_file_info(pafs.FileSelector(folder, recursive=False)), folder
        )
        return sorted((info.base_name, info.type == pafs.FileType.Directory) for info in found if info.base_name)

    def state(self, path: str) -> list[int]:
        """Return what tells one version of an object from another: its size and time of change."""
        info = self._patiently(lambda: self.filesystem.get_file_info(path), path)
        if info.type != pafs.FileType.File:
            raise ContractError("there is no such object", where=f"s3://{path}", fix="correct `path`")
        return [info.size, info.mtime_ns]

    def copy(self, path: str, cache: Path, on_progress: Callable[[str, int, int], None]) -> tuple[Path, str]:
        """Return the copy of an object in the cache, made anew where the object changed, and the SHA-256 of its bytes."""
        state = self.state(path)
        note = cache / "s3" / f"{hashlib.sha256(path.encode()).hexdigest()[:32]}.json"
        copied = note.with_suffix(os.path.splitext(path)[1] or ".bin")  # noqa: PTH122 - no path of this machine
        known = remembered(note)
        if known.get("state") == state and "sha256" in known and copied.is_file():
            return copied, str(known["sha256"])
        now = time.time_ns()
        digest = self.fetch(path, copied, lambda done, size: on_progress(f"s3://{path}", done, size))
        if now - state[1] > SETTLED_NS:
            replace_file(note, to_json({"state": state, "sha256": digest}), durable=False)
        return copied, digest

    def fetch(self, path: str, target: Path, progress: Callable[[int, int], None]) -> str:
        """Copy an object to a file, part by part; return the SHA-256 of its bytes."""
        digest, at = hashlib.sha256(), 0
        stream = self._patiently(lambda: self.filesystem.open_input_file(path), path)
        size = self._patiently(stream.size, path)
        with replacing(target) as sink:
            while at < size:
                part = self._patiently(partial(stream.read_at, min(CHUNK, size - at), at), path)
                if not part:
                    raise ContractError(
                        f"the object ended after {at:,} of {size:,} bytes", where=f"s3://{path}", fix="run again"
                    )
                digest.update(part)
                sink.write(part)
                at += len(part)
                progress(at, size)
        return digest.hexdigest()

    def _patiently(self, request: Callable[[], T], path: str) -> T:
        """Make a request, again after growing pauses while the store throttles.

        Raises
        ------
        ContractError
            It throttled every time, or the request failed otherwise.
        """
        refused = ""
        for pause in (*PAUSES, None):
            try:
                return request()
            except FileNotFoundError:
                raise
            except OSError as error:
                refused = str(error)
                if not any(word in refused.lower() for word in _SLOW):
                    raise ContractError(
                        f"S3 refused the request ({excerpt(refused, 300)})",
                        where=f"s3://{path}",
                        fix="check bucket, path, region, credentials and FINAI_S3_ENDPOINT",
                    ) from error
            if pause is not None:
                self._sleep(pause)
        raise ContractError(
            f"S3 throttled {len(PAUSES) + 1} requests in a row, with pauses of {PAUSES[0]} to {PAUSES[-1]} seconds "
            f"({excerpt(refused, 200)})",
            where=f"s3://{path}",
            fix="run again later, or ask for a higher request rate of the bucket",
        )

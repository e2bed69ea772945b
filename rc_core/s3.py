"""Addresses in S3 and services like it, and how they are reached.

    s3://bucket/prefix
    s3://bucket/prefix?endpoint_override=HOST:PORT&scheme=http&region=REGION

Without a query, the endpoint comes from `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL` (MinIO, Ceph, ...);
without either it is Amazon's, and the bucket's region is asked for. Credentials come from where every AWS
tool looks for them: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, `~/.aws`, the role of the machine. They
are not part of an address, since addresses are printed, stored and sent to other hosts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")

_OPTIONS = ("endpoint_override", "region", "scheme")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
_URI = re.compile(r"[!-~]+")  # printable ASCII without the space

_CONNECT_TIMEOUT_SECONDS = 5.0
_ANSWER_TIMEOUT_SECONDS = 10.0  # without a byte


class S3Address(NamedTuple):
    """Where a prefix is.

    Attributes:
        bucket: its name.
        prefix: without slashes at the ends; empty for the whole bucket.
        endpoint: `host:port`, or None for Amazon.
        scheme: `http` or `https`.
        region: None = found out.
    """

    bucket: str
    prefix: str
    endpoint: str | None
    scheme: str
    region: str | None


def parse_s3_uri(uri: str, environment: Mapping[str, str]) -> S3Address:
    """The address that a URI and the environment give; the URI wins.

    Raises:
        ValueError: the URI is malformed, has options that are not known, or holds credentials.
    """
    parts = urlsplit(uri)
    if "@" in parts.netloc:
        bucket = parts.netloc.rpartition("@")[2]
        raise ValueError(
            f"storage = 's3://...@{bucket}{parts.path}': the URI must not hold credentials, since it is "
            "printed and stored; give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, in ~/.aws, or by "
            "the machine's role"
        )

    def refuse(reason: str) -> ValueError:
        return ValueError(f"storage = {uri!r}: {reason}; expected a path or s3://bucket/prefix")

    if not _URI.fullmatch(uri) or parts.fragment:
        raise refuse("spaces, '#' and characters beyond ASCII are not allowed")
    if not _BUCKET.fullmatch(parts.netloc):
        raise refuse(f"{parts.netloc!r} is no bucket's name")
    try:
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise refuse(f"the query {parts.query!r} is not of the form name=value&name=value") from error
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise refuse(f"option {unknown[0]!r} is none of {', '.join(_OPTIONS)}")
    endpoint = options.get("endpoint_override") or _first(environment, ENDPOINT_VARIABLES)
    scheme = options.get("scheme")
    if endpoint and "://" in endpoint:
        endpoint_scheme, _, endpoint = endpoint.partition("://")
        scheme = scheme or endpoint_scheme
    scheme = scheme or "https"
    if scheme not in ("http", "https"):
        raise refuse(f"scheme {scheme!r} is neither http nor https")
    return S3Address(
        parts.netloc,
        unquote(parts.path).strip("/"),
        endpoint.rstrip("/") if endpoint else None,
        scheme,
        options.get("region") or None,
    )


def connect(address: S3Address) -> Any:
    """The pyarrow file system of an address. Asks the network for the region of a bucket at Amazon.

    Raises:
        OSError: the region cannot be found out.
    """
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem, resolve_s3_region

    region = address.region
    if region is None and address.endpoint is None:
        region = resolve_s3_region(address.bucket)
    return S3FileSystem(
        region=region,
        scheme=address.scheme,
        endpoint_override=address.endpoint,
        allow_delayed_open=True,  # one PUT for a small file, where opening it first would make three requests
        connect_timeout=_CONNECT_TIMEOUT_SECONDS,
        request_timeout=_ANSWER_TIMEOUT_SECONDS,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=1),  # outages.py tries again
    )


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((environment[name] for name in names if environment.get(name)), None)

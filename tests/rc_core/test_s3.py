import pytest
from hypothesis import given
from hypothesis import strategies as st

from rc_core.s3 import S3Address, connect, parse_s3_uri

ENDPOINT = {"AWS_ENDPOINT_URL": "http://localhost:9000"}


@pytest.mark.parametrize(
    ("uri", "environment", "address"),
    [
        ("s3://bucket", {}, S3Address("bucket", "", None, "https", None)),
        ("s3://bucket/a/b/", {}, S3Address("bucket", "a/b", None, "https", None)),
        ("s3://bucket/a?region=eu-west-1", {}, S3Address("bucket", "a", None, "https", "eu-west-1")),
        ("s3://bucket/a", ENDPOINT, S3Address("bucket", "a", "localhost:9000", "http", None)),
        (
            "s3://bucket/a",
            ENDPOINT | {"AWS_ENDPOINT_URL_S3": "https://s3.example.org/"},
            S3Address("bucket", "a", "s3.example.org", "https", None),
        ),
        ("s3://bucket/a", {"AWS_ENDPOINT_URL": ""}, S3Address("bucket", "a", None, "https", None)),
        (
            "s3://bucket/a?endpoint_override=10.0.0.1:9000&scheme=http",
            ENDPOINT,
            S3Address("bucket", "a", "10.0.0.1:9000", "http", None),
        ),
        (
            "s3://bucket/a?endpoint_override=http%3A%2F%2F10.0.0.1%3A9000",
            {},
            S3Address("bucket", "a", "10.0.0.1:9000", "http", None),
        ),
        ("s3://bucket/with%20space", {}, S3Address("bucket", "with space", None, "https", None)),
    ],
)
def test_an_address_is_what_uri_and_environment_say(uri, environment, address):
    assert parse_s3_uri(uri, environment) == address


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("s3://", "'' is no bucket's name"),
        ("s3:///prefix", "'' is no bucket's name"),
        ("s3://-b/prefix", "'-b' is no bucket's name"),
        ("s3://bucket/with space", "spaces, '#' and characters beyond ASCII are not allowed"),
        ("s3://bucket/a#b", "spaces, '#' and characters beyond ASCII are not allowed"),
        ("s3://bucket/a?endpoint=x", "option 'endpoint' is none of endpoint_override, region, scheme"),
        ("s3://bucket/a?allow_bucket_creation=true", "option 'allow_bucket_creation' is none of"),
        ("s3://bucket/a?region", "the query 'region' is not of the form name=value&name=value"),
        ("s3://bucket/a?scheme=ftp", "scheme 'ftp' is neither http nor https"),
    ],
)
def test_a_malformed_uri_is_refused_with_the_reason(uri, reason):
    with pytest.raises(ValueError, match="expected a path or s3://bucket/prefix") as caught:
        parse_s3_uri(uri, {})
    assert str(caught.value).startswith(f"storage = '{uri}': {reason}")


def test_credentials_in_a_uri_are_refused_and_not_repeated():
    with pytest.raises(ValueError, match="must not hold credentials") as caught:
        parse_s3_uri("s3://AKIAEXAMPLE:verysecret@bucket/a", {})
    assert "AKIAEXAMPLE" not in str(caught.value)
    assert "verysecret" not in str(caught.value)


@given(st.text())
def test_any_text_is_an_address_or_a_value_error(text):
    try:
        address = parse_s3_uri(f"s3://{text}", {})
    except ValueError:
        return
    assert address.bucket
    assert address.scheme in ("http", "https")


def test_at_amazon_the_region_is_the_bucket_s_own(monkeypatch, s3_credentials):
    import pyarrow.fs

    monkeypatch.setattr(pyarrow.fs, "resolve_s3_region", lambda bucket: {"bucket": "eu-north-1"}[bucket])
    assert connect(S3Address("bucket", "", None, "https", None)).region == "eu-north-1"
    assert connect(S3Address("bucket", "", None, "https", "us-west-2")).region == "us-west-2"
    # With an endpoint of one's own the bucket's region is not asked for.
    monkeypatch.setattr(pyarrow.fs, "resolve_s3_region", None)
    assert connect(S3Address("bucket", "", "localhost:1", "http", None)).region == "us-east-1"

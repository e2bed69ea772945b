import logging
import os
import pickle
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from rc_core.object_storage import ArrowStorage, StorageError, is_outage
from rc_core.outages import OutageError
from rc_core.storage import open_storage


@pytest.fixture
def s3(s3_uri):
    return open_storage(s3_uri)


@pytest.fixture
def s3_requests(s3_server):
    """The methods of the requests that an operation makes, in order."""

    def of(operation):
        before = len(s3_server.requests())
        operation()
        return [request.partition(" ")[0] for request in s3_server.requests()[before:]]

    return of


# What it costs


@pytest.mark.parametrize("content", [b"", b"{}\n", bytes(9_000_000)], ids=["empty", "small", "9 MB"])
def test_a_file_is_written_by_one_request(s3, s3_requests, content):
    assert s3_requests(lambda: s3.write("cell/a.json", content)) == ["PUT"]
    assert s3_requests(lambda: s3.write("cell/a.json", content)) == ["PUT"]


def test_a_large_file_is_written_in_parts_and_appears_as_a_whole(s3, s3_requests):
    content = os.urandom(12_000_000)
    assert s3_requests(lambda: s3.write("a", content)) == ["POST", "PUT", "PUT", "POST"]
    assert s3.read("a") == content


def test_a_file_is_read_by_two_requests_and_listed_by_one(s3, s3_requests):
    s3.write("cell/a.json", b"{}\n")
    assert s3_requests(lambda: s3.read("cell/a.json")) == ["HEAD", "GET"]
    assert s3_requests(s3.names) == ["GET"]
    assert s3_requests(s3.folder("nothing").names) == ["GET"]


def test_what_is_missing_is_known_after_one_request(s3, s3_requests):
    def read():
        with pytest.raises(FileNotFoundError):
            s3.read("nothing")

    assert s3_requests(read) == ["HEAD", "HEAD"]  # the second is for the bucket, once in a process
    assert s3_requests(read) == ["HEAD"]


def test_deleting_is_cheapest_for_what_is_missing(s3, s3_requests):
    for name in ("kept", "file", "cell/a", "cell/b"):
        s3.write(name, b"1")
    assert s3_requests(lambda: s3.delete("nothing")) == ["GET", "HEAD"]
    # pyarrow keeps the folder above alive by an empty object: the last PUT.
    assert s3_requests(lambda: s3.delete("file")) == ["GET", "HEAD", "DELETE", "PUT"]
    assert s3_requests(lambda: s3.delete("cell")) == ["GET", "HEAD", "GET", "POST", "DELETE", "PUT"]
    assert s3.names() == ["kept"]


def test_opening_asks_for_nothing_and_processes_keep_their_connection(s3_uri, s3_requests):
    assert s3_requests(lambda: open_storage(s3_uri)) == []
    assert open_storage(s3_uri)._store is open_storage(f"{s3_uri}/elsewhere")._store


def test_names_of_more_than_a_page_are_complete(s3, s3_requests):
    names = [f"train-p0.50-s{seed:04d}" for seed in range(1050)]
    with ThreadPoolExecutor(8) as writers:
        list(writers.map(lambda name: s3.write(f"{name}/record.json", b"{}"), names))
    assert s3.names() == names
    assert s3_requests(s3.names) == ["GET", "GET"]
    bucket, _, folder = s3.location.rpartition("/")
    open_storage(bucket).delete(folder)
    assert s3.names() == []


# Where it is


def test_a_location_opens_the_same_folder_with_and_without_a_query(s3_server, s3_uri, monkeypatch):
    open_storage(s3_uri).folder("cell").write("a", b"1")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    query = f"endpoint_override=127.0.0.1:{s3_server.port}&scheme=http"
    for slash in ("", "/"):
        cell = open_storage(f"{s3_uri}{slash}?{query}").folder("cell")
        assert cell.location == f"{s3_uri}/cell?{query}"
        assert open_storage(cell.location).read("a") == b"1"
        assert open_storage(cell.folder("deeper").location).location == f"{s3_uri}/cell/deeper?{query}"


def test_a_whole_bucket_is_a_folder_too(s3_uri):
    bucket = open_storage(s3_uri.removesuffix("/results"))
    bucket.write("results/a", b"1")
    assert bucket.names() == ["results"]
    assert open_storage(s3_uri).read("a") == b"1"


def test_a_pickle_holds_the_location_and_no_credentials(s3):
    s3.write("a", b"1")
    pickled = pickle.dumps(s3.folder("cell"))
    assert b"test-secret" not in pickled
    assert b"test-key" not in pickled
    again = pickle.loads(pickled)
    assert isinstance(again, ArrowStorage)
    assert again.location == s3.folder("cell").location


# What a user can mend


@pytest.mark.parametrize(
    "operation",
    [
        lambda storage: storage.names(),
        lambda storage: storage.read("a"),
        lambda storage: storage.write("a", b"1"),
        lambda storage: storage.delete("a"),
    ],
    ids=["names", "read", "write", "delete"],
)
def test_a_missing_bucket_is_named_at_once_and_not_made(s3_uri, operation):
    with pytest.raises(
        StorageError, match="there is no bucket 'never-made', and rcsweep makes none"
    ) as caught:
        operation(open_storage("s3://never-made/results"))
    assert "aws s3 mb s3://never-made" in str(caught.value)
    assert not isinstance(caught.value, FileNotFoundError | OutageError)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError("When ...: AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 7"), True),
        (OSError("When ...: AWS Error SLOW_DOWN during PutObject operation: m"), True),
        (OSError("When ...: AWS Error INTERNAL_FAILURE during PutObject operation: m"), True),
        (OSError("When ...: AWS Error REQUEST_TIMEOUT during PutObject operation: m"), True),
        (OSError("When ...: AWS Error UNKNOWN (HTTP status 502) during HeadObject operation"), True),
        (OSError("When ...: AWS Error UNKNOWN (HTTP status 429) during HeadObject operation"), True),
        (OSError("When ...: AWS Error UNKNOWN (HTTP status 409) during PutObject operation"), True),
        (TimeoutError("timed out"), True),
        (OSError("When ...: AWS Error UNKNOWN (HTTP status 301) during HeadObject operation"), False),
        (OSError("When ...: AWS Error UNKNOWN (HTTP status 400) during HeadObject operation"), False),
        (OSError("When ...: AWS Error UNKNOWN (HTTP status 403) during HeadObject operation"), False),
        (OSError("When ...: AWS Error ACCESS_DENIED during HeadObject operation: No response body."), False),
        (OSError("When ...: AWS Error SIGNATURE_DOES_NOT_MATCH during PutObject operation: m"), False),
        (OSError("When ...: AWS Error NO_SUCH_BUCKET during PutObject operation: m"), False),
        (FileNotFoundError("a"), False),
        (PermissionError("a"), False),
    ],
)
def test_no_answer_is_told_from_the_answer_no(error, expected):
    assert is_outage(error) is expected


class Refusing:
    """A file system that gives one error to every question, and counts them."""

    def __init__(self, text):
        self.text, self.num_requests = text, 0

    def get_file_info(self, path):
        self.num_requests += 1
        raise OSError(self.text)


@pytest.mark.parametrize(
    ("text", "kind", "advice"),
    [
        ("AWS Error ACCESS_DENIED during HeadObject operation", PermissionError, "check AWS_ACCESS_KEY_ID"),
        ("AWS Error UNKNOWN (HTTP status 301) during HeadObject", StorageError, "check bucket, region"),
    ],
)
def test_a_refusal_is_not_tried_again_and_says_what_to_check(s3, monkeypatch, text, kind, advice):
    refusing = Refusing(text)
    monkeypatch.setattr(s3._store, "_filesystem", refusing)
    with pytest.raises(kind, match=advice) as caught:
        s3.names()
    assert str(caught.value).startswith(f"{s3.location}: ")
    assert refusing.num_requests == 1


# Outages


@pytest.fixture
def on_the_line(s3_line, s3_server):
    """A prefix behind a line that can be cut, for readers of some patience."""
    location = f"s3://{s3_server.make_bucket()}/results"

    def open_with(patience_seconds):
        return open_storage(location, patience_seconds)

    return open_with


def test_every_operation_survives_an_outage_with_one_warning(on_the_line, s3_line, caplog):
    caplog.set_level(logging.INFO, "rc_core.outages")
    storage = on_the_line(60)
    for name in ("read", "deleted"):
        storage.write(f"{name}/a", b"1")
    s3_line.cut()
    threading.Timer(3, s3_line.mend).start()
    started = time.monotonic()
    with ThreadPoolExecutor(4) as threads:
        read = threads.submit(storage.read, "read/a")
        written = threads.submit(storage.write, "written", bytes(12_000_000))
        names = threads.submit(storage.names)
        deleted = threads.submit(storage.delete, "deleted")
        assert read.result() == b"1"
        assert "read" in names.result()
        written.result()
        deleted.result()
    assert 2.5 < time.monotonic() - started < 30
    assert storage.names() == ["read", "written"]
    assert storage.read("written") == bytes(12_000_000)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    warning = caplog.messages[0]
    assert warning.startswith(
        f"s3://{storage.location.split('/')[2]} at 127.0.0.1:{s3_line.port} does not answer"
    )
    assert "test-secret" not in caplog.text


def test_a_transfer_that_is_cut_in_the_middle_is_done_again(on_the_line, s3_line):
    storage, content = on_the_line(60), os.urandom(30_000_000)
    s3_line.delay_seconds = 0.005  # 458 pieces of 64 KB take 2 s
    cut = threading.Timer(0.7, s3_line.cut_for, (0.5,))
    cut.start()
    storage.write("a", content)
    cut.join()
    s3_line.delay_seconds = 0.0
    assert storage.names() == ["a"]
    assert storage.read("a") == content


def test_a_server_that_hangs_is_waited_for(on_the_line, s3_server):
    storage = on_the_line(60)
    storage.write("a", b"1")
    s3_server.process.send_signal(signal.SIGSTOP)
    threading.Timer(2, s3_server.process.send_signal, (signal.SIGCONT,)).start()
    assert storage.read("a") == b"1"


def test_beyond_the_patience_the_error_names_the_file(on_the_line, s3_line):
    storage = on_the_line(1)
    s3_line.cut()
    started = time.monotonic()
    with pytest.raises(OutageError) as caught:
        storage.read("cell/a.json")
    assert 1 <= time.monotonic() - started < 10
    assert str(caught.value).startswith(f"{storage.location}/cell/a.json: no answer in ")
    assert "Could not connect" in str(caught.value)
    with pytest.raises(OutageError):
        on_the_line(0).write("a", b"1")
    s3_line.mend()
    assert storage.names() == []


def test_a_failed_write_leaves_the_old_content(on_the_line, s3_line):
    storage = on_the_line(0)
    storage.write("a", b"old")
    s3_line.delay_seconds = 0.005
    cut = threading.Timer(0.3, s3_line.cut)
    cut.start()
    with pytest.raises(OutageError):
        storage.write("a", bytes(30_000_000))
    cut.join()
    s3_line.delay_seconds = 0.0
    s3_line.mend()
    assert storage.read("a") == b"old"
    assert storage.names() == ["a"]

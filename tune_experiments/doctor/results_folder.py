"""Whether results can be written: a real file is written, read and deleted again."""

from __future__ import annotations

import secrets

from rc_core.outages import OutageError
from rc_core.storage import open_storage
from tune_experiments.doctor.finding import Finding, not_checked, ok, problem

PATIENCE_SECONDS = 3.0


def check_results_folder(location: str) -> list[Finding]:
    """Write, read and delete a small file at a path or URI.

    Args:
        location: as of `--storage`.
    """
    subject = f"storage {location}"
    try:
        is_same = _write_and_read(location)
    except OutageError as error:
        return [not_checked(subject, f"no answer: {error}", "check the network, and AWS_ENDPOINT_URL")]
    except ModuleNotFoundError as error:
        return [problem(subject, str(error), "pip install 'rcsweep[s3]'")]
    except (OSError, ValueError) as error:
        return [problem(subject, f"cannot be written: {error}", "mend that, or name another with --storage")]
    if not is_same:
        return [problem(subject, "a file comes back with other content", "name another with --storage")]
    return [ok(subject, "a file was written, read and deleted")]


def check_shared_results(location: str) -> list[Finding]:
    """The same for a cluster, whose nodes must all see it: a folder of this machine is not looked at."""
    if "://" not in location:
        return [
            not_checked(
                f"storage {location}",
                "a folder of this machine says nothing about the nodes",
                "--storage s3://BUCKET/PREFIX, or a file system that every node mounts",
            )
        ]
    return check_results_folder(location)


def _write_and_read(location: str) -> bool:
    name = f"rcsweep-doctor-{secrets.token_hex(4)}"
    content = secrets.token_bytes(64)
    folder = open_storage(location, PATIENCE_SECONDS)
    folder.write(name, content)
    try:
        return folder.read(name) == content
    finally:
        folder.delete(name)

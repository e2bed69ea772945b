import subprocess
import sys

import pytest

from benchmarks import trees


def git(folder, *arguments):
    command = [
        "git",
        "-C",
        str(folder),
        "-c",
        "user.name=test",
        "-c",
        "user.email=test@example.org",
        *arguments,
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with an old version of rc_core, and a changed one in the working tree."""
    root = tmp_path / "checkout"
    for package in (*trees.PACKAGES, "benchmarks"):
        (root / package).mkdir(parents=True)
        (root / package / "__init__.py").write_text("VERSION = 'old'\n")
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "old")
    for package in ("rc_core", "benchmarks"):
        (root / package / "__init__.py").write_text("VERSION = 'new'\n")
    monkeypatch.setattr(trees, "CHECKOUT", root)
    return root


def versions_in(tree):
    code = "import benchmarks, rc_core; print(rc_core.VERSION, benchmarks.VERSION, rc_core.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tree.root,
        env=tree.environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    core, benchmarks, file = done.stdout.split()
    assert file == str(tree.root / "rc_core" / "__init__.py")
    return core, benchmarks


def test_working_tree_is_copied_with_its_changes(checkout, tmp_path):
    tree = trees.copy_working_tree(tmp_path / "copy")
    (checkout / "rc_core" / "__init__.py").write_text("VERSION = 'newer'\n")  # while it is measured
    assert versions_in(tree) == ("new", "new")


def test_a_commit_is_extracted_with_todays_benchmarks(checkout, tmp_path):
    commit = git(checkout, "rev-parse", "HEAD")
    tree = trees.extract_commit(commit, tmp_path / "old")
    assert tree.version == commit
    assert versions_in(tree) == ("old", "new")


@pytest.mark.usefixtures("checkout")
def test_a_missing_commit_says_what_to_do(tmp_path):
    with pytest.raises(trees.MissingCommitError, match=r"commit 1234567 cannot be extracted .*--unshallow"):
        trees.extract_commit("1234567", tmp_path / "old")


def test_a_folder_without_git_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(trees, "CHECKOUT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(trees.MissingCommitError, match="in a git clone with its whole history"):
        trees.extract_commit("1234567", tmp_path / "old")

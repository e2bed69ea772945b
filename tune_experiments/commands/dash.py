"""`rcsweep dash`: a sweep in the browser while it runs, and afterwards."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

from tyro.conf import FlagCreatePairsOff, Positional, arg

from rc_core.storage import Storage, open_storage
from tune_experiments.commands.options import (
    DEFAULT_STORAGE,
    EXIT_COMPLETE,
    READER_PATIENCE_SECONDS,
    UsageError,
    comma_separated,
)

if TYPE_CHECKING:
    from analysis.dashboard.experiments import Experiments
    from analysis.dashboard.security import Access

DEFAULT_PORT = 8050

_Names = Annotated[tuple[str, ...], comma_separated(str, "NAME,NAME,...")]


@dataclass(frozen=True, kw_only=True)
class Dash:
    """Show a sweep in the browser, live: progress, figures, every trial. It only reads; Ctrl-C ends it.

    'rcsweep dash digits' shows one experiment, also one that has not begun yet; 'rcsweep dash' all of
    ./results.

    From another machine: ssh -L 8050:localhost:8050 HOST, then open http://localhost:8050. To listen on the
    network itself: --host 0.0.0.0 --token-file FILE.
    """

    experiment: Positional[Annotated[str | None, arg(metavar="[NAME|DIR|URI]")]] = None
    """Name of the experiment, its folder or URI, or a folder of experiments; default: all of --storage."""
    storage: str = DEFAULT_STORAGE
    """Folder or s3:// prefix that holds experiments."""
    port: int = DEFAULT_PORT
    """Port to listen at."""
    host: str = "127.0.0.1"
    """Address to listen at. Any but this machine's own (127.0.0.1) needs a token, or --no-token."""
    allow_host: Annotated[_Names, arg(metavar="NAME,NAME,...")] = ()
    """Further names under which browsers may ask, NAME or NAME:PORT, e.g. of a reverse proxy."""
    token: Annotated[str | None, arg(metavar="TOKEN")] = None
    """Ask everybody for this token (at least 16 characters). Other users of this machine may see it in the
    list of processes: --token-file hides it."""
    token_file: Annotated[Path | None, arg(metavar="FILE")] = None
    """File whose first line is the token."""
    no_token: Annotated[bool, FlagCreatePairsOff] = False
    """Listen on the network without a token: everybody who reaches the port may read."""
    open: Annotated[bool, FlagCreatePairsOff] = False
    """Open the page in this machine's browser."""

    def run(self) -> int:
        """Carry the command out and return the exit code."""
        experiments = self._experiments()
        access = self._access()
        from analysis.dashboard.app import create_app
        from analysis.dashboard.server import PortInUseError, serve

        address = self._address(access, experiments.only)

        def tell() -> None:
            print(f"rcsweep dash: {address}\nCtrl-C ends it.", flush=True)
            if self.open:
                import webbrowser

                webbrowser.open(address)

        try:
            serve(create_app(experiments, access), self.host, self.port, tell)
        except PortInUseError as error:
            raise UsageError(str(error)) from error
        except KeyboardInterrupt:  # before the server ran
            pass
        print("rcsweep dash: ended", flush=True)
        return EXIT_COMPLETE

    def _experiments(self) -> Experiments:
        try:
            from analysis.dashboard.experiments import Experiments, holds_experiments, parent_of
        except ModuleNotFoundError as error:
            raise _not_installed(error) from error

        words = () if self.storage == DEFAULT_STORAGE else ("--storage", self.storage)
        if self.experiment is None:
            return Experiments(self._opened(self.storage), storage_words=words)
        if "/" not in self.experiment and self.experiment != ".":
            parent = self._opened(self.storage)
            return Experiments(parent, only=self.experiment, storage_words=words)
        location = os.path.abspath(self.experiment) if "://" not in self.experiment else self.experiment
        storage = self._opened(location)
        if holds_experiments(storage):
            return Experiments(storage, storage_words=("--storage", self.experiment))
        above, name = parent_of(storage), storage.location.partition("?")[0].rstrip("/").rpartition("/")[2]
        if not above or above.endswith((":/", "://")):  # a bucket itself
            return Experiments(None, only=name, storage=storage)
        query = storage.location.partition("?")[2]
        parent_location = above + (f"?{query}" if query else "")
        return Experiments(
            self._opened(parent_location),
            only=name,
            storage=storage,
            storage_words=("--storage", parent_location),
        )

    def _opened(self, location: str) -> Storage:
        return open_storage(location, READER_PATIENCE_SECONDS)

    def _access(self) -> Access:
        from analysis.dashboard.security import Access, is_loopback

        if not 1 <= self.port <= 65_535:
            raise UsageError(f"--port {self.port}: must be from 1 to 65535")
        token = self._token()
        if not is_loopback(self.host) and token is None and not self.no_token:
            raise UsageError(
                f"--host {self.host}: others on the network could read the experiment. Give a token "
                "(--token-file FILE or --token TOKEN), or say --no-token; or leave --host away and come by "
                f"ssh -L {self.port}:localhost:{self.port}"
            )
        try:
            return Access(host=self.host, port=self.port, token=token, allowed_hosts=self.allow_host)
        except ValueError as error:
            raise UsageError(f"--{error}") from error

    def _token(self) -> str | None:
        given = [self.token is not None, self.token_file is not None, self.no_token]
        if sum(given) > 1:
            raise UsageError("--token, --token-file and --no-token: give one of them")
        if self.token_file is None:
            return self.token
        try:
            lines = self.token_file.read_text().splitlines()
        except OSError as error:
            raise UsageError(f"--token-file {self.token_file}: {error.strerror or error}") from error
        return lines[0].strip() if lines else ""

    def _address(self, access: Access, only: str | None) -> str:
        """Of the first page; from this machine where the server listens at every address."""
        from analysis.dashboard.addresses import page_path
        from analysis.dashboard.security import is_wildcard

        host = "localhost" if is_wildcard(self.host) else self.host
        shown = f"[{host}]" if ":" in host else host
        path = "/" if only is None else page_path(only)
        token = "" if access.token is None else f"?token={quote(access.token, safe='')}"
        return f"http://{shown}:{self.port}{path}{token}"


def _not_installed(error: ModuleNotFoundError) -> ModuleNotFoundError:
    return ModuleNotFoundError(
        f"rcsweep dash needs {error.name}; install it with: {shlex.join(['pip', 'install', 'rcsweep[dash]'])}"
    )

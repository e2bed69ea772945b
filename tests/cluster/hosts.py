"""Hosts on one machine: namespaces of network, processes and files, joined by a bridge that leads nowhere.

Everything of a host lives in its namespaces: the kernel ends it with the host's first process, which dies
with the process that made it, however that ends. No interface, mount, named namespace or file is made
outside, so a crash leaves nothing to clean up.
Needs root, iproute2, util-linux, openssh-server, rsync and curl.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

NETWORK = "10.77.0"
DESK_NUMBER = 254
DESK_ADDRESS = f"{NETWORK}.{DESK_NUMBER}"
HOME, TEMPORARY = Path("/root"), Path("/tmp")
CHECKOUT = Path(__file__).resolve().parents[2]
KEY = f"{HOME}/.ssh/key"
START_SECONDS = 30.0
PROGRAMS = ("setpriv", "unshare", "nsenter", "ip", "rsync", "ssh", "/usr/sbin/sshd", "ssh-keygen", "curl")

# What a host sees: the machine's files, none of which it can change, and its own /root, /tmp, /run and
# /dev/shm in memory. The interpreter and its packages stay visible where they lie below one of these.
FIRST_PROCESS = """
set -e
hostname {name}
ip link set lo up
mount -t tmpfs tmpfs /run
mkdir -p /run/home /run/tmp /run/sshd
chmod 1777 /run/tmp
{keep}
mount --rbind /run/home {home}
mount --rbind /run/tmp {temporary}
mount -t tmpfs -o size=1g tmpfs /dev/shm
mount -o remount,bind,ro /
cd {home}
cat > .bashrc <<'LINES'
export PATH={path}:$PATH PYTHONPATH={pythonpath}
LINES
echo started
# The first process of a process namespace inherits orphans; bash buries them while it waits.
cat > /dev/null
"""

SSHD = """
mkdir -p /run/sshd
ssh-keygen -q -t ed25519 -N '' -f /run/sshd/key
echo '{key}' > /run/sshd/authorized
cat > /run/sshd/config <<'LINES'
ListenAddress {address}
HostKey /run/sshd/key
AuthorizedKeysFile /run/sshd/authorized
PasswordAuthentication no
StrictModes no
UsePAM no
PidFile /run/sshd/pid
LINES
/usr/sbin/sshd -E /run/sshd/log -f /run/sshd/config
"""


def missing_means() -> str | None:
    """Why no hosts can be made here; None where they can."""
    if os.geteuid() != 0:
        return "only root can make network namespaces"
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (Debian: curl, iproute2, openssh-server, rsync)"
    probe = subprocess.run(
        ["unshare", "--net", "--pid", "--fork", "sh", "-c", "ip link add lan type bridge"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"namespaces cannot be made: {probe.stderr.strip()}" if probe.returncode else None


class Host:
    """A host, up when it is made.

    Attributes:
        name: its host name.
        address: its IPv4 address.
        pid: of its first process, as this process sees it.

    Args:
        name: see above.
        number: last part of the address.
    """

    def __init__(self, name: str, number: int) -> None:
        self.name, self.address = name, f"{NETWORK}.{number}"
        script = FIRST_PROCESS.format(
            name=name,
            home=HOME,
            temporary=TEMPORARY,
            keep="\n".join(_keep_visible()),
            path=shlex.quote(str(Path(sys.prefix) / "bin")),
            pythonpath=shlex.quote(":".join(filter(None, [f"{HOME}/rcsweep", os.environ.get("PYTHONPATH")]))),
        )
        namespaces = ["--net", "--pid", "--mount", "--uts", "--ipc", "--mount-proc", "--fork", "--kill-child"]
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", *namespaces, "bash", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._started: list[subprocess.Popen[bytes]] = []
        self.pid = self._first_process()
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "started\n", f"{name} did not start; see stderr"

    def _first_process(self) -> int:
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        deadline_seconds = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(FileNotFoundError):
                if found := children.read_text().split():
                    return int(found[0])
            assert self._process.poll() is None, f"{self.name} did not start"
            assert time.monotonic() < deadline_seconds, f"{self.name} did not start"
            time.sleep(0.01)

    def ip(self, arguments: str) -> None:
        """Run `ip` in the host's network; process ids are this machine's."""
        command = ["nsenter", "-t", str(self.pid), "--net", "ip", *arguments.split()]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{self.name}: ip {arguments}: {done.stderr}"

    def command(self, command: str, **variables: str) -> list[str]:
        """A shell command as one for this machine; it runs in the host as in a login there."""
        environment = {"HOME": str(HOME), "USER": "root", "LANG": "C.UTF-8", "TERM": "dumb", **variables}
        assignments = [f"{name}={value}" for name, value in environment.items()]
        enter = [
            "nsenter",
            "-t",
            str(self.pid),
            "--net",
            "--pid",
            "--mount",
            "--uts",
            "--ipc",
            f"--wdns={HOME}",
        ]
        paths = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return [*enter, "env", "-i", paths, *assignments, "bash", "-c", f". {HOME}/.bashrc\n{command}"]

    def start(self, command: str, output: Path, **variables: str) -> subprocess.Popen[bytes]:
        """Begin a command; stdout and stderr go to a file."""
        with output.open("wb") as file:
            process = subprocess.Popen(
                self.command(command, **variables), stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )
        self._started.append(process)
        return process

    def run(
        self, command: str, *, limit_seconds: float = 60.0, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever that is."""
        return subprocess.run(
            self.command(command, **variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=limit_seconds,
        )

    def ask(self, command: str, *, limit_seconds: float = 60.0, **variables: str) -> str:
        """What a command prints; it has to succeed."""
        done = self.run(command, limit_seconds=limit_seconds, **variables)
        assert done.returncode == 0, f"{self.name}: {command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def processes(self) -> list[int]:
        """Ids, as this machine sees them, of the host's processes."""
        space = Path(f"/proc/{self.pid}/ns/pid").readlink()
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and (entry / "ns/pid").readlink() == space:
                    found.append(int(entry.name))
        return found

    def kill(self) -> None:
        """Turn the power off: every process and file of the host is gone."""
        self._process.kill()
        self._process.communicate()
        for process in self._started:
            process.wait()


class Lan:
    """A desk, which holds the bridge and from which the user works, and hosts that it reaches by ssh.

    Attributes:
        desk: the user's own machine; takes no ssh.
        hosts: the others by name.
    """

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}
        self.desk = Host("desk", DESK_NUMBER)
        self.desk.ip("link add lan type bridge")
        self.desk.ip(f"address add {self.desk.address}/24 dev lan")
        self.desk.ip("link set lan up")
        self._key = self.desk.ask(
            f"mkdir -m 700 .ssh && ssh-keygen -q -t ed25519 -N '' -f {KEY} && cat {KEY}.pub"
        ).strip()

    def add(self, name: str) -> Host:
        """Put a host up."""
        host = Host(name, 10 + len(self.hosts))
        self.hosts[name] = host
        self.desk.ip(f"link add {name} type veth peer name eth0 netns {host.pid}")
        self.desk.ip(f"link set {name} master lan up")
        host.ip(f"address add {host.address}/24 dev eth0")
        host.ip("link set eth0 up")
        # It leads no further than the desk, but by it Ray finds out which address is the host's own.
        host.ip(f"route add default via {self.desk.address}")
        host.ask(SSHD.format(key=self._key, address=host.address))
        return host

    def cut(self, host: Host) -> None:
        """Take a host's cable out."""
        self.desk.ip(f"link set {host.name} down")

    def heal(self, host: Host) -> None:
        """Put it in again."""
        self.desk.ip(f"link set {host.name} up")

    def part(self, host: Host, other: Host) -> None:
        """Let nothing pass between two hosts; both still reach the rest."""
        host.ip(f"route add blackhole {other.address}/32")

    def join(self, host: Host, other: Host) -> None:
        """End that."""
        host.ip(f"route del blackhole {other.address}/32")

    def down(self) -> None:
        """Turn everything off."""
        for host in (*self.hosts.values(), self.desk):
            host.kill()


@contextlib.contextmanager
def lan() -> Iterator[Lan]:
    """A desk for the length of the context; hosts are added as needed."""
    made = Lan()
    try:
        yield made
    finally:
        made.down()


def _keep_visible() -> list[str]:
    """Shell commands that hold checkout and interpreter in view below the folders that are private."""
    folders = {CHECKOUT, Path(sys.prefix), Path(sys.base_prefix)} | {
        Path(entry).absolute() for entry in os.environ.get("PYTHONPATH", "").split(":") if entry
    }
    commands = []
    for folder in sorted(each for each in folders if not any(other in each.parents for other in folders)):
        for private, kept in ((HOME, "/run/home"), (TEMPORARY, "/run/tmp")):
            if folder.is_relative_to(private):
                target = shlex.quote(f"{kept}/{folder.relative_to(private)}")
                source = shlex.quote(str(folder))
                commands.append(f"mkdir -p {target}; mount --bind {source} {target}")
                commands.append(f"mount -o remount,bind,ro {target}")
    return commands

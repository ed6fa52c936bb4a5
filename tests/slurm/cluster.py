"""A throw-away SLURM on this machine: munged, slurmctld and two slurmd (a CPU node, a node with a pretend GPU), no systemd, no database.

Works as root with Debian's slurm-wlm and munge. The configuration has to be reachable from /etc/slurm, because jobs lose SLURM_CONF on their way
through Snakemake's job step; real configuration there is never overwritten. Every process that is started by it or through it carries a mark in its
environment, by which all of them are found and ended, whatever state a test left them in.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

ETC = Path("/etc/slurm")
FILES = ("slurm.conf", "gres.conf", "cgroup.conf")
MARK = "FRONTALBENCH_THROWAWAY_SLURM"
"""The variable that names the folder of the SLURM that a process belongs to."""

LOOKING_OFTEN = (
    "-c",
    """
import asyncio, runpy, sys
from snakemake_interface_executor_plugins.executors import remote
remote.RemoteExecutor.sleep = lambda self: asyncio.sleep(1)
sys.argv[0] = "snakemake"
runpy.run_module("snakemake", run_name="__main__", alter_sys=True)
""",
)
"""What Python is given to run a Snakemake that looks after its jobs every second: shipped, it waits ten more every time that none has ended."""

CONFIGURATION = """
ClusterName=frontalbench
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={base}/munge/socket
CryptoType=crypto/munge
SlurmctldPort=16917
StateSaveLocation={base}/state
SlurmdSpoolDir={base}/spool.%n
SlurmctldPidFile={base}/run/slurmctld.pid
SlurmdPidFile={base}/run/slurmd.%n.pid
SlurmctldLogFile={base}/log/slurmctld.log
SlurmdLogFile={base}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=0
GresTypes=gpu
MinJobAge=900
KillWait=2
InactiveLimit=0
SlurmctldTimeout=30
SlurmdTimeout=30
JobCompType=jobcomp/filetxt
JobCompLoc={base}/log/jobcomp.log
AccountingStorageType=accounting_storage/none
NodeName=c1 NodeHostname={host} NodeAddr=127.0.0.1 Port=16918 CPUs={cpus} RealMemory={memory} State=UNKNOWN
NodeName=g1 NodeHostname={host} NodeAddr=127.0.0.1 Port=16919 CPUs=2 RealMemory=8000 Gres=gpu:1 State=UNKNOWN
PartitionName=cpu Nodes=c1 Default=YES MaxTime=600 State=UP
PartitionName=gpu Nodes=g1 MaxTime=600 State=UP
"""
GRES = "NodeName=g1 Name=gpu Type=pretend File=/dev/null\n"
CGROUP = "CgroupAutomount=no\nConstrainCores=no\nConstrainRAMSpace=no\nConstrainDevices=no\n"


def why_not() -> str:
    """Why a SLURM cannot be started here, or an empty string."""
    for program in ("slurmctld", "slurmd", "munged", "sinfo"):
        if shutil.which(program) is None:
            return f"{program} is not installed (apt-get install slurm-wlm munge)"
    if os.geteuid() != 0:
        return "starting SLURM's daemons needs root"
    if any((ETC / name).exists() and not (ETC / name).is_symlink() for name in FILES):
        return "/etc/slurm holds a real configuration"
    owner = _owner(_linked())
    if owner not in (0, os.getpid()):
        return f"another test's SLURM is running on this machine (process {owner})"
    return ""


def _linked() -> Path:
    """The folder of the throw-away SLURM that /etc/slurm belongs to at the moment."""
    link = ETC / "slurm.conf"
    return link.readlink().parents[1] if link.is_symlink() else Path()


def _owner(base: Path) -> int:
    """The process that started the SLURM in ``base``, 0 when it is gone."""
    try:
        pid, born = (base / "owner").read_text().split()
    except (OSError, ValueError):
        return 0
    return int(pid) if _born(int(pid)) == born else 0


def _born(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty when there is none, or only its entry is left."""
    try:
        state, *rest = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    return "" if state in "ZX" else rest[18]


def marked(base: Path) -> list[int]:
    """Processes of the SLURM in ``base`` and of everything that runs or ran through it."""
    return [
        int(folder.name)
        for folder in Path("/proc").glob("[0-9]*")
        if int(folder.name) != os.getpid() and _born(int(folder.name)) and _belongs(folder, base)
    ]


def _belongs(process: Path, base: Path) -> bool:
    try:
        if f"{MARK}={base}".encode() in (process / "environ").read_bytes().split(b"\0"):
            return True
        # A slurmstepd writes its title over its environment; its log is open in the folder.
        inside = f"{base}{os.sep}"
        name = (process / "comm").read_text()
        return name.startswith("slurm") and any(str(file.readlink()).startswith(inside) for file in (process / "fd").iterdir())
    except OSError:  # it ended meanwhile
        return False


class Cluster:
    """``with Cluster(folder) as cluster: ...``; everything it makes lies in ``folder`` but for three links in /etc/slurm, removed at the end.

    ``cpus``, ``memory``: what the CPU node pretends to have (MB). Processes that use it are started with ``cluster.environment``, so that none stays
    when the test fails.
    """

    def __init__(self, base: Path, *, cpus: int = 4, memory: int = 16000) -> None:
        self.base = base
        self.pretended = {"cpus": cpus, "memory": memory}
        self.environment = dict(os.environ, **{MARK: str(base)})

    def __enter__(self) -> Cluster:
        if _owner(_linked()):
            raise RuntimeError(f"the SLURM of process {_owner(_linked())} is running on this machine: one at a time")
        _end(lambda: marked(_linked()))  # of a test that was killed
        for name in ("etc", "munge", "state", "run", "log", "spool.c1", "spool.g1"):
            (self.base / name).mkdir(parents=True, exist_ok=True)
        self.base.chmod(0o755)
        (self.base / "munge").chmod(0o755)
        (self.base / "owner").write_text(f"{os.getpid()} {_born(os.getpid())}")
        host = socket.gethostname().split(".")[0]
        for name, text in (
            ("slurm.conf", CONFIGURATION.format(host=host, base=self.base, **self.pretended)),
            ("gres.conf", GRES),
            ("cgroup.conf", CGROUP),
        ):
            (self.base / "etc" / name).write_text(text)
            ETC.mkdir(exist_ok=True)
            (ETC / name).unlink(missing_ok=True)
            (ETC / name).symlink_to(self.base / "etc" / name)
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        munge = self.base / "munge"
        (munge / "key").write_bytes(os.urandom(1024))
        (munge / "key").chmod(0o600)
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        daemons = [["munged", "--force", *(f"--{option}={munge / name}" for option, name in files.items())], ["slurmctld", "-c"]]
        for daemon in [*daemons, *(["slurmd", "-N", node] for node in ("c1", "g1"))]:
            subprocess.run(daemon, check=True, env=self.environment)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            states = self.ask("sinfo", "-h", "-N", "-o", "%N %T").split("\n")
            if sorted(set(filter(None, states))) == ["c1 idle", "g1 idle"]:
                return
            time.sleep(0.3)
        logs = "\n".join(path.read_text()[-1000:] for path in (self.base / "log").glob("*.log"))
        raise RuntimeError(f"SLURM did not come up:\n{logs}")

    def __exit__(self, *_: object) -> None:
        self.ask("scancel", "-u", "root")
        deadline = time.monotonic() + 15
        while self.ask("squeue", "-h", "-o", "%i") and time.monotonic() < deadline:
            time.sleep(0.3)
        # munged last: the others talk through it while they end.
        _end(lambda: _pids([*(self.base / "run").glob("slurmd.*.pid"), self.base / "run" / "slurmctld.pid"]))
        _end(lambda: _pids([self.base / "munge" / "pid"]))
        _end(lambda: marked(self.base))
        for name in FILES:
            link = ETC / name
            if link.is_symlink() and link.readlink() == self.base / "etc" / name:
                link.unlink()

    @staticmethod
    def ask(*command: str) -> str:
        """What a SLURM command prints; empty when it does not answer in time (the controller is down)."""
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout.strip()
        except subprocess.TimeoutExpired:
            return ""

    def jobs(self) -> list[dict[str, str]]:
        """Every job that the controller knows, finished ones too: its ``scontrol`` fields."""
        lines = self.ask("scontrol", "-o", "show", "job").splitlines()
        return [dict(part.split("=", 1) for part in line.split() if "=" in part) for line in lines if line.startswith("JobId=")]


def _pids(files: list[Path]) -> list[int]:
    """Those of the processes named in pid files that are still there."""
    named = []
    for path in files:
        with contextlib.suppress(OSError, ValueError):  # a daemon that ends takes its pid file along
            named.append(int(path.read_text()))
    return [pid for pid in named if _born(pid)]


def _end(alive: Callable[[], list[int]]) -> None:
    """End processes together; those that do not go within ten seconds are killed."""
    for number, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
        for pid in alive():
            with contextlib.suppress(ProcessLookupError):  # it is gone, which is what was wanted
                os.kill(pid, number)
        deadline = time.monotonic() + patience
        while alive() and time.monotonic() < deadline:
            time.sleep(0.1)

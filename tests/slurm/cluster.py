"""A throw-away SLURM on this machine: munged, slurmctld and two slurmd (a CPU node, a node with a pretend GPU), no systemd, no database.

Works as root with Debian's slurm-wlm and munge. The configuration has to be reachable from /etc/slurm, because jobs lose SLURM_CONF on their way
through Snakemake's job step; real configuration there is never overwritten.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

ETC = Path("/etc/slurm")

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
NodeName=c1 NodeHostname={host} NodeAddr=127.0.0.1 Port=16918 CPUs=4 RealMemory=16000 State=UNKNOWN
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
    if any((ETC / name).exists() and not (ETC / name).is_symlink() for name in ("slurm.conf", "gres.conf", "cgroup.conf")):
        return "/etc/slurm holds a real configuration"
    return ""


class Cluster:
    """``with Cluster(folder): ...``; everything it makes lies in ``folder`` but for three links in /etc/slurm, removed at the end."""

    def __init__(self, base: Path) -> None:
        self.base = base

    def __enter__(self) -> Cluster:
        for name in ("etc", "munge", "state", "run", "log", "spool.c1", "spool.g1"):
            (self.base / name).mkdir(parents=True, exist_ok=True)
        self.base.chmod(0o755)
        (self.base / "munge").chmod(0o755)
        host = socket.gethostname().split(".")[0]
        for name, text in (("slurm.conf", CONFIGURATION.format(host=host, base=self.base)), ("gres.conf", GRES), ("cgroup.conf", CGROUP)):
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
        subprocess.run(["munged", "--force", *(f"--{option}={munge / name}" for option, name in files.items())], check=True)
        subprocess.run(["slurmctld", "-c"], check=True)
        for node in ("c1", "g1"):
            subprocess.run(["slurmd", "-N", node], check=True)
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
        # munged last: the others talk through it while they end.
        _end([*(self.base / "run").glob("slurmd.*.pid"), self.base / "run" / "slurmctld.pid"])
        _end([self.base / "munge" / "pid"])
        for name in ("slurm.conf", "gres.conf", "cgroup.conf"):
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


def _end(pid_files: list[Path]) -> None:
    """End daemons together; those that do not go within ten seconds are killed."""
    pids = [int(path.read_text()) for path in pid_files if path.is_file() and path.read_text().strip().isdigit()]
    for number, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # it is gone, which is what was wanted
                os.kill(pid, number)
        deadline = time.monotonic() + patience
        while pids and time.monotonic() < deadline:
            time.sleep(0.1)
            pids = [pid for pid in pids if Path("/proc", str(pid)).exists()]

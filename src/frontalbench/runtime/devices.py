"""Several GPUs on one machine: each job takes one for itself and sees no other.

Snakemake counts (``resources: gpu=N`` of a profile), but does not say which. So Snakemake's process names the devices once, in ``FRONTALBENCH_GPUS``,
and each of its jobs locks one: a lock belongs to the process, and the kernel takes it back however that ends. Without that variable nothing happens
here: a cluster hands out devices itself (``CUDA_VISIBLE_DEVICES``), and a machine with one GPU needs none of it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

from frontalbench.errors import BadConfig, BadInput

log = logging.getLogger(__name__)

DEVICES = "FRONTALBENCH_GPUS"
"""The devices that jobs share, separated by commas: numbers or UUIDs as in CUDA_VISIBLE_DEVICES. A device named twice takes two jobs at a time."""
VISIBLE = "CUDA_VISIBLE_DEVICES"
DRIVER = Path("/proc/driver/nvidia/gpus")
_NAME = re.compile(r"[0-9]+|(GPU|MIG)-[A-Za-z0-9/-]+")
_HELD: list[int] = []
"""Descriptors of the locks that this process holds until it ends."""


def listed(text: str, variable: str = DEVICES) -> list[str]:
    """The devices in ``text``, as often as they are named. Raises :class:`BadConfig` for anything that CUDA would not understand."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if not _NAME.fullmatch(name):
            raise BadConfig(
                f"{variable}: '{name}' is no device; expected numbers or UUIDs separated by commas, such as 0,1 (nvidia-smi -L)"
            )
    return names


def prepare(wanted: int | None, environment: MutableMapping[str, str]) -> list[str]:
    """The devices that Snakemake's jobs share (:func:`shared`), none where it counts no GPUs.

    Then the variable is taken out of ``environment`` and a warning logged: otherwise every job would take 0 of these devices and see none, on a
    cluster even against what that has given it.
    """
    if wanted:
        return shared(wanted, environment)
    given = environment.pop(DEVICES, None)
    if given is not None:
        log.warning(
            "%s=%s is not used: Snakemake counts no GPUs here; on a workstation start it with --profile profiles/workstation",
            DEVICES,
            given,
        )
    return []


def shared(wanted: int, environment: MutableMapping[str, str], driver: Path = DRIVER) -> list[str]:
    """The devices for ``wanted`` jobs at a time: of ``FRONTALBENCH_GPUS``, else of ``CUDA_VISIBLE_DEVICES``, else all of this machine.

    Sets ``FRONTALBENCH_GPUS`` in ``environment``, which jobs inherit. Raises :class:`BadConfig` when there are fewer devices than that: two jobs on a
    GPU by accident run out of its memory in the middle of the night.
    """
    if DEVICES in environment:
        devices, source = listed(environment[DEVICES]), f"{DEVICES}={environment[DEVICES]}"
    elif VISIBLE in environment:
        devices, source = listed(environment[VISIBLE], VISIBLE), f"{VISIBLE}={environment[VISIBLE]}"
    else:
        count = len(list(driver.iterdir())) if driver.is_dir() else 0
        devices, source = [str(number) for number in range(count)], f"NVIDIA's driver lists {count}"
    if wanted > len(devices):
        raise BadConfig(
            f"resources: gpu={wanted}, but there are {len(devices)} GPUs ({source}); set gpu={len(devices)} in the profile or by --resources, "
            f"or name a device twice in {DEVICES} if two jobs fit onto it"
        )
    environment[DEVICES] = ",".join(devices)
    return devices


def take(number: int, environment: MutableMapping[str, str] | None = None, folder: Path | None = None) -> list[str]:
    """Keep ``number`` of the shared devices for this process until it ends, and let it see these only (none: 0). To be called before CUDA starts.

    Does nothing where ``FRONTALBENCH_GPUS`` is not set. Returns the devices. Raises :class:`BadInput` when not enough are free.
    """
    environment = os.environ if environment is None else environment
    if DEVICES not in environment:
        return []
    devices = listed(environment[DEVICES])
    held: dict[int, str] = {}
    for slot, device in enumerate(devices):
        if len(held) == number:
            break
        if device not in held.values():
            lock = _lock(_folder(folder) / f"{device.replace('/', '_')}.{devices[:slot].count(device)}")
            if lock is not None:
                held[lock] = device
    if len(held) < number:
        for lock in held:
            os.close(lock)
        raise BadInput(
            f"{number} GPU(s) wanted, {len(held)} free of {environment[DEVICES]} ({DEVICES}): other jobs hold the rest; "
            "wait for them, or let fewer run at once (resources: gpu=N in the profile)"
        )
    _HELD.extend(held)
    environment[VISIBLE] = ",".join(held.values())
    return list(held.values())


def _folder(given: Path | None) -> Path:
    """Where the locks of this user lie, on this machine's own disk."""
    folder = given or Path(tempfile.gettempdir(), f"frontalbench-gpus-{os.getuid()}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _lock(path: Path) -> int | None:
    """The descriptor of a lock that nobody else holds, or None."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor

"""Keeping what the process knows inside the process."""

import ctypes
import faulthandler
import os
import resource

__all__ = ["die_with_parent", "harden", "lock_all_memory", "raise_descriptor_limit"]

_DESCRIPTORS = 1 << 20
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4


def harden() -> None:
    """No core dump, no ptrace or /proc/PID/mem for other processes of the user, files for the owner only.

    A crash still prints where it happened: faulthandler shows files and lines, never local variables.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_DUMPABLE, 0)
    os.umask(0o077)
    faulthandler.enable(all_threads=True)


def raise_descriptor_limit() -> None:
    """Allow as many open connections as the system lets us; the usual soft limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, _DESCRIPTORS) if hard != resource.RLIM_INFINITY else _DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def die_with_parent(parent: int, signum: int) -> None:
    """Have the kernel send ``signum`` when the parent ends, so no worker outlives a killed arbiter."""
    _prctl(_PR_SET_PDEATHSIG, signum)
    if os.getppid() != parent:
        os.kill(os.getpid(), signum)


def lock_all_memory() -> str | None:
    """Lock this process's memory, or say in one sentence why not.

    With a small RLIMIT_MEMLOCK, locking would succeed now and make a later allocation fail, so it is only done
    where the limit is gone. Pages are locked as they are touched: thread stacks do not fill up ahead of use.
    """
    soft, _hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if soft != resource.RLIM_INFINITY and not _may_ignore_memlock_limit():
        return f"memory is not locked: RLIMIT_MEMLOCK is {soft} bytes; make it unlimited or set disable_mlock"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        return f"memory is not locked: {os.strerror(ctypes.get_errno())}; set disable_mlock to silence this"
    return None


def _may_ignore_memlock_limit() -> bool:
    """True with CAP_IPC_LOCK (bit 14 of the effective set)."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        effective = next((line.split()[1] for line in status if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> 14 & 1)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")

"""Run beside a foreign process, in an interpreter of its own without packages: ends that process's group when our job is gone before it.

A job that is killed outright (SIGKILL, for want of memory or by a scheduler) cannot end what it started. It holds the other end of this program's
standard input: ``done`` says that all has ended well, the end of the input without that word that the job is no more.
"""

import os
import signal
import sys


def main() -> None:
    group = int(sys.argv[1])
    if sys.stdin.buffer.read() == b"done":
        return
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return  # it had ended before


if __name__ == "__main__":
    main()

"""Two processes that train together, started as a Slurm job starts them, without torchrun, which takes seconds to load torch.

``python tests/two_processes.py SCRIPT [words]``. Whether torchrun itself starts trainings is seen in tests/test_processes.py.
"""

import os
import runpy
import signal
import socket
import sys
from pathlib import Path


def free_port():
    """One that no other program has: below those that are given out by chance, and where no other process begins to look."""
    for port in range(10_000 + os.getpid() % 20_000, 32_768):
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port")


def main(words):
    """The worst status of the two; where one fails, the other is ended."""
    together = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    both, worst = set(), 0
    for rank in ("0", "1"):
        child = os.fork()  # what tests/warm.py has loaded need not be loaded again
        if not child:
            os.environ.update(together | {"RANK": rank, "LOCAL_RANK": rank})
            sys.argv, sys.path[0] = words, str(Path(words[0]).parent)
            runpy.run_path(words[0], run_name="__main__")
            return 0
        both.add(child)
    while both:
        child, status = os.wait()
        both.remove(child)
        if code := abs(os.waitstatus_to_exitcode(status)):
            worst = max(worst, code)
            for other in both:
                os.kill(other, signal.SIGKILL)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

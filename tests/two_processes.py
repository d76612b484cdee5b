"""Two processes that train together, started as a Slurm job starts them, without torchrun, which takes seconds to load torch.

``python tests/two_processes.py SCRIPT [words]``. Whether torchrun itself starts trainings is seen in tests/test_processes.py.
"""

import os
import socket
import subprocess
import sys
import time


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
    both = [
        subprocess.Popen([sys.executable, *words], env=os.environ | together | {"RANK": rank, "LOCAL_RANK": rank})
        for rank in ("0", "1")
    ]
    while any(one.poll() is None for one in both) and not any(one.returncode for one in both):
        time.sleep(0.05)
    for one in both:
        if one.poll() is None:
            one.kill()
            one.wait()
    return max(abs(one.returncode) for one in both)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

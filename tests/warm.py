"""Processes that start at once: forked from one that has loaded torch and both trainings, which takes seconds each time.

What is forked is a process like any other, with a session, a folder and an environment of its own, and it can be stopped and
killed. That the commands also start from nothing is seen in tests/test_processes.py.
"""

import atexit
import functools
import gc
import json
import os
import runpy
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch.nn import Parameter
from torch.optim import SGD

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = [str(ROOT / folder / "train.py") for folder in ("tokenizer_train", "tokenhmr")]


class Process:
    """As much of ``subprocess.Popen`` as tests of trainings use."""

    def __init__(self, pid, place):
        self.pid, self.place, self.returncode = pid, place, None

    def poll(self):
        if self.returncode is None and (self.place / "status").is_file():
            self.returncode = os.waitstatus_to_exitcode(int((self.place / "status").read_text()))
        return self.returncode

    def communicate(self, timeout=None):
        begun = time.monotonic()
        while self.poll() is None:
            if timeout is not None and time.monotonic() - begun > timeout:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(0.01)
        return tuple((self.place / name).read_text() for name in ("out", "err"))

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)


@functools.cache
def server():
    """The process that has everything loaded; it ends with this one."""
    alone = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.Popen(
        [sys.executable, __file__], env=os.environ | alone, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )

    def leave():
        process.stdin.close()
        process.wait()
        process.stdout.close()

    atexit.register(leave)
    return process


def fork(command, *, folder, env):
    """Start a command whose first word is Python and whose second is a script."""
    assert command[0] == sys.executable and command[1].endswith(".py")
    place = Path(tempfile.mkdtemp(prefix="process_", dir=folder))
    job = {"words": list(command[1:]), "folder": str(folder), "env": dict(env), "place": str(place)}
    server().stdin.write(json.dumps(job) + "\n")
    server().stdin.flush()
    return Process(int(server().stdout.readline()), place)


def run_script(words):
    """What Python does with the words behind its name."""
    sys.argv, sys.path[0] = list(words), str(Path(words[0]).parent)
    runpy.run_path(words[0], run_name="__main__")


def become(job):
    """Turn from a copy of the server into the process that was asked for."""
    os.setsid()
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["env"])
    for number, name in enumerate((os.devnull, "out", "err")):
        file = os.open(Path(job["place"], name), os.O_RDWR | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    run_script(job["words"])


def serve():
    for script in SCRIPTS:
        sys.path[0] = str(Path(script).parent)
        runpy.run_path(script, run_name="loaded")
    SGD([Parameter(torch.zeros(1))])  # the first optimizer loads torch's compiler, which takes as long as torch itself
    gc.collect()
    gc.freeze()  # the collector would copy what the processes share
    asked, running = open(0, "rb", buffering=0, closefd=False), {}  # noqa: SIM115  # unbuffered: select sees what is left
    while True:
        if select.select([asked], [], [], 0.01 if running else None)[0]:
            line = asked.readline()
            if not line:
                return None
            job = json.loads(line)
            pid = os.fork()
            if not pid:
                return become(job)  # and its end is that of the script
            running[pid] = Path(job["place"])
            print(pid, flush=True)
        while running and (ended := os.waitpid(-1, os.WNOHANG))[0]:
            place = running.pop(ended[0])
            (place / "status.part").write_text(str(ended[1]))
            (place / "status.part").rename(place / "status")


if __name__ == "__main__":
    serve()

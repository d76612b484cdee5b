"""What a week of training rests on: a full disk loses nothing, nothing is done twice, a folder has one training."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys

import pytest
import torch
from accelerate import Accelerator

from tests.test_training_run import Line, accelerator_with, rolling
from tokenhmr.training.claim import NAME, claimed
from tokenhmr.training.run import Run, make_accelerator
from tokenhmr.training.stopping import StopRequest
from tokenhmr.wholefile import append_text, replace_text


@contextlib.contextmanager
def files_of_at_most(size):
    """What the kernel says of a longer one is what it says of a full disk, but for the words."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_cannot_grow_stays_as_it_was(tmp_path):
    file = tmp_path / "metrics.jsonl"
    append_text(file, "first\n")
    with files_of_at_most(10):
        for write in (append_text, replace_text):
            with pytest.raises(OSError, match="File too large"):
                write(file, "a line of more than ten bytes\n")
            assert file.read_text() == "first\n"
    append_text(file, "second\n")
    assert file.read_text() == "first\nsecond\n" and list(tmp_path.iterdir()) == [file]


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before_and_the_training_goes_on(tmp_path):
    said = []
    small, large = rolling(tmp_path, Line(), said), rolling(tmp_path, Line(width=50_000), said)
    small.save(2)
    with files_of_at_most(50_000):
        large.save(4)
    assert "could not write" in said[0] and "the one before stays" in said[0]
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step_00000002.pt"]
    assert small.resume("auto") == 2


def test_metrics_wait_until_the_disk_has_room_again(tmp_path, capsys):
    accelerator, _ = accelerator_with()
    run = Run(accelerator=accelerator, folder=tmp_path, steps=9, start=0, log_every=1, config={})
    run.write(1, {"a": 1.0})
    with files_of_at_most(30):
        run.write(2, {"a": float("nan")})
        run.write(3, {"a": 3.0})
        run.picture(3, "held out", torch.zeros(64, 64, 3, dtype=torch.uint8).numpy())
    said = capsys.readouterr().out
    assert said.count("could not write metrics of step 2") == 1 and "step 3" not in said.replace("picture of step 3", "")
    run.write(4, {"a": 4.0})
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows == [{"step": 1, "a": 1.0}, {"step": 2, "a": None}, {"step": 3, "a": 3.0}, {"step": 4, "a": 4.0}]


class Tracker:
    def __init__(self, name, broken):
        self.name, self.broken, self.got = name, broken, []

    def log(self, values, step):
        if self.broken:
            raise ConnectionError("no network")
        self.got.append(step)

    def log_images(self, images, step):
        self.got.append({name: image.shape for name, image in images.items()})

    def finish(self):
        self.got.append("finish")


def test_a_tracker_that_is_lost_is_left_alone_and_the_others_go_on(tmp_path, capsys):
    accelerator, _ = accelerator_with()
    accelerator.trackers = [Tracker("wandb", broken=True), Tracker("other", broken=False)]
    with Run(accelerator=accelerator, folder=tmp_path, steps=9, start=0, log_every=1, config={}) as run:
        run.write(1, {"a": 1.0})
        run.write(2, {"a": 1.0})
        run.picture(2, "held out", torch.zeros(8, 9, 3, dtype=torch.uint8).numpy())
    lost, there = accelerator.trackers
    assert lost.got == [] and there.got == [1, 2, {"held out": (1, 8, 9, 3)}, "finish"]
    assert capsys.readouterr().out.count("wandb failed and is left alone") == 1
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


def test_a_tracker_that_is_not_installed_is_named(tmp_path):
    with pytest.raises(ValueError, match="aim is not installed"):
        make_accelerator(precision="no", folder=tmp_path, trackers=["tensorboard", "aim"])


HOLD = """
import fcntl, sys
file = open(sys.argv[1], "a")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_two_trainings_do_not_write_to_the_same_folder(tmp_path):
    accelerator = Accelerator(cpu=True)
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / NAME)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(ValueError, match=r"another training writes to .* choose another folder"),
            claimed(tmp_path, accelerator),
        ):
            pass
    finally:
        other.kill()  # as hard as can be: the folder is free at once
        other.communicate(timeout=20)
    with claimed(tmp_path, accelerator), claimed(tmp_path / "elsewhere", accelerator):
        pass


def test_a_folder_that_cannot_be_made_gets_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ValueError, match=r"cannot write to .*: Not a directory"),
        claimed(tmp_path / "file" / "run", Accelerator(cpu=True)),
    ):
        pass


# ------------------------------------------------------------------------------------------------ going on


def test_one_damaged_bit_is_seen_and_the_checkpoint_before_is_taken(tmp_path):
    said, model = [], Line(width=1000)
    checkpoints = rolling(tmp_path, model, said)
    for step in (2, 4):
        checkpoints.save(step)
    newest = bytearray(checkpoints.path(4).read_bytes())
    place = newest.index(model.layer.weight.detach().numpy().tobytes()) + 2001
    newest[place] ^= 1
    checkpoints.path(4).write_bytes(newest)
    assert torch.load(checkpoints.path(4), weights_only=True)["step"] == 4  # torch alone sees nothing
    assert rolling(tmp_path, Line(width=1000), said).resume("auto") == 2
    assert "is damaged. Taking the one before." in said[0]


def test_a_run_that_branches_off_leaves_nothing_that_a_later_start_would_take_instead(tmp_path):
    checkpoints = rolling(tmp_path, Line(), [], keep=3)
    for step in (2, 4, 6):
        checkpoints.save(step)
    (tmp_path / "checkpoints" / "step_00000008.part").write_bytes(b"half")
    assert checkpoints.resume(str(checkpoints.path(2))) == 2
    checkpoints.save(3)
    assert [path.name for path in checkpoints.found()] == ["step_00000002.pt", "step_00000003.pt"]
    assert checkpoints.resume("auto") == 3 and not list((tmp_path / "checkpoints").glob("*.part"))


def test_a_process_beside_the_main_one_deletes_nothing(tmp_path):
    rolling(tmp_path, Line(), []).save(2)
    assert rolling(tmp_path, Line(), [], main=False).resume("none") == 0
    assert len(rolling(tmp_path, Line(), []).found()) == 1


def test_an_evaluation_that_was_left_out_in_a_hurry_is_remembered(tmp_path):
    checkpoints = rolling(tmp_path, Line(), [])
    checkpoints.save(4, unmeasured=True)
    again = rolling(tmp_path, Line(), [])
    assert (again.resume("auto"), again.unmeasured) == (4, True)
    checkpoints.save(4)
    assert (again.resume("auto"), again.unmeasured) == (4, False)


def test_all_processes_leave_for_a_signal_that_only_one_of_them_got():
    other = torch.zeros(3)
    accelerator, _ = accelerator_with(other)
    accelerator.reduce.side_effect = lambda mine: mine + other
    with StopRequest(accelerator) as stopped:
        assert not stopped()
        other[1] = 1
        assert stopped() and stopped.name == "SIGUSR1"
    with StopRequest(accelerator) as stopped:
        other[1] = 0
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopped.name is None  # not before all know of it
        assert stopped() and stopped.name == "SIGTERM"


def test_a_second_interrupt_does_not_wait():
    with StopRequest(Accelerator(cpu=True)) as stopped:
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped() and stopped.name == "SIGINT"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)

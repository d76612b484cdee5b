"""Trainings that are asked to leave, as real processes: what they had is saved and they go on to the same numbers."""

import json
import shlex
import signal
import sys
import time

from tests.test_processes import (
    QUIET,
    TINY_TOKENIZER,
    TOKENIZER,
    finish,
    load_checkpoint,
    read_rows,
    same,
    start,
    start_warm,
    without_clock,
)
from tests.test_processes_exact import steps_of


def test_a_training_that_is_asked_to_leave_saves_and_goes_on_to_the_very_same_numbers(tmp_path):
    """By either signal; the second asks the training that goes on after the first."""
    folder, seldom = tmp_path / "run", ["save_every=1000000", "evaluate_every=1000000"]
    common = [sys.executable, TOKENIZER, *TINY_TOKENIZER, *seldom, *QUIET]
    left = 0
    for number in (signal.SIGTERM, signal.SIGUSR1):
        endless = start_warm(tmp_path, *common, f"out={folder}", "steps=1000000")
        while steps_of(folder) <= left and endless.poll() is None:
            time.sleep(0.01)
        endless.send_signal(number)
        out, err = endless.communicate(timeout=60)
        assert endless.returncode == 0, out + err
        assert "Traceback" not in err
        before, left = left, load_checkpoint(folder)["step"]  # nothing but the signal asked for this checkpoint
        assert left > before
        assert [row["step"] for row in read_rows(folder, "loss")] == list(range(1, left + 1))

    steps = left + 3
    finish(start_warm(tmp_path, *common, f"out={folder}", f"steps={steps}"))
    finish(start_warm(tmp_path, *common, f"out={tmp_path / 'straight'}", f"steps={steps}"))
    for part in ("model", "optimizer", "schedule", "step"):
        same(load_checkpoint(folder)[part], load_checkpoint(tmp_path / "straight")[part])
    found, wanted = (read_rows(place, "loss") for place in (folder, tmp_path / "straight"))
    assert [without_clock(row) for row in found] == [without_clock(row) for row in wanted]


def test_a_step_that_went_wrong_can_be_done_again_by_the_command_it_leaves(tmp_path):
    wild = [*QUIET, "optimizer.lr=1e30", "bad_steps=2", "steps=9", f"out={tmp_path / 'run'}"]
    first = start_warm(tmp_path, sys.executable, TOKENIZER, *(word for word in TINY_TOKENIZER if "lr=" not in word), *wild)
    out, err = first.communicate()
    assert first.returncode == 2 and "2 steps in a row were not finite" in err, out + err
    step = min(int(place.name.rpartition("_")[2]) for place in (tmp_path / "run").glob("bad_step_*"))
    about = json.loads((tmp_path / "run" / f"bad_step_{step}" / "about_rank0.json").read_text())
    again = start(tmp_path, *shlex.split(about["replay"]))
    out, _ = again.communicate()
    assert f"step {step} left out: loss {about['loss']}" in out

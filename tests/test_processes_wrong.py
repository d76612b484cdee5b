"""A sample that ruins a step, met by one of two processes: both leave the step out, say which sample, and do it again alike."""

import json
import math
import shlex
import sys

import yaml

from tests.pictures import sample_files, write_tar
from tests.test_processes import IMAGES, LONGEST, TOGETHER, end, finish, read_rows, start, start_warm
from tests.test_processes_exact import TINY_IMAGES


def write_list(folder, name, files):
    write_tar(folder / f"{name}.tar", files)
    source = {"name": name, "shards": f"{name}.tar", "weight": 1.0, "trusted": True, "licence": "none", "origin": "test"}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({"sources": [source]}))


def test_a_step_that_one_process_cannot_take_is_left_out_by_both_and_done_again_by_its_command(tmp_path):
    fine = {}
    for number in range(11):
        fine |= sample_files(number)
    write_list(tmp_path, "fine", fine)
    # Finite, but its square is not.
    write_list(tmp_path, "wrong", fine | sample_files(11, betas=[1e30] * 10))
    run = tmp_path / "run"
    changes = ["steps=4", "workers=0", "data_list=wrong.yaml", "held_out=fine.yaml", f"out={run}"]
    (said,) = finish(start_warm(tmp_path, *TOGETHER, IMAGES, *TINY_IMAGES, *changes))
    # Twelve samples, four a step: it comes once in three steps.
    bundles = sorted(run.glob("bad_step_*"))
    assert 1 <= len(bundles) <= 2 and said.count(" left out: loss ") == len(bundles)
    rows = read_rows(run, "loss")
    assert [row["step"] for row in rows] == [1, 2, 3, 4] and rows[-1]["bad_steps"] == len(bundles)
    step = int(bundles[0].name.rpartition("_")[2])
    assert rows[step - 1]["loss"] is None
    assert read_rows(run, "ranks_agree")[0]["ranks_agree"] == 1.0

    about = [json.loads((bundles[0] / f"about_rank{rank}.json").read_text()) for rank in (0, 1)]
    assert [math.isfinite(float(one["loss_of_this_process"])) for one in about].count(False) == 1
    (guilty,) = [one for one in about if not math.isfinite(float(one["loss_of_this_process"]))]
    assert "p00011" in guilty["samples"] and about[0]["weights"] == about[1]["weights"]

    # The command of either does it again, to the same numbers; with no patience it ends there, and says who it was.
    words = shlex.split(guilty["replay"])
    assert words[0] == sys.executable and "torch.distributed.run" in words
    again = start(tmp_path, *words, "bad_steps=1")
    try:
        out, err = again.communicate(timeout=LONGEST)
    finally:
        end(again)
    assert f"step {step} left out: loss {float(guilty['loss']):.4g}, gradient {float(guilty['gradient']):.4g}" in out
    assert again.returncode == 1, out + err
    told = [line for line in err.splitlines() if line.startswith("error: 1 steps in a row were not finite")]
    assert len(told) == 2 and all("p00011" in line for line in told)

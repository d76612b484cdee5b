"""How trainings are launched: Accelerate's configurations, and the Slurm job as a real script with a small training in it."""

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time

import pytest
import torch
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import DistributedType
from accelerate.utils.launch import prepare_multi_gpu_env, prepare_simple_launcher_cmd_env

from tests.conftest import ROOT
from tests.test_processes import ACCELERATE, TINY_TOKENIZER, TOKENIZER, finish, load_checkpoint, read_rows, start
from tokenhmr.models.vit import Block
from tokenhmr.resources import config_folder
from tokenhmr.training.run import make_accelerator
from tokenhmr.training.sharded import full_precision_plugin

FOLDER = config_folder() / "accelerate"
KINDS = {
    "cpu": DistributedType.NO, "one_gpu": DistributedType.NO, "ddp": DistributedType.MULTI_GPU,
    "ddp_nodes": DistributedType.MULTI_GPU, "fsdp": DistributedType.FSDP,
}  # fmt: skip
JOB = ROOT / "docs" / "slurm" / "train.sbatch"


def launched(name, *more):
    """What `accelerate launch` makes of a configuration: its arguments, and what processes would find in their environment."""
    given = launch_command_parser().parse_args(["--config_file", str(FOLDER / f"{name}.yaml"), *more, "train.py", "steps=1"])
    found, _, _ = _validate_launch_command(given)
    if found.multi_gpu or found.use_fsdp:
        return found, prepare_multi_gpu_env(found)
    return found, prepare_simple_launcher_cmd_env(found)[1]


def test_every_configuration_is_known_here():
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_accelerate_reads_a_configuration_and_would_launch_it(name):
    config = load_config_from_file(str(FOLDER / f"{name}.yaml"))
    assert config.distributed_type == KINDS[name]
    arguments, environment = launched(name)
    assert environment["ACCELERATE_MIXED_PRECISION"] == ("no" if name == "cpu" else "bf16")
    assert arguments.num_processes == config.num_processes
    assert environment.get("ACCELERATE_USE_CPU", "false").lower() == str(name == "cpu").lower()


def test_several_machines_are_told_by_options():
    more = ["--num_machines", "4", "--num_processes", "32", "--machine_rank", "3", "--main_process_ip", "10.0.0.7"]
    arguments, _ = launched("ddp_nodes", *more)
    assert (arguments.nnodes, arguments.nproc_per_node, arguments.node_rank) == ("4", "8", 3)
    assert arguments.rdzv_endpoint == "10.0.0.7:29500"


def test_the_job_says_of_fsdp_what_the_configuration_says(monkeypatch):
    """The Slurm job starts no launcher, so it names the variables itself."""
    _, environment = launched("fsdp")
    assert environment["FSDP_TRANSFORMER_CLS_TO_WRAP"] == Block.__name__
    said = dict(re.findall(r"((?:ACCELERATE_USE_)?FSDP\w*)=(\S+)", JOB.read_text()))
    assert len(said) == 5 and {name: environment[name] for name in said} == said
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    plugin = full_precision_plugin()
    assert plugin.fsdp_version == 2 and plugin.transformer_cls_names_to_wrap == ["Block"]
    assert plugin.mixed_precision_policy.param_dtype is None  # layers are cast by autocast, geometry never
    monkeypatch.setenv("FSDP_VERSION", "1")
    with pytest.raises(ValueError, match="only version 2"):
        full_precision_plugin()


def test_fsdp_on_cpus_is_refused_and_not_replaced(monkeypatch, tmp_path):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="FSDP needs GPUs"):
        make_accelerator(precision=None, folder=tmp_path)


def test_a_training_takes_the_precision_of_its_launcher(tmp_path):
    """The CPU's configuration with another precision really launches a training, which computes in that."""
    config = yaml.safe_load((FOLDER / "cpu.yaml").read_text()) | {"mixed_precision": "bf16"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
    common = [TOKENIZER, *TINY_TOKENIZER, "steps=2"]
    finish(
        start(tmp_path, *ACCELERATE, "--config_file", str(FOLDER / "cpu.yaml"), *common, f"out={tmp_path / 'full'}"),
        start(tmp_path, *ACCELERATE, "--config_file", str(tmp_path / "mine.yaml"), *common, f"out={tmp_path / 'half'}"),
    )
    full, half = (read_rows(tmp_path / name, "loss") for name in ("full", "half"))
    assert len(full) == len(half) == 2
    assert full[0]["loss"] != half[0]["loss"]
    assert full[0]["loss"] == pytest.approx(half[0]["loss"], rel=0.05)


SRUN = """#!{python}
# Starts a job's tasks and hands signals on to them, as Slurm's does.
import os, signal, subprocess, sys
command = [word for word in sys.argv[1:] if not word.startswith("--")]
open("cpus.txt", "w").write(os.environ["SRUN_CPUS_PER_TASK"])
tasks = [
    subprocess.Popen(command, env=os.environ | {{"SLURM_PROCID": str(n), "SLURM_LOCALID": str(n)}})
    for n in range(int(os.environ["SLURM_NTASKS"]))
]
signal.signal(signal.SIGUSR1, lambda number, frame: [task.send_signal(number) for task in tasks])
sys.exit(max(abs(task.wait()) for task in tasks))
"""
SCONTROL = """#!/bin/bash
[ "$1 $2" = "show hostnames" ] && echo 127.0.0.1 && exit
echo "$@" >> "{said}"
"""


@pytest.fixture
def cluster(tmp_path):
    """Stand-ins for Slurm's commands, and how to start the job among them."""
    commands, said = tmp_path / "bin", tmp_path / "scontrol.txt"
    commands.mkdir()
    python = f'#!/bin/bash\nexec "{sys.executable}" "$@"\n'
    srun, scontrol = SRUN.format(python=sys.executable), SCONTROL.format(said=said)
    for name, text in {"python": python, "srun": srun, "scontrol": scontrol}.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755 | stat.S_IEXEC)
    slurm = {"SLURM_JOB_NODELIST": "node[1-2]", "SLURM_JOB_ID": str(os.getpid()), "SLURM_NTASKS": "2"}
    slurm |= {"SLURM_CPUS_PER_TASK": "3"}
    alone = {"CUDA_VISIBLE_DEVICES": "", "PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    alone |= {"OMP_WAIT_POLICY": "passive"}  # six threads on two cores would wait for one another at full speed

    def submit(*arguments):
        return subprocess.Popen(
            [shutil.which("bash"), str(JOB), *arguments], cwd=tmp_path, env=os.environ | slurm | alone, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    return submit, said


def test_a_slurm_job_saves_before_its_time_is_over_goes_back_into_the_queue_and_ends(cluster, tmp_path):
    assert subprocess.run(["bash", "-n", str(JOB)], check=False).returncode == 0
    submit, said = cluster
    folder = tmp_path / "run"
    common = [TOKENIZER, *TINY_TOKENIZER, f"out={folder}", "evaluate_every=1000000", "save_every=1000000"]
    job = submit(*common, "steps=1000000")
    while not (folder / "metrics.jsonl").is_file() and job.poll() is None:
        time.sleep(0.05)
    job.send_signal(signal.SIGUSR1)  # to the script alone, as --signal=B:USR1@120 does
    out, err = job.communicate(timeout=120)
    assert job.returncode == 0, out + err
    assert said.read_text() == f"requeue {os.getpid()}\n"
    left = load_checkpoint(folder)["step"]
    assert json.loads((folder / "config.json").read_text())["processes"] == 2
    assert (tmp_path / "cpus.txt").read_text() == "3", "srun does not take it from the job"

    job = submit(*common, f"steps={left + 2}")
    out, err = job.communicate(timeout=120)
    assert job.returncode == 0, out + err
    assert [row["step"] for row in read_rows(folder, "loss")] == list(range(1, left + 3))
    assert said.read_text() == f"requeue {os.getpid()}\n", "a training at its end stays there"


def test_a_slurm_job_that_fails_says_so(cluster, tmp_path):
    submit, said = cluster
    job = submit()
    _, err = job.communicate(timeout=60)
    assert job.returncode == 2 and "say what to train" in err
    job = submit(TOKENIZER, "data=nowhere", f"out={tmp_path / 'run'}")
    _, err = job.communicate(timeout=120)
    assert job.returncode == 2 and "no motion at nowhere" in err
    assert not said.exists()

"""Training, evaluation and check as commands on every format at once, and a reader that is killed and goes on."""

import json
import signal
import subprocess
import sys
from itertools import islice

import pytest

from tests import fixtures_formats as made
from tests.conftest import ROOT
from tests.pictures import sample_files, write_shard, write_tar
from tokenhmr.data.batches import train_batches
from tokenhmr.data.prepare import main as prepare
from tokenhmr.data.scene import picture_size
from tokenhmr.data.sources import Source
from tokenhmr.entry import run_hydra
from tokenhmr.evaluation.__main__ import evaluate
from tokenhmr.train import train

TINY = [
    "batch_size=26", "workers=0", "log_every=1", "evaluate_every=9", "save_every=1", "picture_every=9",
    "model.backbone.width=64", "model.backbone.depth=1", "model.backbone.heads=1", "model.decoder.width=32",
    "model.decoder.depth=1",
]  # fmt: skip


@pytest.fixture
def every_format(tmp_path):
    """A list of every format, ``all.yaml``, of files in ``data``."""
    (tmp_path / "data").mkdir()
    fixtures = {name: write(tmp_path / "data") for name, write in made.FIXTURES.items()}
    (tmp_path / "all.yaml").write_text(made.list_text(fixtures))


@pytest.fixture
def command(every_format, tmp_path, monkeypatch):
    """The training command on a list of every format, in this process."""
    lists = [f"data_root={tmp_path / 'data'}", f"data_list={tmp_path / 'all.yaml'}", f"held_out={tmp_path / 'all.yaml'}"]
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    def run(*overrides):
        monkeypatch.setattr(sys, "argv", ["train.py", *TINY, *lists, f"out={tmp_path / 'run'}", *overrides])
        run_hydra(train, "train")
        return tmp_path / "run"

    return run


def test_every_format_is_trained_on_measured_on_the_way_and_in_the_ledger(command, capfd, caplog):
    folder = command("steps=2")
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert {"test/mpjpe", "test/pck@0.1"} <= {name for row in rows for name in row}
    ledger = [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]
    assert [row["step"] for row in ledger] == [1, 2]
    assert list(ledger[0]["sets"]) == list(made.FIXTURES)
    assert [sum(one["seen"] for one in row["sets"].values()) for row in ledger] == [26, 52]
    assert "seen: own " in capfd.readouterr().out
    # It goes on where it was, and says that another batch size changes the order.
    command("steps=3", "batch_size=13")
    assert "the order of pictures changes at step 2: rows a process and step 26 before, 13 now" in caplog.text
    ledger = [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]
    assert [sum(one["seen"] for one in row["sets"].values()) for row in ledger] == [26, 52, 65]


def test_every_format_goes_through_the_evaluation_and_check_commands(every_format, tmp_path, monkeypatch, capsys, caplog):
    people = {name: made.PEOPLE for name in made.FIXTURES}
    listed, root, out = tmp_path / "all.yaml", tmp_path / "data", tmp_path / "out"
    arguments = [f"data_root={root}", f"data_list={listed}", f"out={out}", "workers=0"]
    monkeypatch.setattr(sys, "argv", ["evaluation", "protocol=thresholds", *arguments])
    run_hydra(evaluate, "evaluation")
    # Thresholds are of people whose pose is measured: all but those of four sets of fits and two of Human3.6M without one.
    measured = sum(people.values()) - 4 * made.PEOPLE - 2
    assert f"from {measured} rows" in capsys.readouterr().out and (out / "thresholds.yaml").is_file()
    assert "skipped" not in caplog.text
    assert prepare(["check", str(listed), "--root", str(root), "--sheet", str(tmp_path / "sheet.png")]) == 0
    said = capsys.readouterr()
    first_lines = [line for line in said.out.splitlines() if " pictures, " in line]
    assert {line.split(":")[0]: int(line.split()[1]) for line in first_lines} == people
    assert said.err == "" and "cannot be read" not in said.out
    assert picture_size((tmp_path / "sheet.png").read_bytes())[0] > 1000


# Prints the keys of each batch and keeps a ledger; it begins where the ledger ends.
READER = """
import json, sys
from pathlib import Path
from tokenhmr.data.batches import train_batches
from tokenhmr.data.ledger import LedgerFile
from tokenhmr.data.sources import Source

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    sources = [
        Source(name="whole", shards=(folder / "w0.tar", folder / "w1.tar"), weight=2.0),
        Source(name="damaged", shards=(folder / "d.tar",)),
    ]
    start = int(sys.argv[2])
    batches = train_batches(sources=sources, batch_size=4, seed=5, buffer=8, workers=2, start=start)
    file = LedgerFile(folder / "ledger.jsonl", names=batches.ledger.names, order=batches.order)
    batches.ledger.counts += file.resume(start)
    for step, batch in enumerate(batches, start=start + 1):
        file.write(step, batches.ledger.counts)
        print(json.dumps([step, batch.key, round(float(batch.keypoints_2d.sum()), 3)]), flush=True)
"""


def read_until(process, steps):
    """Rows of a reader's output, after which it is killed."""
    rows = [json.loads(process.stdout.readline()) for _ in range(steps)]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return rows


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_reader_that_is_killed_goes_on_with_the_same_sequence_and_ledger(tmp_path):
    files = {}
    for number in range(8):
        files |= sample_files(100 + number)
    files["p00102.jpg"] = b"no picture"
    write_tar(tmp_path / "d.tar", files)
    for number in range(2):
        write_shard(tmp_path / f"w{number}.tar", range(6 * number, 6 * number + 6))
    (tmp_path / "reader.py").write_text(READER)

    def start(step):
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", str(tmp_path / "reader.py"), str(tmp_path), str(step)],
            cwd=ROOT, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": ""},
        )  # fmt: skip

    first = read_until(start(0), 5)
    with (tmp_path / "ledger.jsonl").open("a") as file:
        file.write('{"step": 6, "se')  # as if it had been killed in the middle of a line
    found = first + read_until(start(5), 4)

    sources = [
        Source(name="whole", shards=(tmp_path / "w0.tar", tmp_path / "w1.tar"), weight=2.0),
        Source(name="damaged", shards=(tmp_path / "d.tar",)),
    ]
    straight = train_batches(sources=sources, batch_size=4, seed=5, buffer=8, workers=2)
    wanted = [
        [step, list(batch.key), round(float(batch.keypoints_2d.sum()), 3)]
        for step, batch in enumerate(islice(straight, 9), start=1)
    ]
    assert found == wanted
    ledger = {row["step"]: row["sets"] for row in map(json.loads, (tmp_path / "ledger.jsonl").read_text().splitlines())}
    assert set(range(1, 10)) <= set(ledger)
    seen = [sum(one["seen"] for one in ledger[step].values()) for step in (5, 9)]
    assert seen == [sum(len(row[1]) for row in wanted[:count]) for count in (5, 9)]

"""Order, resuming, ledger: real processes share a list exactly, and a run that was stopped goes on at the very next row."""

import json
import logging
import runpy
import subprocess
import sys
from itertools import islice

import pytest

from tests.conftest import ROOT
from tests.pictures import sample_files, write_shard, write_tar
from tokenhmr.data.batches import held_out_batches, train_batches
from tokenhmr.data.ledger import Ledger, LedgerFile, summary
from tokenhmr.data.sources import Source, read_data_list

forking = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

# A process of two, as a training command would start it: it prints what its two workers bring.
READER = """
import json, sys
from itertools import islice
from pathlib import Path
from tokenhmr.data.batches import held_out_batches, train_batches
from tokenhmr.data.sources import Source

if __name__ == "__main__":
    rank, shards = int(sys.argv[1]), tuple(Path(shard) for shard in sys.argv[2:])
    common = dict(batch_size=2, rank=rank, world=2, workers=2)
    once = held_out_batches(sources=[Source(name="s", shards=shards[:3])], **common)
    held_out = [key for batch in once for key in batch.key]
    endless = train_batches(sources=[Source(name="s", shards=shards)], buffer=4, **common)
    train = [key for batch in islice(endless, 4) for key in batch.key]
    print(json.dumps({"held_out": held_out, "train": train, "seen": int(once.ledger.counts[0, 0])}))
"""


@forking
def test_two_processes_with_two_workers_bring_every_sample_of_a_list_once(tmp_path, monkeypatch, capsys):
    program, shards = tmp_path / "reader.py", [write_shard(tmp_path / f"s{n}.tar", range(4 * n, 4 * n + 4)) for n in range(4)]
    program.write_text(READER)
    other = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(program), "1", *map(str, shards)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": ""},
    )  # fmt: skip
    monkeypatch.setattr(sys, "argv", [str(program), "0", *map(str, shards)])
    runpy.run_path(str(program), run_name="__main__")  # the first of the two is this process
    texts = [capsys.readouterr().out, other.communicate()[0]]
    assert other.returncode == 0
    said = [json.loads(text) for text in texts]
    assert all(process["held_out"] and process["train"] for process in said)
    # Three tars for four readers: each takes every fourth picture.
    assert sorted(key for process in said for key in process["held_out"]) == [f"p{n:05d}" for n in range(12)]
    assert [process["seen"] for process in said] == [len(process["held_out"]) for process in said]
    # Four tars: each takes a whole one, and in training too everything comes once before anything comes twice.
    assert sorted(key for process in said for key in process["train"]) == [f"p{n:05d}" for n in range(16)]


def test_nothing_comes_twice_in_training_before_everything_came_once(tmp_path):
    source = Source(name="s", shards=tuple(write_shard(tmp_path / f"s{n}.tar", range(5 * n, 5 * n + 5)) for n in range(3)))
    keys = [key for batch in islice(train_batches(sources=[source], batch_size=5, buffer=8), 9) for key in batch.key]
    epochs = [keys[:15], keys[15:30], keys[30:]]
    assert [sorted(epoch) for epoch in epochs] == [[f"p{n:05d}" for n in range(15)]] * 3
    assert epochs[0] != epochs[1] != epochs[2]


def mixture(tmp_path) -> list[Source]:
    """Two sets; in one of them a sample in four cannot be read."""
    files = {}
    for number in range(8):
        files |= sample_files(100 + number)
    files["p00102.jpg"], files["p00105.json"] = b"no picture", b"{"
    whole = tuple(write_shard(tmp_path / f"w{n}.tar", range(6 * n, 6 * n + 6)) for n in range(2))
    return [
        Source(name="whole", shards=whole, weight=2.0),
        Source(name="damaged", shards=(write_tar(tmp_path / "d.tar", files),), weight=1.0),
    ]


@forking
@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_that_goes_on_has_the_batches_and_the_ledger_of_one_that_was_not_stopped(workers, tmp_path):
    numbers = {"sources": mixture(tmp_path), "batch_size": 4, "seed": 5, "buffer": 8, "workers": workers}
    straight = train_batches(**numbers)
    rows, ledgers = [], []
    for batch in islice(straight, 9):
        rows.append(batch)
        ledgers.append(straight.ledger.counts.clone())
    again = train_batches(**numbers, start=5)
    again.ledger.counts += ledgers[4]
    for batch, wanted, counts in zip(islice(again, 4), rows[5:], ledgers[5:], strict=True):
        assert batch.key == wanted.key and (batch.image == wanted.image).all()
        # What was skipped before is skipped again where its file comes round: each process names it once.
        assert again.ledger.counts[:, 0].tolist() == counts[:, 0].tolist()
    assert straight.ledger.counts[:, 0].sum() == sum(len(batch.key) for batch in rows)
    assert straight.ledger.counts[0, 1] == 0


def test_nothing_is_decoded_on_the_way_to_the_start(tmp_path, monkeypatch):

    from tokenhmr.data import opened

    names = []
    monkeypatch.setattr(opened, "open_scene", lambda scene, real=opened.open_scene: names.append(scene.name) or real(scene))
    source = Source(name="s", shards=(write_shard(tmp_path / "s.tar", range(20)),))
    next(iter(train_batches(sources=[source], batch_size=2, start=50)))
    assert len(names) == 2


@forking
def test_every_sample_that_cannot_be_read_is_in_the_log_and_the_ledger_once(tmp_path, caplog):
    for workers in (0, 2):
        caplog.clear()
        batches = held_out_batches(sources=mixture(tmp_path), batch_size=4, workers=workers)
        keys = [key for batch in batches for key in batch.key]
        assert len(keys) == 18
        assert batches.ledger.counts.tolist() == [[12, 0], [6, 2]]
    batches = held_out_batches(sources=mixture(tmp_path), batch_size=4)
    with caplog.at_level(logging.WARNING):
        list(batches)
    assert len([r for r in caplog.records if r.getMessage().startswith("skipped d.tar/p0010")]) == 2
    assert summary(batches.ledger.names, batches.ledger.counts) == "whole 12, damaged 6 (2 skipped)"


def test_the_people_of_a_picture_are_decoded_once(tmp_path, monkeypatch):
    from tests import fixtures_formats as made
    from tokenhmr.data import opened

    decoded = []
    monkeypatch.setattr(opened, "decode_picture", lambda *a, real=opened.decode_picture: decoded.append(a) or real(*a))
    fixture = made.four_d(tmp_path)
    (tmp_path / "l.yaml").write_text(made.list_text({"f": fixture}))
    batch = next(iter(held_out_batches(sources=read_data_list(tmp_path / "l.yaml", root=tmp_path), batch_size=4)))
    assert len(batch.key) == 4 and len(decoded) == 3


# ------------------------------------------------------------------------------------------------ the ledger's file


ORDER = {"processes": 1, "workers": 2, "batch_size": 4, "seed": 0, "sets": [["a", 3, 1.0], ["b", 1, 0.5]]}


def ledger_file(tmp_path, **changed) -> LedgerFile:
    return LedgerFile(tmp_path / "ledger.jsonl", names=("a", "b"), order=ORDER | changed)


def test_a_ledger_goes_on_where_the_checkpoint_is(tmp_path, caplog):
    file, ledger = ledger_file(tmp_path), Ledger(("a", "b"))
    for step in (2, 4, 6):
        ledger.add((3, 1), (0, 1))
        file.write(step, ledger.counts)
    with file.path.open("a") as stream:
        stream.write('{"step": 8, "se')  # killed here
    with caplog.at_level(logging.WARNING):
        assert ledger_file(tmp_path).resume(4).tolist() == [[6, 0], [2, 2]]
    assert caplog.text == ""
    assert [json.loads(line)["step"] for line in file.path.read_text().splitlines()] == [2, 4]
    row = json.loads(file.path.read_text().splitlines()[-1])
    assert row["sets"]["b"] == {"seen": 2, "skipped": 2}
    assert ledger_file(tmp_path).resume(0).tolist() == [[0, 0], [0, 0]]
    assert file.path.read_text() == ""


def test_another_number_of_workers_is_said_to_change_the_order(tmp_path, caplog):
    ledger_file(tmp_path).write(4, Ledger(("a", "b")).counts)
    with caplog.at_level(logging.WARNING):
        ledger_file(tmp_path, workers=3, processes=2).resume(4)
    assert "the order of pictures changes at step 4" in caplog.text
    assert "workers a process 2 before, 3 now" in caplog.text and "processes 1 before, 2 now" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        ledger_file(tmp_path).resume(6)
    assert "has no row for step 6" in caplog.text

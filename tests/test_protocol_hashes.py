"""What a protocol's hash stands for, what is refused for want of a file, and that who measures leaves no trace."""

import contextlib
import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from tests.protocol_tools import everything
from tests.test_protocols import PROTOCOLS, arguments, protocol_of, run, settings_of, words_of
from tokenhmr.data.readers.members import Members
from tokenhmr.evaluation.assets import sha256
from tokenhmr.evaluation.measure import Rules, compared, true_bodies
from tokenhmr.evaluation.people import digest


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    return everything(tmp_path_factory.mktemp("protocols"))


@pytest.fixture(scope="module")
def alone(there, tmp_path_factory):
    """3DPW, one picture at a time, by one process: where its files are."""
    out = tmp_path_factory.mktemp("alone")
    run(there, "3dpw_test", out)
    return out


@pytest.fixture(scope="module")
def emdb(there, tmp_path_factory):
    """EMDB as its protocol says: rows, report, what was printed."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        rows, report = run(there, "emdb1", tmp_path_factory.mktemp("emdb"))
    return rows, report, said.getvalue()


def used(there, name, **changed):
    return protocol_of(name).gather(settings_of(there, name, **changed)).used


def test_the_hash_is_of_the_words_and_of_the_files_that_were_used_wherever_they_lie(there, tmp_path):
    here = used(there, "3dpw_test")
    elsewhere = {name: shutil.copytree(there[name], tmp_path / name) for name in ("data", "bodies")}
    moved = {"data_root": str(elsewhere["data"]), "body_folder": str(elsewhere["bodies"])}
    assert used(there, "3dpw_test", **moved) == here
    female = elsewhere["bodies"] / "smpl" / "SMPL_FEMALE.npz"
    assert here["assets"]["smpl_female"] == sha256([female])
    shutil.copy(elsewhere["bodies"] / "smpl" / "SMPL_MALE.npz", female)
    other = used(there, "3dpw_test", **moved)
    assert digest(other) != digest(here)
    assert {name for name in here["assets"] if here["assets"][name] != other["assets"][name]} == {"smpl_female"}
    assert set(here["assets"]) == set(words_of("3dpw_test")["assets"])


def test_the_command_prints_the_hash_and_another_word_has_another(there, emdb, tmp_path):
    _, plain, said = emdb
    assert f"protocol {plain['protocol']['hash']}" in said
    _, pelvis = run(there, "emdb1", tmp_path / "pelvis", "protocol.alignment=[pelvis]")
    assert pelvis["protocol"]["hash"] != plain["protocol"]["hash"]
    assert pelvis["numbers"]["mpjpe"]["mean"] != pytest.approx(plain["numbers"]["mpjpe"]["mean"], rel=1e-3)
    assert pelvis["numbers"]["pa_mpjpe"]["mean"] == pytest.approx(plain["numbers"]["pa_mpjpe"]["mean"])
    _, open_list = run(there, "emdb1", tmp_path / "again")
    assert open_list["protocol"]["hash"] == plain["protocol"]["hash"]


LOST = {
    "3dpw_test": {
        "data/3dpw_test.npz": ("3dpw_test.npz", "test.tar.gz of TokenHMR"),
        "data/3DPW": ("3DPW", "virtualhumans"),
        "bodies/smpl/SMPL_FEMALE.npz": ("SMPL_FEMALE.pkl", "smpl.is.tue.mpg.de"),
        "bodies/SMPL_to_J19.pkl": ("SMPL_to_J19.pkl", "hmr2_data.tar.gz"),
    },
    "emdb1": {"data/emdb.npz": ("emdb.npz", "test.tar.gz of TokenHMR"), "data/EMDB": ("EMDB", "eth-ait.github.io")},
    "h36m_p2": {
        "bodies/J_regressor_h36m.npy": ("J_regressor_h36m.npy", "SPIN"),
        "data/Human36M/annotations": ("Human36M_subject{9,11}_data.json", "vision.imar.ro"),
    },
    "3doh": {"data/3DOH50K": ("3DOH50K/testset/annots.json", "yangangwang")},
    "bedlam_val": {"data/bedlam_val": ("bedlam_val/*/*.tar", "bedlam.is.tue.mpg.de")},
    "3dpw_occ": {"bodies/smpl/SMPL_NEUTRAL.npz": ("SMPL_NEUTRAL.pkl", "smplify.is.tue.mpg.de")},
    "3dpw_pc": {"data/3dpw_test.npz": ("3dpw_test.npz", "test.tar.gz")},
    "3dpw_non_oc": {"data/3dpw_test.npz": ("3dpw_test.npz", "test.tar.gz")},
    "synthetic": {"data/synthetic-test-000000.tar": ("synthetic-test-*.tar", "tokenhmr.synthesis")},
}  # fmt: skip


@pytest.mark.parametrize(("name", "lost"), [(name, lost) for name in LOST for lost in LOST[name]])
def test_what_is_missing_is_named_with_its_owner_and_its_hash(name, lost, there, tmp_path):
    assert set(LOST) == set(PROTOCOLS)
    file, owner = LOST[name][lost]
    hidden = there["data"].parent / lost
    hidden.rename(tmp_path / "hidden")
    try:
        with pytest.raises(FileNotFoundError) as refused:
            used(there, name)
    finally:
        (tmp_path / "hidden").rename(hidden)
    said = str(refused.value)
    assert file in said and owner in said and "sha256" in said and "\n" not in said


def test_the_command_refuses_in_one_line(there, tmp_path, capsys):
    """In this process; tests/test_evaluation_synthetic.py has the status and the line of a real one."""
    with pytest.raises(SystemExit) as leaving:
        run(there, "3dpw_test", tmp_path, f"body_folder={tmp_path}")
    said = capsys.readouterr().err
    assert leaving.value.code == 2 and len(said.strip().splitlines()) == 1, said
    assert "smplify.is.tue.mpg.de" in said and "no sha256 of it is published" in said


def test_a_file_that_is_not_the_expected_one_is_refused(there):
    name = "0" * 64
    for asset, what in (("smpl", "smpl"), ("data", "the annotation")):
        protocol = protocol_of("emdb1", assets=words_of("emdb1")["assets"] | {asset: name})
        with pytest.raises(ValueError, match=f"{what} has the sha256 [0-9a-f]*, the protocol expects {name}"):
            protocol.gather(settings_of(there, "emdb1"))


@pytest.mark.parametrize("subset", ["oc", "pc", "non-oc"])
def test_member_lists_are_those_that_the_protocols_name(subset):
    name = {"oc": "3dpw_occ", "pc": "3dpw_pc", "non-oc": "3dpw_non_oc"}[subset]
    assert Members.of(subset).digest == words_of(name)["assets"]["members"]


def test_the_packaged_body_is_the_one_that_the_protocol_names():
    assert sha256([ROOT / "tokenhmr" / "assets" / "body" / "open.npz"]) == words_of("synthetic")["assets"]["open"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"joints": "coco17"}, "joints is 'coco17', it should be one of lsp14"),
        ({"regressor": "chain24"}, "no joint called"),
        ({"metrics": ["mpjpe", "speed"]}, "metrics speed; there are mpjpe"),
        ({"alignment": []}, "alignment and mesh_alignment should name a joint"),
        ({"gender": "annotated"}, "gender is 'annotated'"),
    ],
)
def test_words_that_mean_nothing_are_refused(changed, words):
    with pytest.raises(Exception, match=words):
        protocol_of("3dpw_test", **changed)


# ------------------------------------------------------------------------------------------------ rules, one by one


def test_the_body_of_the_truth_follows_the_rule_for_gender(there):
    """As released: male where the annotation says so, female for everybody else, and the neutral one not at all."""
    material = protocol_of("3dpw_test").gather(settings_of(there, "3dpw_test", batch_size=4))
    (batch,) = material.batches
    assert batch.gender == ("male", "female", "female", "male")
    found = true_bodies(batch, "male_else_female", material.bodies)
    for place, gender in enumerate(batch.gender):
        alone = material.bodies[gender](batch.pose).vertices[place]
        torch.testing.assert_close(found.vertices[place], alone)
    neutral = true_bodies(batch, "neutral", material.bodies)
    assert (neutral.vertices - found.vertices).abs().amax(dim=(1, 2)).min() > 0.01


def test_rows_without_the_labels_that_are_compared_do_not_count(there, tmp_path):
    """3DPW's truth is in the file: whoever lacks one of the fifteen joints is left out, and it is said."""
    root = shutil.copytree(there["data"], tmp_path / "data")
    with np.load(root / "3dpw_test.npz") as arrays:
        columns = dict(arrays)
    columns["extra_keypoints_3d"][1, 18, 3] = 0  # the head, of the second row
    columns["extra_keypoints_3d"][2, 13, 3] = 0  # the top of the head, which nobody scores
    np.savez(root / "3dpw_test.npz", **columns)
    rows, report = run(there, "3dpw_test", tmp_path / "out", f"data_root={root}")
    assert len(rows) == 3 and report["numbers"]["mpjpe"]["rows"] == 3
    assert report["notes"] == ["1 people without the labels that the protocol compares with were left out"]


def test_pictures_that_cannot_be_read_are_not_passed_over_in_silence(there, tmp_path):
    root = shutil.copytree(there["data"], tmp_path / "data")
    (root / "EMDB" / "P1" / "14_outdoor_climb" / "images" / "00002.jpg").write_bytes(b"no picture")
    rows, report = run(there, "emdb1", tmp_path / "out", f"data_root={root}")
    assert len(rows) == 3 and "this is not the whole of the protocol's set" in report["notes"][0]


def test_acceleration_is_of_frames_that_follow_one_another(emdb):
    rows, report, _ = emdb
    rows = sorted(({**row} for row in rows), key=lambda row: row["frame"])
    assert [row["frame"] for row in rows] == [0, 1, 2, 3]
    said, meant = (np.array([row["scored"][side] for row in rows]) for side in (0, 1))
    for moment in (1, 2):
        speeds = [np.diff(points, axis=0)[moment - 1 : moment + 1] for points in (said, meant)]
        wanted = 1000 * np.linalg.norm((speeds[0][1] - speeds[0][0]) - (speeds[1][1] - speeds[1][0]), axis=-1).mean()
        assert report["numbers"]["accel"]["rows"] == 2 and wanted > 0
        rows[moment]["by hand"] = wanted
    mean = np.mean([row["by hand"] for row in rows if "by hand" in row])
    assert report["numbers"]["accel"]["mean"] == pytest.approx(mean, rel=1e-6)


def test_batches_give_what_single_pictures_give_but_for_rounding(there, alone, tmp_path):
    single = json.loads((alone / "rows.json").read_text())["rows"]
    together, _ = run(there, "3dpw_test", tmp_path / "together", "one_by_one=false")
    for one, other in zip(sorted(single, key=lambda r: r["key"]), sorted(together, key=lambda r: r["key"]), strict=True):
        assert other["numbers"] == pytest.approx(one["numbers"], rel=1e-3, abs=1e-3)


def test_two_processes_find_exactly_what_one_finds_on_3dpw(there, alone, tmp_path):
    def measure(name, *words):
        command = [sys.executable, "-m", "tokenhmr.evaluation", *arguments(there, "3dpw_test", tmp_path / name, *words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        return tmp_path / name

    half = tmp_path / "half"
    run(there, "3dpw_test", half, "rank=0", "world=2")  # this process is one of the two
    both = measure("both", "rank=1", "world=2", f"beside=[{half / 'rows.json'}]")
    assert 0 < len(json.loads((half / "rows.json").read_text())["rows"]) < 4
    assert (both / "report.json").read_text() == (alone / "report.json").read_text()


def test_a_mesh_of_another_size_is_refused(there):
    material = protocol_of("3dpw_test").gather(settings_of(there, "3dpw_test", batch_size=4))
    (batch,) = material.batches
    truth = true_bodies(batch, "male_else_female", material.bodies)
    rules = Rules(
        joints="smpl24", regressor="mesh24", truth="regressed", gender="neutral", alignment=("pelvis",),
        mesh_alignment=("pelvis",), metrics=("mpjpe",),
    )  # fmt: skip
    with torch.inference_mode():
        prediction = material.model(batch.to("cpu").inputs)
    with pytest.raises(ValueError, match="a mesh of 6890 vertices, the protocol's joint regressor is for 6881"):
        compared(rules, batch, prediction, truth, {"mesh24": torch.zeros(24, 6881)})

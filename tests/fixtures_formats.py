"""A tiny file of each format, made on the spot with its exact layout: noise for pictures, chance for labels."""

import base64
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from tests.fixture_tools import (
    PEOPLE,
    SIDE,
    Fixture,
    axis_angles,
    bedlam_person,
    chance,
    flat,
    four_d_person,
    four_d_tar,
    jpeg,
    npz,
    png,
    put,
    space,
)
from tests.pictures import picture, write_shard


def own(folder: Path) -> Fixture:
    write_shard(folder / "own.tar", range(PEOPLE))
    return Fixture("tokenhmr", ["own.tar"])


def four_d(folder: Path) -> Fixture:
    people = {"h36m-train/a": [four_d_person(0)], "h36m-train/b": [four_d_person(1), four_d_person(2)], "c": [four_d_person(3)]}
    four_d_tar(folder / "4dhumans.tar", people)
    return Fixture("4dhumans", ["4dhumans.tar"])


def bedlam(folder: Path) -> Fixture:
    names = ["20221010_3_1000/seq_000000", "20221010_3-10_500_batch01hand_closeup/seq_000001"]
    four_d_tar(folder / "bedlam.tar", {name: [bedlam_person(2 * n), bedlam_person(2 * n + 1)] for n, name in enumerate(names)})
    return Fixture("bedlam", ["bedlam.tar"])


def evaluation_columns(folder: Path, names: list[str]) -> dict[str, Any]:
    for number, name in enumerate(names):
        put(folder / name, jpeg(number))
    rows = range(len(names))
    return {
        "imgname": np.array(names),
        "center": np.full((len(names), 2), SIDE / 2),
        "body_pose": np.stack([axis_angles(row) for row in rows]),
        "has_body_pose": np.ones(len(names)),
        "betas": np.stack([chance(row).normal(size=10) for row in rows]),
        "has_betas": np.ones(len(names)),
        "gender": np.array(["m", "female", "f", "male"][: len(names)]),
    }


THREE_DPW = [
    "imageFiles/courtyard_basketball_00/image_00199.jpg", "imageFiles/courtyard_dancing_00/image_00100.jpg",
    "imageFiles/downtown_arguing_00/image_00007.jpg", "imageFiles/outdoors_golf_00/image_00000.jpg",
]  # fmt: skip


def three_dpw(folder: Path) -> Fixture:
    columns = evaluation_columns(folder / "3DPW", THREE_DPW)
    npz(
        folder / "3dpw_test.npz", **columns, scale=np.full(PEOPLE, SIDE * 0.9),
        extra_keypoints_3d=np.stack([space(row, 19) for row in range(PEOPLE)]),
        body_keypoints_3d=np.stack([space(row, 25) for row in range(PEOPLE)]),
    )  # fmt: skip
    return Fixture("3dpw", ["3dpw_test.npz"], pictures="3DPW")


def emdb(folder: Path) -> Fixture:
    columns = evaluation_columns(folder / "EMDB", [f"P1/14_outdoor_climb/images/{n:05d}.jpg" for n in range(PEOPLE)])
    npz(
        folder / "emdb.npz", **columns, scale=np.full(PEOPLE, SIDE * 0.9 / 200),
        keypoints_2d=np.stack([flat(row, 44) for row in range(PEOPLE)]),
        extra_info=np.array([{"name": "P1"}] * PEOPLE),
    )  # fmt: skip
    return Fixture("emdb", ["emdb.npz"], pictures="EMDB")


def spin_columns(names: list[str]) -> dict[str, Any]:
    rows = range(len(names))
    return {
        "imgname": np.array(names),
        "center": np.full((len(names), 2), SIDE / 2),
        "scale": np.full(len(names), SIDE * 0.8 / 200),
        "part": np.stack([flat(row, 24) for row in rows]),
        "openpose": np.zeros((len(names), 25, 3)),
        "pose": np.stack([axis_angles(row) for row in rows]),
        "shape": np.stack([chance(row).normal(size=10) for row in rows]),
        "has_smpl": np.ones(len(names), dtype=np.uint8),
        "S": np.stack([space(row, 24) for row in rows]),
    }


COCO = [f"train2014/COCO_train2014_{n:012d}.jpg" for n in range(PEOPLE)]


def spin(folder: Path) -> Fixture:
    for number, name in enumerate(COCO):
        put(folder / "coco" / name, jpeg(number))
    npz(folder / "coco_2014_train.npz", **spin_columns(COCO))
    return Fixture("spin", ["coco_2014_train.npz"], pictures="coco")


def cliff(folder: Path) -> Fixture:
    spin(folder)
    camera = {"global_t": np.ones((PEOPLE, 3)), "focal_l": np.full(PEOPLE, 135.0)}
    npz(folder / "coco2014part_cliffGT.npz", **spin_columns(COCO), **camera)
    return Fixture("cliff", ["coco2014part_cliffGT.npz"], pictures="coco")


def eft(folder: Path) -> Fixture:
    spin(folder)
    rows = [
        {
            "parm_pose": np.tile(np.eye(3), (24, 1, 1)).tolist(), "parm_shape": chance(n).normal(size=10).tolist(),
            "parm_cam": [0.9, 0.0, 0.0], "bbox_scale": SIDE * 0.8 / 200, "bbox_center": [SIDE / 2, SIDE / 2],
            "gt_keypoint_2d": flat(n, 49).tolist(), "joint_validity_openpose18": [1] * 18, "smpltype": "smpl", "annotId": n,
            "imageName": Path(name).name,
        }
        for n, name in enumerate(COCO)
    ]  # fmt: skip
    put(folder / "COCO2014-Part-ver01.json", json.dumps({"ver": 0.1, "data": rows, "meta": {}}).encode())
    return Fixture("eft", ["COCO2014-Part-ver01.json"], options={"folder": "train2014"}, pictures="coco")


def h36m(folder: Path) -> Fixture:
    """Two moments seen by two cameras; the last moment is no multiple of five."""
    start = folder / "annotations" / "Human36M_subject1"
    turn = [[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]
    camera = {"R": turn, "t": [0.0, 0.0, 4000.0], "f": [SIDE, SIDE], "c": [SIDE / 2, SIDE / 2]}
    images, rows = [], []
    for number, (frame, view) in enumerate([(0, 1), (0, 4), (5, 1), (5, 4), (7, 1)]):
        name = f"s_01_act_02_subact_01_ca_0{view}/s_01_act_02_subact_01_ca_0{view}_{frame + 1:06d}.jpg"
        put(folder / "images" / name, jpeg(number))
        images.append(
            {"id": number, "file_name": name, "width": SIDE, "height": SIDE, "subject": 1, "action_name": "Directions"}
            | {"action_idx": 2, "subaction_idx": 1, "cam_idx": view, "frame_idx": frame}
        )
        rows.append({"id": number, "image_id": number, "bbox": [10.0, 10.0, 60.0, 70.0], "keypoints_vis": [True] * 17})
    joints = {str(frame): (chance(frame).normal(size=(17, 3)) * 300).tolist() for frame in (0, 5, 7)}
    fit = {"pose": axis_angles(0).tolist(), "shape": [0.5] * 10, "trans": [0.0] * 3}
    put(Path(f"{start}_data.json"), json.dumps({"images": images, "annotations": rows}).encode())
    put(Path(f"{start}_camera.json"), json.dumps({"1": camera, "4": camera}).encode())
    put(Path(f"{start}_joint_3d.json"), json.dumps({"2": {"1": joints}}).encode())
    put(Path(f"{start}_smpl_param.json"), json.dumps({"2": {"1": {"0": fit}}}).encode())  # frame 5 has no fit
    return Fixture("h36m", ["annotations/Human36M_subject1_data.json"], pictures="images")


def muco(folder: Path) -> Fixture:
    """Two people in each of four pictures, the second one nearer."""
    images, rows, fits = [], [], {}
    for number in range(PEOPLE):
        name = f"{'augmented_set' if number % 2 else 'unaugmented_set'}/00000{number}_0.jpg"
        put(folder / "MuCo" / name, jpeg(number))
        images.append({"id": number, "file_name": name, "width": SIDE, "height": SIDE, "f": [SIDE, SIDE], "c": [48.0, 48.0]})
        for person, depth in enumerate((4000.0, 2500.0)):
            cam = chance(number).normal(size=(21, 3)) * 300 + [0, 0, depth]
            row = {"id": 2 * number + person, "image_id": number, "bbox": [10.0, 10.0, 60.0, 70.0]}
            rows.append(row | {"keypoints_img": flat(number, 21)[:, :2].tolist(), "keypoints_cam": cam.tolist()})
            fits[str(2 * number + person)] = {
                "pose": axis_angles(number).tolist(),
                "shape": [9.0] + [0.0] * 9,
                "trans": [0.0] * 3,
            }
    put(folder / "MuCo" / "MuCo-3DHP.json", json.dumps({"images": images, "annotations": rows}).encode())
    put(folder / "MuCo" / "smpl_param.json", json.dumps(fits).encode())
    return Fixture("muco", ["MuCo/MuCo-3DHP.json"], pictures="MuCo")


def up3d(folder: Path) -> Fixture:
    place = folder / "up-3d"
    for number in range(PEOPLE):
        start = place / f"0000{number}"
        put(Path(f"{start}_image.png"), png(picture(number, side=SIDE)))
        np.save(f"{start}_joints.npy", flat(number, 14).T)
        fit = {"pose": axis_angles(number), "betas": np.zeros(10), "rt": np.zeros(3), "t": np.zeros(3), "f": 5000.0}
        put(Path(f"{start}_body.pkl"), pickle.dumps(fit, protocol=2))
        render = np.full((SIDE, SIDE, 3), 255, dtype=np.uint8)
        render[20:80, 30:70] = 90
        put(Path(f"{start}_render_light.png"), png(render))
    put(place / "trainval.txt", "".join(f"/0000{n}_image.png 1.0\n" for n in range(PEOPLE)).encode())
    return Fixture("up3d", ["up-3d/trainval.txt"], pictures="up-3d")


def occluded(folder: Path) -> Fixture:
    listed = {}
    for number in range(PEOPLE):
        put(folder / "3doh" / "images" / f"{number:05d}.jpg", jpeg(number))
        listed[f"{number:05d}"] = {
            "img_path": f"images\\{number:05d}.jpg", "mask_path": f"masks\\{number:05d}.png",
            "pose": [axis_angles(number).tolist()], "betas": [[0.1] * 10], "trans": [0.0] * 3, "scale": [7.0],
            "bbox": [[10, 10], [70, 80]],
            "extri": np.eye(4).tolist(), "intri": [[SIDE, 0, 48], [0, SIDE, 48], [0, 0, 1]],
            "lsp_joints_2d": flat(number, 14)[:, :2].tolist(), "lsp_joints_3d": (7 * space(number, 14)[:, :3]).tolist(),
        }  # fmt: skip
    put(folder / "3doh" / "annots.json", json.dumps(listed).encode())
    return Fixture("3doh", ["3doh/annots.json"], pictures="3doh")


def tsv_label(number: int, **changed: Any) -> dict[str, Any]:
    return {
        "center": [SIDE / 2, SIDE / 2], "scale": SIDE * 0.9 / 200, "2d_joints": [flat(number, 24).tolist()],
        "has_2d_joints": 1, "3d_joints": [space(number, 24).tolist()], "has_3d_joints": 1,
        "pose": axis_angles(number).tolist(), "betas": chance(number).normal(size=10).tolist(), "has_smpl": 1,
    } | changed  # fmt: skip


def tsv(folder: Path, labels: list[dict[str, Any]] | None = None) -> Fixture:
    """Five rows, of which the linelist takes four."""
    labels = labels or [tsv_label(number) for number in range(PEOPLE + 1)]
    lines: dict[str, list[str]] = {"img": [], "label": [], "hw": []}
    for number, label in enumerate(labels):
        key = f"S1/{number:05d}.jpg"
        lines["img"].append(f"{key}\t{base64.b64encode(jpeg(number)).decode()}\n")
        lines["label"].append(f"{key}\t{json.dumps([label])}\n")
        lines["hw"].append(f"{key}\t{json.dumps([{'height': SIDE, 'width': SIDE}])}\n")
    for kind, rows in lines.items():
        put(folder / "tsv" / f"train.{kind}.tsv", "".join(rows).encode())
        starts = np.cumsum([0, *(len(row) for row in rows)])[:-1]
        put(folder / "tsv" / f"train.{kind}.lineidx", "".join(f"{start}\n" for start in starts).encode())
    put(folder / "tsv" / "train.linelist.tsv", b"4\n0\n1\n3\n")
    text = "img: train.img.tsv\nlabel: train.label.tsv\nhw: train.hw.tsv\nlinelist: train.linelist.tsv\n"
    put(folder / "tsv" / "train.yaml", text.encode())
    return Fixture("tsv", ["tsv/train.yaml"])


FIXTURES = {
    "own": own, "4dhumans": four_d, "bedlam": bedlam, "3dpw": three_dpw, "emdb": emdb, "spin": spin, "cliff": cliff, "eft": eft,
    "h36m": h36m, "muco": muco, "up3d": up3d, "3doh": occluded, "tsv": tsv,
}  # fmt: skip


def list_text(fixtures: dict[str, Fixture]) -> str:
    """A data list of these sets, as yaml (JSON is yaml)."""
    sources = [
        {"name": name, "shards": made.shards, "weight": 1.0, "trusted": True, "licence": "none needed", "origin": "tests"}
        | {"format": made.format, "options": made.options, "pictures": made.pictures}
        for name, made in fixtures.items()
    ]
    return json.dumps({"sources": sources})

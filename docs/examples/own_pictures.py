"""Pictures and labels of your own to shards to train on: python docs/examples/own_pictures.py LABELS.json PICTURES OUT

LABELS.json is what annotation tools write for COCO keypoints: images (id, file_name), annotations (image_id, keypoints, bbox).
Change `people_of` for labels in another form; what you do not know, leave out. A label that is exact (rendered, or measured)
is passed with trusted=True, a fitted one without. Of videos, say track="RECORDING/PERSON" and frame=NUMBER.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tokenhmr.data.annotation import Annotation
from tokenhmr.data.scene import Skip
from tokenhmr.data.writer import person, write_people

COCO = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip


def people_of(labels: dict, folder: Path, skip: Skip) -> Iterator[tuple[bytes, list[Annotation]]]:
    """Each picture's bytes and the people in it. Crowds and people without joints are passed over: they teach nothing."""
    rows = defaultdict(list)
    for row in labels["annotations"]:
        if any(row.get("keypoints", [])[2::3]) and not row.get("iscrowd"):
            rows[row["image_id"]].append(row)
    for image in labels["images"]:
        people, picture = [], b""
        for row in rows[image["id"]]:
            try:
                picture = picture or (folder / image["file_name"]).read_bytes()
                people.append(one(row, picture))
            except (OSError, ValueError) as reason:  # a picture that is not there, a box of no size
                skip(f"{image['file_name']}, person {row['id']}", str(reason))
        if people:
            yield picture, people


def one(row: dict, picture: bytes) -> Annotation:
    """A person. Joints are x, y, 0: not labelled, 1: hidden, 2: seen; without a bbox, the box lies around them."""
    triples = zip(*[iter(row["keypoints"])] * 3, strict=True)
    joints = {name: (x, y, 1.0) for name, (x, y, state) in zip(COCO, triples, strict=True) if state > 0}
    box = row.get("bbox")
    if box:
        left, top, width, height = box
        box = (left, top, left + width, top + height)
    return person(key=str(row["id"]), dataset="mine", picture=picture, box=box or None, joints_2d=joints)


def say(what: str, why: str) -> None:
    """Name who is left out."""
    print(f"left out: {what}: {why}")


if __name__ == "__main__":
    labels, pictures, out = (Path(word) for word in sys.argv[1:])
    found = people_of(json.loads(labels.read_text(encoding="utf-8-sig")), pictures, say)
    for path in write_people(found, out, name="mine", skip=say):
        print(path)

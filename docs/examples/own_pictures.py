"""Pictures and labels of your own to shards to train on: python docs/examples/own_pictures.py LABELS.json PICTURES OUT

LABELS.json is what annotation tools write for COCO keypoints: images (id, file_name) and annotations (image_id, keypoints).
Change `people_of` for labels in another form; what you do not know, leave out. A label that is exact (rendered, or measured)
is passed with trusted=True, a fitted one without.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from tokenhmr.data.annotation import Annotation
from tokenhmr.data.writer import person, write_people

COCO = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip


def people_of(labels: dict, folder: Path) -> Iterator[tuple[bytes, list[Annotation]]]:
    """Each picture's bytes and the people in it."""
    for image in labels["images"]:
        picture = (folder / image["file_name"]).read_bytes()
        people = []
        for row in labels["annotations"]:
            if row["image_id"] == image["id"]:
                triples = zip(*[iter(row["keypoints"])] * 3, strict=True)  # x, y, 0: not labelled, 1: hidden, 2: seen
                joints = {name: (x, y, 1.0) for name, (x, y, state) in zip(COCO, triples, strict=True) if state > 0}
                people.append(person(key=str(row["id"]), dataset="mine", picture=picture, joints_2d=joints))
        yield picture, people


if __name__ == "__main__":
    labels, pictures, out = (Path(word) for word in sys.argv[1:])
    found = people_of(json.loads(labels.read_text()), pictures)
    for path in write_people(found, out, name="mine", skip=lambda what, why: print(f"left out: {what}: {why}")):
        print(path)

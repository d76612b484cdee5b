"""People marked by hand in photographs, which are not part of the repository: marks that agree, measures and their laws."""

import re
from collections import Counter
from graphlib import TopologicalSorter

import numpy as np
import pytest

from tests.conftest import ROOT
from tokenhmr.demo.boxes import read_boxes
from tokenhmr.evaluation.photographs import (
    LIMBS,
    MARKED,
    ROWS,
    Answer,
    kind,
    mirror,
    read_photographs,
    score,
    shares,
    trunk_normal,
)
from tokenhmr.rectangles import overlap
from tokenhmr.skeleton import mirrored

FILE = ROOT / "tests" / "data" / "photos.json"
PHOTOGRAPHS = read_photographs(FILE)
PEOPLE = [
    pytest.param(photograph, person, id=f"{photograph.file}[{row}]")
    for photograph in PHOTOGRAPHS
    for row, person in enumerate(photograph.people)
]


def joint(person, name):
    return np.array(person.joints[name][:2])


def test_there_are_people_and_pairs_enough_and_of_every_kind():
    people = [person for photograph in PHOTOGRAPHS for person in photograph.people]
    pairs = Counter(kind(pair) for person in people for pair in person.nearer)
    assert len(people) >= 25
    assert sum(pairs.values()) >= 150
    assert min(pairs[what] for what in ("ends of a bone", "ends of a limb", "left against right", "others")) >= 30
    assert {person.facing for person in people} == {"front", "back", "side"}
    marks = Counter(name for person in people for name in person.joints)
    for name in MARKED:
        assert marks[name] >= 10
        assert abs(marks[name] - marks[mirrored(name)]) <= 7, f"{name} is marked far more often than its mirror twin"


def test_photographs_are_named_once_with_digest_size_source_and_licence():
    names = [photograph.file for photograph in PHOTOGRAPHS]
    assert names == sorted(set(names))
    assert all(re.fullmatch("[0-9a-f]{64}", photograph.sha256) for photograph in PHOTOGRAPHS)
    assert len({photograph.sha256 for photograph in PHOTOGRAPHS}) == len(names)
    assert all(photograph.source and photograph.licence for photograph in PHOTOGRAPHS)


def test_the_same_people_were_boxed_for_the_demo():
    boxed = read_boxes(ROOT / "benchmarks" / "photo_boxes.json").boxes
    assert set(boxed) == {photograph.file for photograph in PHOTOGRAPHS}
    for photograph in PHOTOGRAPHS:
        assert len(boxed[photograph.file].xyxy) == len(photograph.people)
        for person, box in zip(photograph.people, boxed[photograph.file].xyxy, strict=True):
            assert overlap(np.array(person.box), box[None])[0] > 0.55, photograph.file


@pytest.mark.parametrize(("photograph", "person"), PEOPLE)
def test_a_box_holds_what_is_seen_of_a_person(photograph, person):
    left, top, right, bottom = person.box
    points = np.array([mark[:2] for mark in person.joints.values()])
    edge = 0.02 * max(right - left, bottom - top)
    assert (points >= np.array((left, top)) - edge).all() and (points <= np.array((right, bottom)) + edge).all()
    # The box is not much larger than the person: something is marked in the upper part and over half of the width.
    assert points[:, 1].min() < top + 0.35 * (bottom - top)
    assert len(points) >= 5


@pytest.mark.parametrize(("photograph", "person"), PEOPLE)
def test_no_bone_is_longer_than_a_body_allows(photograph, person):
    ends = ("wrist", "elbow"), ("elbow", "shoulder"), ("ankle", "knee"), ("knee", "hip")
    for side in ("left", "right"):
        for far, near in ends:
            if {f"{side}_{far}", f"{side}_{near}"} <= set(person.joints):
                # An upper arm is about half of a torso, a shin four fifths; what is nearer to the camera is larger.
                length = np.linalg.norm(joint(person, f"{side}_{far}") - joint(person, f"{side}_{near}"))
                assert length < (0.85 if far in ("wrist", "elbow") else 1.1) * person.torso


@pytest.mark.parametrize(("photograph", "person"), PEOPLE)
def test_left_and_right_are_the_persons_own(photograph, person):
    for part in ("shoulder", "hip", "eye", "ear"):
        names = [f"{side}_{part}" for side in ("left", "right")]
        if set(names) <= set(person.joints) and person.facing != "side":
            ahead = joint(person, names[0])[0] - joint(person, names[1])[0]
            assert (ahead > 0) == (person.facing == "front"), f"the {part}s stand the other way round"
    if person.facing == "side" and person.nearer_side is not None:
        looks_right = joint(person, "nose")[0] > joint(person, "neck")[0]
        assert person.nearer_side == ("right" if looks_right else "left")


@pytest.mark.parametrize(("photograph", "person"), PEOPLE)
def test_orders_in_depth_do_not_contradict_one_another(photograph, person):
    assert len(set(person.nearer)) == len(person.nearer)
    behind = TopologicalSorter()
    for near, far in person.nearer:
        behind.add(far, near)
    order = list(behind.static_order())  # raises where somebody stands behind himself
    if person.nearer_side is not None:
        for part in ("shoulder", "hip"):
            pair = (f"{person.nearer_side}_{part}", mirrored(f"{person.nearer_side}_{part}"))
            assert pair[::-1] not in person.nearer
            assert not set(pair) <= set(order) or pair in person.nearer or part == "hip"


def true_answer(person):
    """Joints where they were marked, as deep as the pairs say, with the trunk facing as it was seen."""
    rng = np.random.default_rng(0)
    flat = rng.uniform(-1e5, -1e4, size=(44, 2)).astype(np.float32)
    for name in person.joints:
        flat[ROWS[name]] = joint(person, name)
    joints = np.zeros((44, 3), dtype=np.float32)
    behind = TopologicalSorter({name: set() for name in LIMBS})
    for near, far in person.nearer:
        behind.add(far, near)
    if person.nearer_side is not None:
        for part in ("shoulder", "hip"):
            behind.add(mirrored(f"{person.nearer_side}_{part}"), f"{person.nearer_side}_{part}")
    sign = -1 if person.facing == "back" else 1
    for place, name in enumerate(behind.static_order()):
        x = sign if name.startswith("left") else -sign
        joints[ROWS[name]] = x, 1.0 if "hip" in name else 0.0, place / 10
    return Answer(joints_2d=flat, joints=joints)


@pytest.mark.parametrize(("photograph", "person"), PEOPLE)
def test_the_true_answer_is_right_and_its_opposite_is_wrong(photograph, person):
    answer = true_answer(person)
    found = score(person, answer)
    assert found["pck"] == (len(person.joints), len(person.joints))
    assert found.get("order", (0, 0)) == (len(person.nearer),) * 2
    behind = Answer(
        joints_2d=answer.joints_2d + 2 * person.torso, joints=answer.joints * np.array([-1, 1, -1], dtype=np.float32)
    )
    opposite = score(person, behind)
    assert opposite["pck"][0] == 0
    assert opposite.get("order", (0, 0)) == (0, len(person.nearer))
    if person.facing != "side":
        assert (found["flips"], opposite["flips"]) == ((0, 1), (1, 1))
    if person.nearer_side is not None:
        assert (found["nearer side"], opposite["nearer side"]) == ((1, 1), (0, 1))


def test_a_mirror_changes_no_number():
    rows = [ROWS[mirrored(name)] for name in ROWS]
    swap = np.arange(44)
    swap[list(ROWS.values())] = rows
    rng = np.random.default_rng(0)
    for photograph in PHOTOGRAPHS:
        for person, other in zip(photograph.people, mirror(photograph).people, strict=True):
            flat = np.zeros((44, 2), dtype=np.float32)
            for name in person.joints:
                flat[ROWS[name]] = joint(person, name) + rng.normal(size=2) * 0.2 * person.torso
            answer = Answer(joints_2d=flat, joints=rng.normal(size=(44, 3)).astype(np.float32))
            seen = Answer(
                joints_2d=(flat * np.float32([-1, 1]) + np.float32([photograph.size[0], 0]))[swap],
                joints=(answer.joints * np.float32([-1, 1, 1]))[swap],
            )
            assert score(other, seen) == score(person, answer)
            back = mirror(mirror(photograph)).people[photograph.people.index(person)]
            assert (back.nearer, back.nearer_side) == (person.nearer, person.nearer_side)


def test_the_chest_points_where_a_body_looks():
    joints = np.zeros((44, 3), dtype=np.float32)
    for name, point in {
        "left_shoulder": (1, -1, 0),
        "right_shoulder": (-1, -1, 0),
        "left_hip": (1, 1, 0),
        "right_hip": (-1, 1, 0),
    }.items():
        joints[ROWS[name]] = point
    x, y, z = trunk_normal(joints)
    assert z < 0 and x == y == 0  # its own left at the picture's right: towards the camera
    turn = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], dtype=np.float32)  # a quarter to the picture's left
    np.testing.assert_allclose(trunk_normal(joints @ turn.T), turn @ trunk_normal(joints))


def test_shares_are_of_all_and_their_intervals_by_person():
    rng = np.random.default_rng(1)
    people = [{"pck": (int(rng.integers(0, 11)), 10)} for _ in range(60)] + [{"order": (1, 2)}]
    found = shares(people, draws=4000)
    assert found["pck"]["share"] == pytest.approx(sum(each["pck"][0] for each in people[:60]) / 600)
    assert (found["pck"]["count"], found["pck"]["people"]) == (600, 60)
    deviation = np.std([each["pck"][0] / 10 for each in people[:60]]) / np.sqrt(60)
    assert found["pck"]["high"] - found["pck"]["low"] == pytest.approx(2 * 1.96 * deviation, rel=0.1)
    # One person with the number: whoever is drawn, the share is that person's.
    assert (found["order"]["low"], found["order"]["share"], found["order"]["high"]) == (0.5, 0.5, 0.5)
    # A person's joints are not independent: ten times as many of them make no interval narrower.
    tenfold = shares([{"pck": (10 * each["pck"][0], 100)} for each in people[:60]], draws=4000)
    assert tenfold["pck"]["low"] == pytest.approx(shares(people[:60], draws=4000)["pck"]["low"])
    assert shares([]) == {}

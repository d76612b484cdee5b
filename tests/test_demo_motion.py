"""People over time: who is who, one shape, gaps, jitter. Made up motion whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tokenhmr.body import load_body
from tokenhmr.demo.camera import Camera
from tokenhmr.demo.scene import Frame, People, Scene, project
from tokenhmr.demo.shape import Measure, fixed_height, one_shape, parse_height
from tokenhmr.demo.smooth import OneEuro, fill_gaps, smooth_people, smooth_places, smooth_rotations
from tokenhmr.demo.track import assign_tracks

FPS = 25
TIMES = np.arange(60) / FPS


@pytest.fixture(scope="module")
def body():
    return load_body()


def walkers(*, boxes, poses, shapes, times=TIMES, seen=None):
    """People with boxes (person, time, 4), a pose and a shape each; as tracks 0, 1, ... they are wanted in this order."""
    rng = np.random.default_rng(0)
    count = len(times)
    parts = []
    for person in range(len(boxes)):
        frames = np.arange(count) if seen is None else np.flatnonzero(seen[person])
        rows = len(frames)
        jitter = Rotation.from_rotvec(rng.normal(0, 0.05, (rows * 24, 3))).as_matrix().reshape(rows, 24, 3, 3)
        parts.append(
            People(
                frame=frames, track=np.full(rows, person), filled=np.zeros(rows, dtype=bool),
                score=np.ones(rows, dtype=np.float32), box=boxes[person][frames].astype(np.float32),
                crop_camera=np.tile(np.float32([0.9, 0, 0]), (rows, 1)), translation=np.tile(np.float32([0, 0, 5]), (rows, 1)),
                rotations=(poses[person] @ jitter).astype(np.float32),
                betas=(shapes[person] + rng.normal(0, 0.3, (rows, 10))).astype(np.float32),
            )
        )  # fmt: skip
    joined = People.join(parts)
    order = np.lexsort((rng.random(len(joined)), joined.frame))  # within a frame in no order
    return joined.rows(order)


def box_path(centers, size=(60, 150)):
    half = np.array(size) / 2
    centers = np.asarray(centers, dtype=float)
    return np.concatenate([centers - half, centers + half], axis=1)


def some_pose(seed):
    return Rotation.from_rotvec(np.random.default_rng(seed).normal(0, 0.5, (24, 3))).as_matrix()


def identities(people, tracked):
    """For each given person the set of tracks that were assigned to its rows."""
    key = {(int(f), round(float(b), 4)): int(t) for f, b, t in zip(people.frame, people.betas[:, 0], people.track, strict=True)}
    found = {}
    for frame, beta, track in zip(tracked.frame, tracked.betas[:, 0], tracked.track, strict=True):
        found.setdefault(key[int(frame), round(float(beta), 4)], set()).add(int(track))
    return found


def crossing(*, turn_back):
    """Two who walk towards each other; they pass, or meet and turn back: the boxes are the same up to who is who."""
    way = np.linspace(-150, 150, len(TIMES))
    one, other = way, -way
    if turn_back:
        one, other = -np.abs(way), np.abs(way)
    boxes = [box_path(np.stack([300 + x, np.full(len(x), 200.0)], axis=1)) for x in (one, other)]
    return walkers(boxes=boxes, poses=[some_pose(1), some_pose(2)], shapes=[np.full(10, -1.5), np.full(10, 1.5)])


@pytest.mark.parametrize("turn_back", [False, True])
def test_who_meets_stays_who_they_are(turn_back):
    people = crossing(turn_back=turn_back)
    assert all(len(tracks) == 1 for tracks in identities(people, assign_tracks(people, TIMES)).values())


def test_boxes_alone_mistake_those_who_turn_back():
    people = crossing(turn_back=True)
    blind = assign_tracks(people, TIMES, pose_weight=0.0, shape_weight=0.0)
    assert any(len(tracks) == 2 for tracks in identities(people, blind).values()), "pose and shape would not be needed"


def test_a_short_absence_is_forgiven_and_a_long_one_is_not():
    path = [box_path(np.stack([np.linspace(50, 500, 60), np.full(60, 200.0)], axis=1))]
    for gap, tracks in ((10, 1), (40, 2)):
        seen = np.ones((1, 60), dtype=bool)
        seen[0, 10 : 10 + gap] = False
        people = walkers(boxes=path, poses=[some_pose(1)], shapes=[np.zeros(10)], seen=seen)
        assert len(np.unique(assign_tracks(people, TIMES).track)) == tracks


def test_tracks_do_not_depend_on_the_order_within_a_frame():
    people = crossing(turn_back=False)
    other = people.rows(np.lexsort((-people.track, people.frame)))
    assert all(len(tracks) == 1 for tracks in identities(people, assign_tracks(other, TIMES)).values())
    first = assign_tracks(people, TIMES)
    assert (np.diff(first.frame) >= 0).all() and first.track[0] == 0


def noisy_turn(rng, noise, joints=3):
    """A slow turn of a few joints with errors: the truth, and what is measured."""
    axis = np.array([0.2, 1.0, 0.1])[None] * np.sin(TIMES * 2)[:, None]
    truth = np.repeat(Rotation.from_rotvec(axis).as_matrix()[:, None], joints, axis=1)
    shake = Rotation.from_rotvec(rng.normal(0, noise, (len(TIMES) * joints, 3))).as_matrix().reshape(truth.shape)
    return truth, truth @ shake


def mean_angle(one, other):
    return Rotation.from_matrix((one.swapaxes(-1, -2) @ other).reshape(-1, 3, 3)).magnitude().mean()


def test_smoothing_comes_nearer_to_the_truth_and_takes_the_jitter_out():
    truth, measured = noisy_turn(np.random.default_rng(0), 0.08)
    smoothed = smooth_rotations(measured, TIMES, OneEuro())
    assert np.allclose(smoothed @ smoothed.swapaxes(-1, -2), np.eye(3), atol=1e-9)
    assert mean_angle(smoothed, truth) < 0.7 * mean_angle(measured, truth)
    assert mean_angle(smoothed[1:], smoothed[:-1]) < 0.5 * mean_angle(measured[1:], measured[:-1])


def test_smoothing_has_no_sense_of_direction_and_none_of_time():
    _, measured = noisy_turn(np.random.default_rng(1), 0.08)
    turn = Rotation.from_rotvec([0.3, -1.0, 0.5]).as_matrix()
    smoothed = smooth_rotations(measured, TIMES, OneEuro())
    assert np.allclose(smooth_rotations(turn @ measured, TIMES, OneEuro()), turn @ smoothed, atol=1e-9)
    # Backwards it is the same film: so nothing is late.
    backwards = smooth_rotations(measured[::-1], TIMES[-1] - TIMES[::-1], OneEuro())[::-1]
    assert mean_angle(backwards, smoothed) < 1e-6


def test_what_stands_still_stays_and_what_moves_evenly_is_not_late():
    still = np.tile(some_pose(1), (60, 1, 1, 1))
    assert mean_angle(smooth_rotations(still, TIMES, OneEuro()), still) < 1e-6
    line = np.stack([TIMES * 2, TIMES * 0, 5 + TIMES], axis=1)
    smoothed = smooth_places(line, TIMES, OneEuro())
    assert np.abs(smoothed - line)[10:-10].max() < 0.01


def test_one_row_and_no_row_go_through(body):
    people = crossing(turn_back=False).rows([0])
    frames = frames_of(1)
    assert len(smooth_people(people, frames, body, OneEuro())) == 1
    nobody = People.nobody(10)
    assert len(smooth_people(one_shape(assign_tracks(nobody, np.zeros(0)), body), frames, body, OneEuro())) == 0
    assert len(fill_gaps(nobody, np.zeros(0), longest=1.0)) == 0


def frames_of(count, cameras=None):
    plain = Camera(matrix=np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]), source="user")
    return tuple(
        Frame(number=n, time=n / FPS, size=(640, 480), name="a", boxes="file", camera=plain if cameras is None else cameras[n])
        for n in range(count)
    )


def test_a_moving_camera_is_no_motion(body):
    """Somebody stands still in the world while the camera turns: in the world the smoothed body stands still too."""
    turns = Rotation.from_rotvec(np.stack([TIMES * 0, np.sin(TIMES * 3), TIMES * 0], axis=1)).as_matrix()
    cameras = [
        Camera(matrix=np.diag([500.0, 500, 1]), rotation=r, translation=np.array([0, 0, 1.0]), source="file") for r in turns
    ]
    path = box_path(np.full((60, 2), 200.0))
    people = walkers(boxes=[path], poses=[some_pose(1)], shapes=[np.zeros(10)])
    root = Measure(body).roots(people.betas)
    rotations, world = np.tile(some_pose(1), (60, 1, 1, 1)), np.array([0.3, 0.1, 4.0])
    rotations[:, 0] = turns @ rotations[:, 0]
    translation = np.einsum("fij,j->fi", turns, world) + cameras[0].translation - root
    people = replace(people, rotations=rotations.astype(np.float32), translation=translation.astype(np.float32))
    smoothed = smooth_people(people, frames_of(60, cameras), body, OneEuro())
    assert np.abs(smoothed.rotations - people.rotations).max() < 1e-5
    assert np.abs(smoothed.translation - people.translation).max() < 1e-4


def test_gaps_are_filled_half_way_and_only_short_ones(body):
    seen = np.ones((1, 60), dtype=bool)
    seen[0, 10:15] = seen[0, 30:55] = False
    path = box_path(np.stack([np.linspace(50, 500, 60), np.full(60, 200.0)], axis=1))
    people = assign_tracks(walkers(boxes=[path], poses=[some_pose(1)], shapes=[np.zeros(10)], seen=seen), TIMES, forget=2.0)
    filled = fill_gaps(people, TIMES, longest=0.5)
    assert filled.frame.tolist() == [*range(30), *range(55, 60)]
    assert np.flatnonzero(filled.filled).tolist() == list(range(10, 15))
    assert np.abs(filled.box - path[filled.frame]).max() < 1e-3
    middle, ends = filled.rotations[12], (filled.rotations[9], filled.rotations[15])
    assert mean_angle(middle, ends[0]) == pytest.approx(mean_angle(middle, ends[1]), rel=1e-3)
    untouched = filled.rows(~filled.filled)
    assert all((vars(untouched)[name] == column).all() for name, column in vars(people).items())


def test_one_shape_a_track_and_the_picture_stays(body):
    people = one_shape(crossing(turn_back=False), body)
    for track in (0, 1):
        assert len(np.unique(people.betas[people.track == track], axis=0)) == 1
    assert not np.allclose(people.betas[people.track == 0][0], people.betas[people.track == 1][0])


@pytest.mark.parametrize("metres", [1.2, 1.8, 2.0])
def test_a_known_height_is_kept_and_covers_the_same_pixels(body, metres):
    before = crossing(turn_back=False).rows([0, 1])
    after = fixed_height(before, metres, body)
    assert np.abs(Measure(body).heights(after.betas) - metres).max() < 1e-3
    scene = Scene(name="a", frames=frames_of(1), rate=None, body=body, about={}, pictures=None)
    camera = frames_of(1)[0].camera
    one, other = (project(scene.posed(people).vertices, camera) for people in (before, after))
    tall = np.ptp(one[..., 1], axis=1)
    assert np.abs(np.ptp(other[..., 1], axis=1) / tall - 1).max() < 0.08
    assert np.abs(one.mean(axis=1) - other.mean(axis=1)).max() < 0.05 * tall.max()
    ratio = after.translation[:, 2] / before.translation[:, 2]
    assert (np.sign(ratio - 1) == np.sign(metres - Measure(body).heights(before.betas))).all()


def test_the_least_change_of_shape_is_taken(body):
    measure, betas = Measure(body), np.linspace(-1, 1, 10)
    found = measure.of_height(betas, 1.75)
    rng = np.random.default_rng(0)
    for _ in range(20):
        other = measure.of_height(betas + rng.normal(0, 0.4, 10), 1.75)
        assert np.linalg.norm(found - betas) <= np.linalg.norm(other - betas) + 1e-3


@pytest.mark.parametrize("text", ["tall", "18", "0.1", "nan", "-1.8", ""])
def test_a_height_is_one_of_a_person(text):
    with pytest.raises(ValueError, match="between"):
        parse_height(text)

"""people.glb, read by pygltflib and skinned slowly, by the letter of the specification."""

import numpy as np
import pytest
import torch

from tests.scene_tools import ABOUT, by_frame, scene, track
from tokenhmr.demo.gltf import strongest, write_glb
from tokenhmr.demo.motion import evenly, motions, quaternions
from tokenhmr.demo.scene import People
from tokenhmr.skeleton import SMPL_JOINTS
from tokenhmr.structs import Pose

pygltflib = pytest.importorskip("pygltflib", reason="pygltflib comes with the extra [dev]")

MILLIMETRE = 1e-3
FLIP = np.array([1, -1, -1])  # camera axes to glTF's


FORMATS = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Reader:
    """What a loader makes of the file: arrays, global transforms at a time, skinned vertices (glTF 2.0, 3.5, 3.7.3, 3.11)."""

    def __init__(self, path):
        self.file = pygltflib.GLTF2().load(str(path))
        self.blob = self.file.binary_blob()

    def array(self, index):
        accessor = self.file.accessors[index]
        view = self.file.bufferViews[accessor.bufferView]
        kind, width = FORMATS[accessor.componentType], WIDTHS[accessor.type]
        start = view.byteOffset + (accessor.byteOffset or 0)
        assert start % np.dtype(kind).itemsize == 0, "accessors are aligned (section 3.6.2.4)"
        values = np.frombuffer(self.blob, kind, accessor.count * width, start)
        return values.reshape(accessor.count, width)

    def sample(self, sampler, time):
        keys, values = self.array(sampler.input)[:, 0].astype(float), self.array(sampler.output).astype(float)
        place = int(np.clip(np.searchsorted(keys, time, side="right") - 1, 0, len(keys) - 1))
        if sampler.interpolation == "STEP" or place == len(keys) - 1 or time < keys[0]:
            return values[0] if time < keys[0] else values[place]
        share = (time - keys[place]) / (keys[place + 1] - keys[place])
        return values[place] * (1 - share) + values[place + 1] * share

    def node_values(self, time):
        values = [
            {
                "translation": node.translation or [0, 0, 0],
                "rotation": node.rotation or [0, 0, 0, 1],
                "scale": node.scale or [1] * 3,
            }
            for node in self.file.nodes
        ]
        for animation in self.file.animations:
            for channel in animation.channels:
                values[channel.target.node][channel.target.path] = self.sample(animation.samplers[channel.sampler], time)
        return values

    def transforms(self, time):
        local = [compose(**value) for value in self.node_values(time)]
        above = {child: parent for parent, node in enumerate(self.file.nodes) for child in node.children or []}

        def whole(node):
            return whole(above[node]) @ local[node] if node in above else local[node]

        return [whole(node) for node in range(len(local))]

    def person(self, name, time):
        """Skinned vertices and places of the joints of one person."""
        node = next(node for node in self.file.nodes if node.name == f"{name}_mesh")
        skin, (primitive,) = self.file.skins[node.skin], self.file.meshes[node.mesh].primitives
        everywhere = self.transforms(time)
        bound = self.array(skin.inverseBindMatrices).astype(float).reshape(-1, 4, 4).transpose(0, 2, 1)
        matrices = np.stack([everywhere[joint] for joint in skin.joints]) @ bound
        points = self.array(primitive.attributes.POSITION).astype(float)
        joints, weights = self.array(primitive.attributes.JOINTS_0), self.array(primitive.attributes.WEIGHTS_0)
        blend = np.einsum("vs,vsij->vij", weights.astype(float), matrices[joints])
        skinned = np.einsum("vij,vj->vi", blend, np.c_[points, np.ones(len(points))])[:, :3]
        return skinned, np.stack([everywhere[joint][:3, 3] for joint in skin.joints])


def compose(translation, rotation, scale):
    x, y, z, w = np.asarray(rotation, dtype=float) / np.linalg.norm(rotation)
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn * np.asarray(scale, dtype=float), translation
    return matrix


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Two people over sixteen frames, of whom the second comes late, goes, comes back and leaves early."""
    seen = scene(frames=16)
    people = by_frame(track(0, range(16)), track(1, [3, 4, 5, 9, 10, 11, 12], number=1))
    folder = tmp_path_factory.mktemp("glb")
    write_glb(people, seen, folder)
    return seen, people, Reader(folder / "people.glb")


@pytest.mark.parametrize("frame", [0, 4, 9, 11, 15])
def test_bodies_stand_where_they_stood(clip, frame):
    seen, people, reader = clip
    time = np.float32(seen.frames[frame].time)
    here = people.rows(people.frame == frame)
    posed = seen.posed(here)
    for row, number in enumerate(here.track):
        vertices, joints = reader.person(f"person_{number}", time)
        assert np.abs(vertices - posed.vertices[row] * FLIP).max() < 0.1 * MILLIMETRE
        assert np.abs(joints - posed.skeleton[row] * FLIP).max() < 0.1 * MILLIMETRE


@pytest.mark.parametrize("frame", [0, 2, 6, 8, 13, 15])
def test_who_is_not_there_is_a_point(clip, frame):
    seen, _, reader = clip
    vertices, _ = reader.person("person_1", np.float32(seen.frames[frame].time))
    assert np.ptp(vertices, axis=0).max() == 0


def test_between_frames_the_short_way_is_taken(clip):
    """Halfway between two quaternions of one hemisphere linear and spherical interpolation meet."""
    seen, people, reader = clip
    (motion, _) = motions(people, seen, np.diag(FLIP).astype(float))
    assert (quaternions(motion.rotations)[1:] * quaternions(motion.rotations)[:-1]).sum(axis=-1).min() < 0, "signs to mend"
    for frame in range(15):
        halfway = (seen.frames[frame].time + seen.frames[frame + 1].time) / 2
        even = evenly(motion, np.array([halfway]))
        turns = torch.from_numpy(even.rotations)
        betas = torch.from_numpy(even.betas)[None].float()
        skeleton = seen.body.skeleton(Pose(global_orient=turns[:, 0].float(), body=turns[:, 1:].float(), betas=betas))[
            0
        ].numpy()
        _, joints = reader.person("person_0", halfway)
        assert np.abs(joints - joints[0] - (skeleton - skeleton[0])).max() < 0.1 * MILLIMETRE


def test_key_times_are_the_frames_own(clip):
    seen, people, reader = clip
    (animation,) = reader.file.animations
    for number, node in ((0, "person_0"), (1, "person_1")):
        names = [reader.file.nodes[channel.target.node].name for channel in animation.channels]
        first = names.index(SMPL_JOINTS[0]) if number == 0 else len(names) - 1 - names[::-1].index(SMPL_JOINTS[0])
        keys = reader.array(animation.samplers[animation.channels[first].sampler].input)[:, 0]
        frames = people.frame[people.track == number]
        assert keys.tolist() == [np.float32(seen.frames[frame].time) for frame in frames], node


def test_the_rest_pose_is_a_t_of_the_right_shape(clip):
    seen, people, reader = clip
    mine = people.rows(people.track == 0).rows(slice(0, 1))
    straight = np.tile(np.eye(3, dtype=np.float32), (1, 24, 1, 1))
    rest = seen.posed(People(**{**vars(mine), "rotations": straight, "translation": np.zeros((1, 3), dtype=np.float32)}))
    reader.file.animations, kept = [], reader.file.animations
    vertices, joints = reader.person("person_0", 0)
    reader.file.animations = kept
    assert np.abs(vertices - rest.vertices[0]).max() < 0.01 * MILLIMETRE
    assert np.abs(joints - rest.skeleton[0]).max() < 0.01 * MILLIMETRE
    place = dict(zip(SMPL_JOINTS, joints, strict=True))
    assert place["head"][1] > place["pelvis"][1] > place["left_foot"][1], "up is up"
    assert place["left_wrist"][0] > 0.4 > -0.4 > place["right_wrist"][0], "facing +z, the left hand is at +x"
    assert place["left_foot"][2] > place["left_ankle"][2], "toes point forward"


def test_triangles_and_normals_point_outwards(clip):
    _, _, reader = clip
    (primitive,) = reader.file.meshes[0].primitives
    points, normals = (reader.array(getattr(primitive.attributes, name)) for name in ("POSITION", "NORMAL"))
    faces = reader.array(primitive.indices).reshape(-1, 3)
    corner = points[faces].astype(float)
    volume = np.einsum("fi,fi->f", corner[:, 0], np.cross(corner[:, 1], corner[:, 2])).sum() / 6
    assert 0.03 < volume < 0.2, "cubic metres of a person"
    across = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    assert (np.einsum("fi,fi->f", across, normals[faces].mean(axis=1)) > 0).mean() > 0.99


def test_a_picture_holds_the_pose_itself_and_a_camera(tmp_path):
    seen, person = scene(frames=1, rate=None), track(3, [0])
    write_glb(person, seen, tmp_path)
    reader = Reader(tmp_path / "people.glb")
    assert reader.file.animations == []
    vertices, _ = reader.person("person_0", 0)
    assert np.abs(vertices - seen.posed(person).vertices[0] * FLIP).max() < 0.1 * MILLIMETRE
    (camera,) = reader.file.cameras
    assert camera.perspective.yfov == pytest.approx(2 * np.arctan(120 / 300))
    assert camera.perspective.aspectRatio == pytest.approx(320 / 240)


def test_the_file_says_whose_it_is_and_is_well_formed(clip):
    _, _, reader = clip
    assert reader.file.asset.version == "2.0" and reader.file.asset.copyright == ABOUT["licences"]
    assert ABOUT.items() <= reader.file.asset.extras.items()
    for accessor in reader.file.accessors:
        view = reader.file.bufferViews[accessor.bufferView]
        assert view.byteOffset + view.byteLength <= len(reader.blob) and view.byteOffset % 4 == 0
    (primitive, *_), (other, *_) = (mesh.primitives for mesh in reader.file.meshes)
    assert primitive.indices == other.indices, "people share what they have in common"


def test_nobody_makes_a_file_that_opens(tmp_path):
    write_glb(People.nobody(10), scene(frames=3), tmp_path)
    assert Reader(tmp_path / "people.glb").file.meshes == []


def test_many_joints_on_a_vertex_take_more_slots():
    torch.manual_seed(0)
    skinning = torch.rand(50, 24).softmax(dim=1).numpy()
    skinning[:, 6:] = 0
    joints, weights = strongest(skinning / skinning.sum(axis=1, keepdims=True))
    assert joints.shape == weights.shape == (50, 8)
    again = np.zeros((50, 24))
    np.add.at(again, (np.arange(50)[:, None], joints), weights)
    assert np.allclose(again, skinning / skinning.sum(axis=1, keepdims=True), atol=1e-6)

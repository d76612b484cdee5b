"""Finding people: sheets that agree with their labels, a loss that is least for the truth, a reading that gives it back."""

import io
import itertools
import tarfile

import numpy as np
import pytest
import torch

from tests.finder_tools import small, write_wholes
from tokenhmr.data.mosaic import SheetBatches, WarnOnce, Whole, read_wholes, sheet, whole_batches
from tokenhmr.evaluation.finding import Tally, average_precision, found_and_wrong, match, scores_of, tally_of
from tokenhmr.losses.finding import FindingObjective
from tokenhmr.models.finder import PersonFinder, read_people, take_stem
from tokenhmr.models.pretrained import load_backbone, load_finder, save_pretrained
from tokenhmr.models.vit import ConvStem, PatchEmbed, ViT
from tokenhmr.resources import config_folder
from tokenhmr.structs import FoundPeople, SceneBatch
from tokenhmr.synthesis.sightings import Sightings
from tokenhmr.training.start import hold_still


def no_skip(what, why):
    raise AssertionError(f"{what}: {why}")


@pytest.fixture
def wholes(tmp_path) -> list[Whole]:
    write_wholes(tmp_path / "a.tar", 6)
    return read_wholes("a.tar", root=tmp_path, skip=no_skip)


def truth(batch, cell=8, rows=32, columns=32):
    """An answer that says exactly what is wanted."""
    found = FoundPeople(
        presence=torch.zeros(len(batch.boxes), rows, columns), edges=torch.ones(len(batch.boxes), 4, rows, columns), cell=cell
    )
    wanted = FindingObjective().wanted(batch, found)
    presence = torch.where(wanted.peak >= 1, 20.0, -20.0)
    return FoundPeople(presence=presence, edges=wanted.edges.clamp_min(1), cell=cell), wanted


def scene(*people, side=256):
    rows = torch.tensor(people, dtype=torch.float32).reshape(1, -1, 5)
    return SceneBatch(image=torch.zeros(1, 3, side, side), boxes=rows[..., :4], sight=rows[..., 4])


def test_labels_of_a_sheet_lie_around_its_people(wholes, monkeypatch):
    monkeypatch.setattr("tokenhmr.data.mosaic._recolour", lambda pixels, _: pixels)
    ones = [whole for whole in wholes if len(whole.people) == 1]
    for seed in range(40):
        drawn = sheet(ones, np.random.default_rng(seed), skip=no_skip)
        red = (drawn.pixels[..., 0] > 200) & (drawn.pixels[..., 1] < 60)
        covered = np.zeros_like(red)
        for left, top, right, bottom, share in drawn.people:
            assert 0 < share <= 1 and 0 <= left < right <= 256 and 0 <= top < bottom <= 256
            inside = red[round(top) + 1 : round(bottom) - 1, round(left) + 1 : round(right) - 1]
            assert inside.size < 60 or inside.mean() > 0.9
            covered[max(0, int(top) - 1) : int(bottom) + 2, max(0, int(left) - 1) : int(right) + 2] = True
        assert not (red & ~covered).sum() > 10  # somebody of a few pixels at a border has no label


def test_what_a_step_sees_depends_on_seed_and_step_alone(wholes):
    def steps(count, **settings):
        return list(itertools.islice(SheetBatches(wholes=wholes, batch_size=4, seed=5, skip=no_skip, **settings), count))

    straight = steps(3)
    for number, batch in enumerate(steps(2, start=1, workers=2), start=1):
        assert torch.equal(batch.image, straight[number].image) and torch.equal(batch.boxes, straight[number].boxes)
    halves = [steps(1, rank=rank, world=2)[0] for rank in (0, 1)]
    assert torch.equal(torch.cat([half.image for half in halves]), straight[0].image)
    with pytest.raises(ValueError, match="cannot be shared equally by 3"):
        SheetBatches(wholes=wholes, batch_size=4, seed=0, skip=no_skip, world=3)


def test_shards_that_do_not_say_who_is_in_the_picture_are_refused(tmp_path):
    write_wholes(tmp_path / "a.tar", 1)
    with tarfile.open(tmp_path / "a.tar") as tar:
        png = tar.extractfile("a-0000.png").read()
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        for kind, data in (("json", b'{"image_size": [320, 320]}'), ("png", png)):
            info = tarfile.TarInfo(f"b.{kind}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    with pytest.raises(ValueError, match="does not say who is in the picture"):
        read_wholes("b.tar", root=tmp_path, skip=no_skip)


def damaged(source, target, harm):
    """A copy of a tar whose files went through ``harm(name, bytes)``."""
    with tarfile.open(source) as whole, tarfile.open(target, "w") as tar:
        for member in whole:
            data = harm(member.name, whole.extractfile(member).read())
            info = tarfile.TarInfo(member.name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def test_what_cannot_be_read_is_named_once_and_others_take_its_place(tmp_path, caplog):
    write_wholes(tmp_path / "a.tar", 6)
    harms = {
        "a-0000.json": b"{", "a-0001.json": b"[1]", "a-0002.json": b'{"image_size": [320, 320], "people": [[1, 2]]}',
        "a-0003.png": b"\x89PNG\r\n\x1a\n and no more",
    }  # fmt: skip
    damaged(tmp_path / "a.tar", tmp_path / "b.tar", lambda name, data: harms.get(name, data))
    skip = WarnOnce()
    wholes = read_wholes("b.tar", root=tmp_path, skip=skip)
    assert [whole.name for whole in wholes] == ["b.tar/a-0003", "b.tar/a-0004", "b.tar/a-0005"]
    for step in range(6):
        batch = SheetBatches(wholes=wholes, batch_size=4, seed=5, skip=skip).batch(step)
        assert batch.image.isfinite().all() and (batch.sight > 0).any(dim=1).all()
    (measured,) = whole_batches(wholes, batch_size=8, skip=skip)
    assert measured.key == ("b.tar/a-0004", "b.tar/a-0005") and (measured.sight > 0).sum(dim=1).tolist() == [1, 2]
    said = [record.message.split(": ")[0] for record in caplog.records]
    assert said == [f"skipped b.tar/a-{number:04d}" for number in range(4)]

    damaged(tmp_path / "a.tar", tmp_path / "c.tar", lambda name, data: data if name.endswith("json") else data[:100])
    with pytest.raises(ValueError, match="50 pictures in a row cannot be read, the last one being c"):
        sheet(read_wholes("c.tar", root=tmp_path, skip=no_skip), np.random.default_rng(0), skip=skip)


def test_people_are_read_back_from_a_true_answer(wholes):
    batch = SheetBatches(wholes=wholes, batch_size=8, seed=1, skip=no_skip).batch(0)
    answer, wanted = truth(batch)
    told = 0
    for row, people in enumerate(read_people(answer, threshold=0.5)):
        boxes, sight = batch.boxes[row].double().numpy(), batch.sight[row].numpy()
        sure = boxes[(sight >= 0.35) & ((boxes[:, 2:] - boxes[:, :2]).max(axis=1) >= 20)]
        for person in people:
            assert np.abs(sure - person[:4]).max(axis=1).min() < 1e-3
        told += len(people)
        assert len(people) <= len(sure)
    assert told >= 0.8 * sum(int((wanted.peak[row] >= 1).sum()) for row in range(8)) > 0


def test_the_loss_is_least_for_the_truth_and_asks_nothing_about_whom_it_cannot_see():
    batch, objective = scene([40, 60, 120, 220, 1.0], [150, 30, 230, 200, 0.2]), FindingObjective()
    right, wanted = truth(batch)
    assert float(objective(right, batch).total) < 1e-3
    assert float(objective(right, batch).notes["overlap"]) == pytest.approx(1)
    for change in (
        {"presence": -right.presence},
        {"presence": torch.zeros_like(right.presence)},
        {"edges": right.edges * 1.2},
        {"edges": right.edges + torch.tensor([8.0, 0, -8, 0])[:, None, None]},
    ):
        wrong = FoundPeople(**({"presence": right.presence, "edges": right.edges, "cell": 8} | change))
        assert float(objective(wrong, batch).total) > 0.05, change
    # Somebody of whom a fifth is in sight: whether they are found or not is not asked.
    presence = right.presence.clone().requires_grad_()
    objective(FoundPeople(presence=presence, edges=right.edges, cell=8), batch).total.backward()
    assert presence.grad is not None
    assert not presence.grad[0, 14, 23] and not wanted.asked[0, 14, 23] and wanted.asked[0, 17, 10]


def test_maps_agree_with_a_slow_twin():
    people = [[40.0, 60, 120, 220, 1.0], [90, 80, 130, 170, 0.9], [200, 10, 214, 22, 1.0], [5, 5, 80, 100, 0.1]]
    batch, objective = scene(*people), FindingObjective()
    answer = FoundPeople(presence=torch.zeros(1, 32, 32), edges=torch.ones(1, 4, 32, 32), cell=8)
    wanted = objective.wanted(batch, answer)
    for i, j in itertools.product(range(32), range(32)):
        x, y, peak, told = 8 * j + 4, 8 * i + 4, 0.0, []
        asked = True
        for left, top, right, bottom, sight in people:
            wide, tall = right - left, bottom - top
            mx, my = (left + right) / 2 // 8 * 8 + 4, (top + bottom) / 2 // 8 * 8 + 4
            height = np.exp(-((x - mx) ** 2) / 2 / max(0.08 * wide, 4.8) ** 2 - (y - my) ** 2 / 2 / max(0.08 * tall, 4.8) ** 2)
            if sight < 0.35 or max(wide, tall) < 20:
                near = abs(x - (left + right) / 2) < 0.35 * wide + 4 and abs(y - (top + bottom) / 2) < 0.35 * tall + 4
                asked &= not near
                continue
            peak = max(peak, height)
            if height > 0.4:
                told.append((wide * tall, [x - left, y - top, right - x, bottom - y]))
        assert float(wanted.peak[0, i, j]) == pytest.approx(peak, abs=1e-5)
        assert bool(wanted.asked[0, i, j]) == (asked or peak >= 0.4)
        assert bool(wanted.told[0, i, j]) == bool(told)
        if told:
            assert wanted.edges[0, :, i, j].tolist() == pytest.approx(min(told)[1], abs=1e-4)


def test_it_begins_with_the_eyes_of_an_image_model():
    finder, backbone = PersonFinder(), load_backbone("default")
    take_stem(finder, backbone)
    stem, image = backbone.patch_embed, torch.randn(1, 3, 256, 192)
    assert isinstance(stem, ConvStem)
    with torch.inference_mode():
        torch.testing.assert_close(finder.coarse(finder.fine(image)), stem.layers[:6](image))
    with pytest.raises(ValueError, match="of another size"):
        take_stem(small(), backbone)
    with pytest.raises(ValueError, match="no convolutional stem"):
        take_stem(small(), ViT(patch_embed=PatchEmbed(width=32), width=32, depth=1, heads=2))


def test_any_picture_of_whole_cells_goes_through_alone_as_among_others():
    finder = small().eval()
    image = torch.randn(2, 3, 128, 192)
    with torch.inference_mode():
        both, one = finder(image), finder(image[1:])
    assert both.presence.shape == (2, 16, 24) and both.edges.shape == (2, 4, 16, 24)
    torch.testing.assert_close(one.presence[0], both.presence[1])
    assert not read_people(both, threshold=0.5)[0].size  # nobody, before it has learnt
    with pytest.raises(ValueError, match="multiples of 64"):
        finder(torch.zeros(1, 3, 100, 128))


@pytest.mark.parametrize("still", [["fine", "coarse"], ["fine"], ["fine.0"]])
@pytest.mark.parametrize("half", [True, False])
def test_what_lies_behind_frozen_convolutions_learns_as_if_they_were_not(still, half):
    torch.manual_seed(1)
    image, slopes = torch.randn(2, 3, 64, 64).contiguous(memory_format=torch.channels_last), []
    for starts in ([], still):
        finder = small()
        torch.nn.init.normal_(finder.say.weight)
        hold_still(finder, starts)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            found = finder(image)
        (found.presence.square().sum() + found.edges.log().sum()).backward()
        slopes.append({name: value.grad for name, value in finder.named_parameters()})
    for name, slope in slopes[1].items():
        if name.startswith(tuple(still)):
            assert slope is None
        else:
            assert torch.equal(slope, slopes[0][name]), name


def test_weights_are_saved_and_others_are_refused(tmp_path):
    finder = small()
    save_pretrained(finder, tmp_path / "finder", dtype="float16")
    again = load_finder(tmp_path / "finder")
    for name, value in finder.state_dict().items():
        assert torch.equal(again.state_dict()[name], value.half().float()), name
    with pytest.raises(ValueError, match="no person_finder"):
        load_finder(config_folder().parent / "tokenhmr" / "assets" / "default")


def test_each_person_is_found_once_and_precision_is_averaged_as_in_the_books():
    people = np.array([[0.0, 0, 100, 200], [200, 0, 300, 200]])
    found = np.array([
        [0.0, 0, 100, 190, 0.9], [5, 5, 100, 200, 0.8], [210, 0, 300, 200, 0.7], [400, 0, 500, 200, 0.6],
        [600, 0, 700, 90, 0.5],
    ])  # fmt: skip
    tally = match(found, people, np.array([[600.0, 0, 700, 100]]))
    assert [answer.right for answer in tally.answers] == [True, False, True, False]  # the last one counts neither way
    assert average_precision(tally) == pytest.approx((1 + 2 / 3) / 2)
    assert found_and_wrong(tally, 0.65) == (2, 1) and found_and_wrong(tally, 0.95) == (0, 0)
    both = tally + match(np.zeros((0, 5)), people[:1])
    assert (both.people, both.pictures) == (3, 2) and average_precision(both) == pytest.approx((1 + 2 / 3) / 3)
    assert average_precision(Tally((), 0, 1)) == 0


def test_a_true_answer_has_the_best_scores(wholes):
    batches = list(whole_batches(wholes, batch_size=4, skip=no_skip))
    assert [len(batch.image) for batch in batches] == [4, 2]
    answers = iter([truth(batch, rows=40, columns=40)[0] for batch in batches])
    model = torch.nn.Identity()
    model.forward = lambda image: next(answers)
    scores = scores_of(tally_of(model, batches))
    assert scores["average_precision"] > 0.85 and scores["wrong@0.5"] == 0


def test_sightings_say_who_is_before_whom():
    sightings = Sightings()
    far, near, thing = (np.zeros((320, 320), dtype=bool) for _ in range(3))
    far[10:110, 20:70], near[60:200, 40:100], thing[:, 90:] = True, True, True
    sightings.lay(1, far)
    sightings.lay(0, near)
    sightings.lay(2, np.zeros((320, 320), dtype=bool))
    sightings.hide(thing)
    assert sightings.boxes(4) == [
        [40.0, 60.0, 100.0, 200.0, round(140 * 50 / (140 * 60), 3)],
        [20.0, 10.0, 70.0, 110.0, round(1 - 50 * 30 / 5000, 3)],
    ]

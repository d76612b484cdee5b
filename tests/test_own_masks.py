"""Masks of our own shards: read where a list asks for them."""

import torch

from tests.pictures import sample_files, write_tar
from tokenhmr.data.batches import held_out_batches
from tokenhmr.data.shards import OwnShards
from tokenhmr.data.sources import Source


def test_our_masks_say_what_is_in_sight_where_a_list_asks_for_them(tmp_path):
    files = sample_files(0) | {name: data for name, data in sample_files(1).items() if not name.endswith("mask.png")}
    shard = write_tar(tmp_path / "s.tar", files)
    (plain,) = held_out_batches(sources=[Source(name="noise", shards=(shard,))], batch_size=2)
    assert plain.mask is None
    (batch,) = held_out_batches(sources=[Source(name="noise", shards=(shard,), reader=OwnShards(masks=True))], batch_size=2)
    torch.testing.assert_close(batch.image, plain.image)
    # The upper half of the picture is in sight, the lower one is behind something; who has no mask is in sight all over.
    middle = round(256 * float(0.5 + (32 - batch.box_center[0, 1]) / batch.box_size[0]))
    assert batch.mask[0, middle - 4, 100:150].all() and not batch.mask[0, middle + 4].any() and batch.mask[1].all()
    damaged = write_tar(tmp_path / "d.tar", files | {"p00000.mask.png": b"mask"})
    (left,) = held_out_batches(sources=[Source(name="noise", shards=(damaged,), reader=OwnShards(masks=True))], batch_size=2)
    assert left.key == ("p00001",), "a mask that cannot be read is damage like any other"

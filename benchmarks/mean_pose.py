"""What always saying the mean pose gets on held-out synthetic pictures: the rows to compare weights with.

    python -m benchmarks.mean_pose PICTURES --out runs/mean_pose
    python -m tokenhmr.evaluation protocol=synthetic data_root=PICTURES compare=runs/mean_pose/rows.json

PICTURES is a folder of shards of both splits (python -m tokenhmr.synthesis). The mean is over the first training shards.
"""

import argparse
import dataclasses
from itertools import islice
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import OmegaConf

from tokenhmr.data.batches import held_out_batches
from tokenhmr.data.sources import Source, find_shards
from tokenhmr.evaluation.__main__ import write
from tokenhmr.evaluation.image import MeanPose
from tokenhmr.evaluation.protocol import Settings
from tokenhmr.resources import config_folder

BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, help="folder of shards")
    parser.add_argument("--out", type=Path, default=Path("runs/mean_pose"), help="where the report goes (default: %(default)s)")
    parser.add_argument("--batches", type=int, default=150, help="of 32 training pictures (default: %(default)s)")
    given = parser.parse_args()
    protocol = instantiate(OmegaConf.load(config_folder() / "protocol" / "synthetic.yaml"), _convert_="all")
    material = protocol.gather(Settings(data_root=str(given.pictures)))
    shards = find_shards(["synthetic-train-*.tar"], root=given.pictures)
    train = held_out_batches(sources=[Source(name="synthetic", shards=shards)], batch_size=BATCH)
    model = MeanPose.of(islice(train, given.batches), body=material.body)
    name = f"{protocol.data_list} with the mean pose of {BATCH * given.batches} training pictures"
    write(protocol(dataclasses.replace(material, model=model, name=name)), given.out)


if __name__ == "__main__":
    main()

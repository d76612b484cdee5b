"""The image training on CPU processes that hold the model in pieces: what Accelerate does on GPUs only, told to do it here."""

import os

from accelerate.utils import DistributedType

os.environ |= {"FSDP_VERSION": "2", "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP", "FSDP_TRANSFORMER_CLS_TO_WRAP": "Block"}

from tokenhmr import train as entry
from tokenhmr.entry import run_hydra
from tokenhmr.training.sharded import full_precision_plugin

on_cpus = entry.make_accelerator


def in_pieces(**options):
    accelerator = on_cpus(**options)
    accelerator.state.fsdp_plugin = full_precision_plugin()
    accelerator.state.distributed_type = DistributedType.FSDP
    return accelerator


if __name__ == "__main__":
    entry.make_accelerator = in_pieces
    run_hydra(entry.train, "train")

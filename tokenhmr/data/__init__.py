"""Pictures and motion in: annotations, the crop, augmentation, shards, motion capture."""

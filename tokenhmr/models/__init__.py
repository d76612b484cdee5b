"""Networks: backbones and blocks, the pose tokenizer, the models made of them, weights by folder."""

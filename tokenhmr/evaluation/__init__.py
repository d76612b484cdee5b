"""What is measured: metrics in millimetres and how a model is run over a held-out set."""

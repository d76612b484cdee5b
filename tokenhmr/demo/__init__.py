"""Pictures in, bodies out: reading, boxes, prediction, export; ``python -m tokenhmr.demo`` is the command."""

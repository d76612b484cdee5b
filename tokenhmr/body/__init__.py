"""Bodies: files, one skinning layer, embedded key poses."""

from tokenhmr.body.files import BodyFile, read_body_file
from tokenhmr.body.model import Body, load_body

__all__ = ["Body", "BodyFile", "load_body", "read_body_file"]

"""Annotated pictures of open bodies: poses, looks, cameras, light, backgrounds -> webdataset shards."""

from tokenhmr.synthesis.shards import synthesize

__all__ = ["synthesize"]

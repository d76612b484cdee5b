"""Bodies: files of ours and of others, one skinning layer, embedded key poses."""

from tokenhmr.body.files import BodyFile, read_body_file
from tokenhmr.body.joints import MeanParameters, read_joint_regressor, read_mean_parameters
from tokenhmr.body.load import load_body, stand_in
from tokenhmr.body.model import Body

__all__ = [
    "Body",
    "BodyFile",
    "MeanParameters",
    "load_body",
    "read_body_file",
    "read_joint_regressor",
    "read_mean_parameters",
    "stand_in",
]

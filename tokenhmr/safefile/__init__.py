"""Files of others, read without running anything in them.

Pickles are programs. Here they are walked by a machine of our own (``machine.py``) that knows a short list of names
(``vocabulary.py``) and calls nothing else: numpy arrays and scalars, scipy's sparse matrices, tensors and plain data come back
as themselves, configurations and chumpy's expressions as inert ``Record``s, and a file that asks for more is refused with
one ``ValueError`` that names the file, the opcode and its byte. No package that wrote such a file has to be installed.
"""

from tokenhmr.safefile.arrays import loads, read_npy, read_npz, read_pickle
from tokenhmr.safefile.records import Record, SparseMatrix, as_array, plain
from tokenhmr.safefile.tensors import read_torch

__all__ = ["Record", "SparseMatrix", "as_array", "loads", "plain", "read_npy", "read_npz", "read_pickle", "read_torch"]

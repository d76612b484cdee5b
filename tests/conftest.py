import os
from pathlib import Path

import pytest
import torch

if "PYTEST_XDIST_WORKER" in os.environ:
    # As many workers as cores: with a thread for every core in each of them they would wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real motion, photographs and bodies (folders mocap, photos, body): too large or not free enough to be committed."""
    folder = os.environ.get("TOKENHMR_DATA")
    if not folder:
        pytest.skip("set TOKENHMR_DATA to a folder with mocap, photos and body to run this on real data")
    return Path(folder)


@pytest.fixture
def one_thread():
    """As in the processes of tests: sums of several threads are rounded in another order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)

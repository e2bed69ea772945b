import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """Threads of so small a network wait for each other more than they compute on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)

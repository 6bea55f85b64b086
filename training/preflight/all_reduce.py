"""Started by torchrun, one process for each GPU: adds up a tensor over all of them."""

from __future__ import annotations

import os
from datetime import timedelta

import torch
import torch.distributed as dist


def main() -> None:
    """Print the backend. Raises RuntimeError where the sum is wrong or the processes do not meet in a minute."""
    on_gpu = torch.cuda.is_available()
    backend = "nccl" if on_gpu else "gloo"
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    dist.init_process_group(backend, timeout=timedelta(minutes=1))
    ranks = dist.get_world_size()
    values = torch.full((1 << 20,), float(dist.get_rank() + 1), device=device)
    dist.all_reduce(values)
    if values.unique().tolist() != [ranks * (ranks + 1) / 2]:
        raise RuntimeError(f"the sum over {ranks} processes is {values[0].item()}")
    if dist.get_rank() == 0:
        print(backend)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()

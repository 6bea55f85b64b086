"""`python -m training`, where accelerate is made to shard by FSDP2 without an accelerator. For tests only.

accelerate looks for FSDP's settings only where it found several GPUs or their like; told that it did, it shards over
gloo and the CPU as it would over NCCL.
"""

import runpy
from datetime import timedelta

from accelerate import PartialState
from accelerate.utils import DistributedType

PartialState(cpu=True, timeout=timedelta(minutes=5))
PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
runpy.run_module("training", run_name="__main__", alter_sys=True)

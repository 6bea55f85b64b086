"""`python -m training`, where DeepSpeed exchanges through gloo. For tests only.

Without an accelerator DeepSpeed compiles an exchange through shared memory, which takes minutes on two cores.
"""

import runpy

import deepspeed.ops

deepspeed.ops.__compatible_ops__ = {}
runpy.run_module("training", run_name="__main__", alter_sys=True)

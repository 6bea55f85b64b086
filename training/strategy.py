"""A `Strategy` trains the model on one or many devices, with accelerate: plain, data parallel, DeepSpeed ZeRO or FSDP2.

Every strategy reads and writes the trained parameters as whole float32 tensors, under their names in the unwrapped
model. Checkpoints consist of these, so a run can resume under another strategy or number of processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, DistributedType, InitProcessGroupKwargs, gather_object
from torch import Tensor, nn
from torch.distributed.fsdp import MixedPrecisionPolicy
from torch.distributed.tensor import DTensor, distribute_tensor

from calibration_tuning.runs.devices import has_accelerator
from calibration_tuning.runs.processes import process_count

MOMENTS = ("exp_avg", "exp_avg_sq")
TIMEOUT = timedelta(hours=1)
"""Time limit of a collective operation, after which a run that hangs ends. While rank 0 fits the readout, the others
wait. With the states of a 7B model and six sources, that takes some minutes on two cores (docs/performance.md); the
default of ten minutes can be too short."""

DATA_PARALLEL = DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True)
"""The model's buffers are constants, so they need not be sent in every step, and gradients are summed where they are. A
static graph would gain nothing, because checkpointing is not reentrant."""


def make_accelerator(bf16: bool) -> Accelerator:
    """Build the accelerator from the environment of `accelerate launch`. Without it, a single device is used.

    Raises `UserError` where the machine's GPUs cannot be used."""
    on_cpu = not has_accelerator()
    several = process_count() > 1
    handlers: list[Any] = [DATA_PARALLEL]
    if several:
        handlers.append(InitProcessGroupKwargs(backend="gloo" if on_cpu else None, timeout=TIMEOUT))
    # With cpu=True accelerate uses plain data parallelism, so DeepSpeed on the CPU needs cpu=False.
    return Accelerator(
        cpu=on_cpu and not _wants_deepspeed(),
        mixed_precision="bf16" if bf16 and not on_cpu else "no",
        kwargs_handlers=handlers,
    )


def loads_onto(accelerator: Accelerator, trains: bool) -> torch.device | None:
    """Where the model is loaded before it is wrapped: on the GPU, or on the CPU (None) where it will be split over the
    GPUs, because the whole of it need not fit on one. A model that is not trained is never split."""
    if not trains:
        return accelerator.device
    if accelerator.distributed_type == DistributedType.FSDP:
        return None
    if accelerator.distributed_type == DistributedType.DEEPSPEED and accelerator.state.deepspeed_plugin.zero_stage == 3:
        return None
    return accelerator.device


def _wants_deepspeed() -> bool:
    return os.environ.get("ACCELERATE_USE_DEEPSPEED", "false").lower() == "true"


@dataclass
class Strategy:
    """A `Strategy` holds the wrapped model and its optimizer, and does what differs between strategies."""

    accelerator: Accelerator
    model: Any
    optimizer: Any
    raw_optimizer: torch.optim.Optimizer
    max_grad_norm: float
    trained: dict[str, nn.Parameter] = field(init=False)
    """Trained parameters by their names in the unwrapped model, in a fixed order."""

    def __post_init__(self) -> None:
        module = self.accelerator.unwrap_model(self.model)
        self.trained = {name: p for name, p in module.named_parameters() if p.requires_grad}

    @property
    def processes(self) -> int:
        return self.accelerator.num_processes

    @property
    def is_deepspeed(self) -> bool:
        return self.accelerator.distributed_type == DistributedType.DEEPSPEED

    @property
    def is_fsdp(self) -> bool:
        return self.accelerator.distributed_type == DistributedType.FSDP

    def backward(self, loss: Tensor, is_last: bool) -> None:
        """Compute the gradients of `loss`, this process's share of a sum over processes.

        Gradients are averaged over processes, so the loss is multiplied by their number first.
        """
        self.accelerator.gradient_state._set_sync_gradients(is_last)
        self.accelerator.backward(loss * self.processes)

    def pass_context(self, is_last: bool) -> Any:
        """Return the context of a pass. Processes exchange gradients in the last pass of a step only.

        ZeRO exchanges them in every pass, because it does not keep full gradients.
        """
        return nullcontext() if is_last or self.is_deepspeed else self.accelerator.no_sync(self.model)

    def step(self) -> float:
        """Clip, update, and return the gradient norm before clipping."""
        if self.is_deepspeed:  # DeepSpeed has clipped and updated in `backward`
            return float(self.model.get_global_grad_norm())
        for parameter in self.trained.values():  # such as an expert's that no token of this step was sent to
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        norm = self.accelerator.clip_grad_norm_(list(self.trained.values()), self.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)

    def set_learning_rate(self, factor: float) -> None:
        """Set the learning rates to `factor` x their initial values.

        Call it before the passes of a step, because DeepSpeed updates in the last pass.
        """
        for group in self.raw_optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor

    def any_process(self, value: bool) -> bool:
        """True if `value` is true on any process. Every process calls it."""
        if self.processes == 1:
            return value
        flag = torch.tensor([float(value)], device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, "sum").item())

    def gather(self, value: Any) -> list[Any]:
        """Return the `value` of every process, in order of rank. Every process calls it."""
        return gather_object([value])

    def gather_on_first(self, value: Any) -> list[Any] | None:
        """Return the `value` of every process on the first process, in order of rank, and None on the others. Every
        process calls it. Values of gigabytes stay in the host's memory."""
        if self.processes == 1:
            return [value]
        values = [None] * self.processes if self.accelerator.is_main_process else None
        dist.gather_object(value, values, dst=0, group=dist.new_group(backend="gloo", timeout=TIMEOUT))
        return values

    def values(self) -> dict[str, Tensor]:
        """Return the trained parameters by name, as whole float32 tensors on the CPU. Every process calls it."""
        return {name: self._full(p, p) for name, p in self.trained.items()}

    def moments(self) -> dict[str, Tensor]:
        """Return Adam's moments, whole, as `<name>.exp_avg` and `<name>.exp_avg_sq`. Every process calls it."""
        return {
            f"{name}.{moment}": self._full(p, self._moment(p, moment), moment)
            for name, p in self.trained.items()
            for moment in MOMENTS
        }

    def _moment(self, parameter: nn.Parameter, moment: str) -> Tensor:
        return parameter if self.is_deepspeed else self.raw_optimizer.state[parameter][moment]

    def _full(self, parameter: nn.Parameter, value: Tensor, moment: str | None = None) -> Tensor:
        if self.is_deepspeed:
            from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

            gathered = (
                safe_get_full_fp32_param(parameter)
                if moment is None
                else safe_get_full_optimizer_state(parameter, moment)
            )
            value = gathered.reshape(getattr(parameter, "ds_shape", parameter.shape))
        full = value.full_tensor() if isinstance(value, DTensor) else value
        return full.detach().float().cpu().clone()

    def load_values(self, values: dict[str, Tensor]) -> None:
        """Set the trained parameters from whole tensors.

        Raises KeyError if the names differ. A run that resumed with an untrained parameter would be silently wrong.
        """
        self._same_names(set(values))
        if self.is_fsdp:
            # A forward pass without gradients leaves the root's parameters gathered, and the next pass would read
            # those.
            self.model.reshard()
        with torch.no_grad():
            for name, parameter in self.trained.items():
                self._put(parameter, parameter, values[name])

    def load_moments(self, moments: dict[str, Tensor], step: int) -> None:
        self._same_names({name.rpartition(".")[0] for name in moments})
        # The optimizer creates its state in the first step, which has not run yet.
        for p in self._optimized():
            zeros = {moment: torch.zeros_like(p) for moment in MOMENTS}
            self.raw_optimizer.state[p] = {"step": torch.tensor(float(step)), **zeros}
        if self.is_deepspeed and hasattr(self.model.optimizer, "_lazy_init_hp_params_optimizer_state"):
            self.model.optimizer._lazy_init_hp_params_optimizer_state()  # ZeRO 1 and 2 locate their shares by it
        with torch.no_grad():
            for name, parameter in self.trained.items():
                for moment in MOMENTS:
                    self._put(parameter, self._moment(parameter, moment), moments[f"{name}.{moment}"], moment)

    def _optimized(self) -> list[Tensor]:
        """The tensors that the optimizer updates. Under ZeRO they are flat shares of many parameters."""
        zero3 = getattr(self.model.optimizer, "fp32_partitioned_groups_flat", None) if self.is_deepspeed else None
        return zero3 or [p for group in self.raw_optimizer.param_groups for p in group["params"]]

    def _put(self, parameter: nn.Parameter, target: Tensor, full: Tensor, moment: str | None = None) -> None:
        full = full.to(self.accelerator.device)
        if self.is_deepspeed:
            self._put_deepspeed(parameter, full, moment)
        elif isinstance(target, DTensor):
            target.copy_(distribute_tensor(full, target.device_mesh, target.placements))
        else:
            target.copy_(full)

    def _put_deepspeed(self, parameter: nn.Parameter, full: Tensor, moment: str | None) -> None:
        from deepspeed import utils
        from deepspeed.runtime.zero.partition_parameters import GatheredParameters

        if hasattr(parameter, "ds_tensor"):
            # ZeRO-3 pads shares to the same length; its setter for whole tensors runs past the end of the last share.
            length = parameter.ds_tensor.numel()
            flat = full.flatten().float()
            padded = F.pad(flat, (0, length * self.processes - len(flat)))
            local = padded[length * self.accelerator.process_index :][:length]
            if moment is None:
                utils.safe_set_local_fp32_param(parameter, local)
            else:
                utils.safe_set_local_optimizer_state(parameter, local, moment)
        elif moment is None:
            utils.safe_set_full_fp32_param(parameter, full)
        else:
            utils.safe_set_full_optimizer_state(parameter, full, moment)
        if moment is None:
            with GatheredParameters([parameter], modifier_rank=0):  # the model computes with a copy of the parameter
                parameter.data.copy_(full)

    def _same_names(self, names: set[str]) -> None:
        if names != set(self.trained):
            missing, unknown = set(self.trained) - names, names - set(self.trained)
            raise KeyError(f"checkpoint and model differ: missing {sorted(missing)[:3]}, unknown {sorted(unknown)[:3]}")


def start_strategy(
    accelerator: Accelerator, model: nn.Module, groups: list[dict[str, Any]], weight_decay: float, max_grad_norm: float
) -> Strategy:
    """Wrap the model and create its optimizer: AdamW, with a learning rate for each group. Without groups, the model is
    not wrapped, and every process has the whole of it."""
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        plugin = accelerator.state.deepspeed_plugin.deepspeed_config
        # The loop cuts steps into passes, and its gradients are means over the step's examples already.
        plugin |= {
            "train_micro_batch_size_per_gpu": 1,
            "gradient_accumulation_steps": 1,
            "gradient_clipping": max_grad_norm,
        }
    if accelerator.distributed_type == DistributedType.FSDP and accelerator.mixed_precision == "bf16":
        # accelerate's default policy would also round the targets, the loss and the exchanged gradients to bfloat16.
        accelerator.state.fsdp_plugin.mixed_precision_policy = MixedPrecisionPolicy(
            param_dtype=torch.bfloat16, reduce_dtype=torch.float32, cast_forward_inputs=False
        )
    if not groups:  # there is nothing to train, and DDP and optimizers refuse such a model
        unused = torch.optim.AdamW([torch.zeros(1)])
        return Strategy(accelerator, model.to(accelerator.device), unused, unused, max_grad_norm)
    optimizer = torch.optim.AdamW(groups, weight_decay=weight_decay)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    wrapped, prepared = accelerator.prepare(model, optimizer)
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        optimizer = wrapped.optimizer.optimizer  # with offloading, DeepSpeed replaces the optimizer
    return Strategy(accelerator, wrapped, prepared, optimizer, max_grad_norm)


@contextmanager
def evaluation_mode(strategy: Strategy) -> Iterator[None]:
    """Keep the model in evaluation mode, without gradients, while the block runs."""
    strategy.model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        strategy.model.train()

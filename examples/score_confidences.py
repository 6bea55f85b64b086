"""Are these confidences calibrated? Metrics with intervals, a calibrator, and a diagram; needs no model.

python examples/score_confidences.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from calibration_tuning.metrics import calibrate, confidence_metrics, reliability_diagram


def main(folder: Path) -> None:
    # A model that is right less often than it says: at a confidence of c, c squared of its answers are right.
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.2, 1.0, 1000)
    correct = generator.random(1000) < confidence**2
    # Each answer is calibrated by answers other than itself, so that the numbers below are not flattered.
    calibrated = calibrate(confidence, correct, "platt")
    for name, values in (("as it is", confidence), ("calibrated", calibrated)):
        metrics = confidence_metrics(values, correct, only=("brier", "ece", "auroc"))
        print(name, *(f"{metric} {m.value:.3f} [{m.low:.3f}, {m.high:.3f}]" for metric, m in metrics.items()), sep="  ")
    reliability_diagram(confidence, correct).savefig(folder / "reliability.png")
    print(f"diagram: {folder / 'reliability.png'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))

import numpy as np
import pytest
from scipy.special import expit

from calibration_tuning.calibrators import Calibrator, fit


def data(scale: float, bias: float, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    logit = generator.normal(size=n) * 2
    return logit, (generator.random(n) < expit(scale * logit + bias)).astype(float)


def test_temperature_is_recovered() -> None:
    found = fit("temperature", *data(0.5, 0.0))
    assert found.temperature == pytest.approx(2.0, rel=0.05)
    assert found.bias == 0.0


def test_platt_recovers_scale_and_bias() -> None:
    found = fit("platt", *data(0.5, -1.0))
    assert (found.scale, found.bias) == (pytest.approx(0.5, rel=0.05), pytest.approx(-1.0, rel=0.05))


def test_no_calibrator_is_the_plain_probability() -> None:
    logit = np.array([-1000.0, -1.0, 0.0, 2.0, 1000.0])
    assert Calibrator()(logit) == pytest.approx(expit(logit))


@pytest.mark.parametrize("kind", ["temperature", "platt"])
@pytest.mark.parametrize("correct", [[0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.0, 0.0]])
def test_data_without_an_optimum_ends_bounded(kind: str, correct: list[float]) -> None:
    found = fit(kind, np.array([-2.0, -1.0, 1.0, 2.0]), np.array(correct))  # type: ignore[arg-type]
    assert 1 / 20 <= found.scale <= 20 + 1e-9
    assert abs(found.bias) <= 20

from __future__ import annotations

import pytest

from calibration_tuning.config.model import ModelSettings
from calibration_tuning.errors import UserError
from calibration_tuning.lm.answer_mass import mass_warning


def test_little_mass_is_warned_of_and_next_to_none_refused() -> None:
    model = ModelSettings(path="org/model")
    assert mass_warning([0.0, 0.2], model) is None
    assert mass_warning([0.0, 0.02], model).startswith(
        "model.path: the untuned org/model gives the uncertainty query's two answers, i and ii, a probability of 0.01 "
        "together (mean of 2 answers); probably"
    )
    with pytest.raises(UserError, match=r"0\.0004 together .*accept it with model.minimal_answer_mass=0$"):
        mass_warning([0.0008, 0.0], model)


@pytest.mark.parametrize(("minimal", "refused"), [(0.0, False), (0.0003, False), (0.0005, True)])
def test_the_least_mass_is_a_setting(minimal: float, refused: bool) -> None:
    model = ModelSettings(path="org/model", minimal_answer_mass=minimal)
    if refused:
        with pytest.raises(UserError):
            mass_warning([0.0004], model)
    else:
        assert (mass_warning([0.0004], model) is None) == (minimal == 0)

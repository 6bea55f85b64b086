"""Units of two quantities: 5 m is not 5 cm, and 5 cents are not $5. A unit that is left out is no other unit."""

from __future__ import annotations

import re

from calibration_tuning.grading.number_digits import rewritten

_NAMES = """mm millimeter millimetre|cm centimeter centimetre|m meter metre|km kilometer kilometre|in inch inche
|ft foot feet|yd yard|mi mile|mg milligram|g gram|kg kilogram|oz ounce|lb pound|ml milliliter millilitre|l liter litre
|s sec second|min minute|h hr hour|day|week|month|yr year|cent ¢|$ dollar usd|€ euro eur"""
_UNITS = {name: number for number, names in enumerate(_NAMES.split("|")) for name in names.split()}
_QUANTITY = re.compile(r"(?P<before>[$€]?) ?[\d.,]*\d ?(?P<after>[$€¢]|[A-Za-z]*)[.]?")


def _unit(text: str) -> int | None:
    """The place of a quantity's unit in the table; None for what is not a number with a unit of the table."""
    quantity = _QUANTITY.fullmatch(rewritten(text.replace("\\$", "USD ").replace("~", " ")).replace("USD ", "$"))
    if quantity is None:
        return None
    name = (quantity["after"] or quantity["before"]).lower()
    return _UNITS.get(name, _UNITS.get(name.removesuffix("s")))


def other_units(reference: str, proposed: str) -> bool:
    """True if both are quantities, in different units."""
    units = [_unit(reference), _unit(proposed)]
    return None not in units and units[0] != units[1]

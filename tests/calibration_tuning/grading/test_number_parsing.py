from fractions import Fraction

import pytest

from calibration_tuning.grading.number_parsing import plain_number, read_number

READ = {
    # separators of either convention
    "1,234": 1234, "1,234.5": 1234.5, "1.234,5": 1234.5, "1.234.567": 1234567, "12,34,567": 1234567, "1'234": 1234,
    "1 234 567": 1234567, "1\u202f234": 1234, "1_000": 1000, "1,5": 1.5, "1,50": 1.5, "0,001": 0.001, "3,14": 3.14,
    "1.234": 1.234, "100,200": 100200, "1,2": 1.2, "-1,5": -1.5, "5’000": 5000,
    # signs
    "-5": -5, "–5": -5, "−5": -5, "minus 5": -5, "negative 5": -5, "-$5": -5, "$-5": -5, "x = -5": -5, "-5 °C": -5,
    # fractions, powers, exponents
    "3/4": 0.75, "-3/4": -0.75, "1 3/4": 1.75, "5½": 5.5, "½": 0.5, "1⁄2": 0.5, r"$\frac{3}{4}$": 0.75, "5²": 25,
    "10^3": 1000, "10³": 1000, "2**10": 1024, "5 × 10^3": 5000, "5x10^-3": 0.005,
    r"5 \times 10^{3}": 5000, "5 · 10²": 500,
    "1e5": 100000, "1.5e3": 1500, "1e-3": 0.001, "two and a half": 2.5, "5 and a half": 5.5,
    # scale words and words
    "5 million": 5e6, "$1.5 billion": 1.5e9, "5k": 5000, "$5M": 5e6, "2 dozen": 24,
    "5 hundred": 500, "2.5 thousand": 2500,
    "twelve": 12, "twenty-one": 21, "three million": 3e6, "a hundred": 100,
    "one hundred and five": 105, "minus five": -5, "a million": 10**6, "one million, two hundred thousand": 1.2e6,
    "nineteen eighty-four": 1984, "twenty twenty-four": 2024, "nineteen hundred": 1900, "three point one four": 3.14,
    "half": 0.5, "a quarter": 0.25, "three quarters": 0.75, "five-eighths": 0.625, "5 tenths": 0.5,
    "two and three quarters": 2.75, "minus two and a half": -2.5, "half of 5": 2.5, "twice 5": 10,
    "half a dozen": 6, "half a million": 5e5, "a quarter of a million": 250000, "three quarters of a million": 750000,
    "5 lakh": 500000, "5 crore": 5e7, "5 Mrd.": 5e9, "5 hundred thousand": 500000, r"5 \text{ million}": 5e6,
    "$5m": 5e6, "1.5bn": 1.5e9, r"\frac72": 3.5, r"3 \frac12": 3.5,
    # units, signs and words around it
    "5 km": 5, "5 km/h": 5, "5 m²": 5, "$5": 5, "5 USD": 5, "5%": 5, "5 °C": 5, "5-year-old": 5,
    "5th": 5, "#5": 5, "(5)": 5, "5m": 5, "5 m/s": 5, "5 ft": 5, "5 times": 5, "5 years old": 5, "5 days a week": 5,
    "5 quarters": 5, "5 books at $3 each": 5, r"5\,\mathrm{kg}": 5, r"\textbf{5}": 5, "5 or so": 5,
    "5, one of them red": 5, "5 (not 6)": 5, "not 6 but 5": 5, "five apples": 5,
    "**5**": 5, "５": 5, "5.": 5, "5!": 5, ".5": 0.5, "about 10": 10, "~5": 5, "5 (five)": 5, "5 apples and 3 pears": 5,
    # labels, and commas behind thousands
    "Total: 5": 5, "**Total:** 5": 5, "The result is: 5": 5, "Speed: 5 km/h": 5, '{"result": 5}': 5, "Total: -5": -5,
    "Total: $5": 5, "Population: 5 million": 5e6, "结果：5": 5, "1,000, of course": 1000,
    "1,234,567, not less": 1234567,
    # conclusions
    "The answer is 5. No, the answer is 6.": 6, "Answer: 5. Correction: Answer: 7": 7,
    "The answer is 1,000, not 9.": 1000,
    "The answer is x + 2, where x = 5. So the answer is 7.": 7,
    "5 + 91 = 96": 96, "3 × 4 = 12": 12, "The answer is 5. Not 9.": 5, r"\boxed{4}, no, \boxed{1,000}": 1000,
    "He has 3. #### 72": 72, "5, because 3 + 2 = 5": 5, "Apples: 5\nPears: 3\nTotal: 8": 8,
    # the same number twice
    "0.25 or 1/4": 0.25, "1/4 (or 0.25)": 0.25, "5 = 5": 5,
    # beside other scripts, and their scale words
    "所以答案是72。": 72, "共有72个。": 72, "答えは72です。": 72, "答え：72": 72, "정답은 72입니다.": 72,
    "Всего 72 штуки": 72,
    "5万": 50000, "5万円": 50000, "5 亿": 5e8, "5千": 5000, "5 тысяч": 5000, "5 млн": 5e6, "5 миллиардов": 5e9,
    "5만 명": 50000,
    "5 Millionen": 5e6, "5 millones": 5e6, "5 millions d'euros": 5e6, "5 milhões": 5e6, "5 miljoen": 5e6,
    "5 milyon": 5e6,
    "5 Milliarden": 5e9, "5 milliards": 5e9, "5 mille": 5000, "5 Tausend": 5000, "5 लाख": 500000, "5 k": 5000,
    "5 millimeters": 5, "5 miles": 5, "5 militants": 5, "5 bins": 5, "5 à la carte": 5, "5 a day": 5,
    # metric units, arrows, boxes and styles
    "5 m": 5, "5 kg": 5, "5 km (3 miles)": 5, "5 m2": 5, "5 cm3": 5, "→ 5": 5, "=> 5": 5,
    r"\boxed{\text{\textbf{5}}}": 5,
    r"\fbox{5}": 5, r"\boxed{5\text{ km}}": 5,
}  # fmt: skip
REFUSED = [
    "", "no idea", "1,2,3", "1, 2, 3", "3 and 12", "9 or 10", "two or three", "one, two",
    "10-15", "10–15", "10—15",
    "10 - 15", "10 to 15", "between 10 and 15", "from 10 to 15", "10 ± 2", "10+", ">10", "at least 10", "more than 10",
    "fewer than three", "10:30", "3:1", "2020-01-05", "1/2/2020", "3.5.2", "1990s", "B12", "H2O",
    "0x1F", "1e9999", "3 x 4",
    "20 x 30 cm", "3 in 4", "3 out of 4", "15 plus or minus 2", "not 5", "5/0",
    # roots, functions and powers
    r"\sqrt{5}", "√5", r"\sqrt[3]{5}", r"\log 5", "ln(5)", "the square root of 5", r"\frac{5}{x}",
    r"\frac{\sqrt{5}}{2}",
    r"\binom{5}{2}", "5 squared", "five cubed", "5 to the power of 2", "5_8", "a_{5}",
    # factors, variables and operations
    "5π", r"5\pi", "5√3", "5x", "5xy", "5i", "5x + 3", "5a + 3", "5 - x", "x - 5", "x + 5", "5(x+1)", "5 minus 2",
    "ten minus 5", "five plus two", "5 times 3", "5 divided by 2", "5 ÷ 2", r"5 \div 2", "5 less than 8", "20% of 5",
    # bounds and relations
    "5 or more", "5 people or fewer", "5 and above", "5 at most", "5 plus", "over five", "under five",
    "more than about 5",
    "greater than or equal to 5", "a maximum of 5", r"x \ge 5", r"x \leq 5", r"x \neq 5", "5 < x", r"\pm 5", r"5 \pm 1",
    # several
    "5 & 7", "5 | 7", "5..7", "5 till 7", "5 7", "5\n7", "5 or six", "five or 6", "5 km to 7 km", "five, six",
    "two eggs, three pans", "Apples: 5, pears: 3", "Apples: 5\nPears: 3", '{"a": 5, "b": 7}',
    "Steps: 1. Add 5. 2. Divide.", "Step 5: divide",
    # quantities of two units, dates, times and odds
    "5 hours 30 minutes", "5 hours and 30 minutes", "5 feet 6 inches", "5'6\"", "5 dollars and 30 cents", "5 May 2020",
    "half past five", "one in five", "one out of five", "five to one",
    "5 m 30 cm", "5 kg 200 g", "5 km 300 m", "5 kilograms and 200 grams", "5 metres, 30 centimetres", "5年3个月",
    "72 remainder 1", "5 R 1", "5, remainder 1", "5 with a remainder of 1", "July 20, 1969", "July 20 and 21",
    # ranges, bounds and denials in other languages
    "5 bis 7", "5 oder 6", "5 ou 6", "5 o 6", "5 до 7", "5至7", "5到7岁", "5〜7", "5或6", "entre 5 y 7",
    "zwischen 5 und 7",
    "de 5 à 7", "5에서 7", "5 thru 7", "au moins 5", "mindestens 5", "al menos 5", "más de 5", "plus de 5",
    "mehr als 5",
    "не менее 5", "至少5", "超过5", "不到5", "5以上", "5多", "nicht 5", "pas 5", "不是5", "не 5", "3万5千",
    "5 billones",
    "5 Billionen", "5 mil", "5‰", "5 percent of 20", "5 to the 3rd", "≤ 5", "≥ 5",
    # denials and alternatives
    "5 (or 6)", "0.25 or 0.5", "5 but could be 6", "It never was 5", "It can't be 5", "neither 5", "5 → 6", "~~5~~",
    # several without a conclusion
    "Apollo 11 landed in 1969.", "A day has 24 hours. A week has 168 hours.", "5\n6\n11", "x = 5, y = 6",
    # words that may mean another number
    "five quarters", "twenty-fifth", "a few hundred", "an hour and a half", "two point twenty-five", "two three",
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), READ.items())
def test_a_number_is_read_as_a_reader_takes_it(text: str, value: float) -> None:
    assert read_number(text) == Fraction(str(value))


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_one_number_is_none(text: str) -> None:
    assert read_number(text) is None


def test_a_third_is_exact() -> None:
    assert read_number("1/3") == Fraction(1, 3)


def test_a_number_longer_than_python_reads_at_once() -> None:
    assert read_number("9" * 5000) == 10**5000 - 1


@pytest.mark.parametrize(("text", "value"), [("$5", 5), ("5%", 5), ("1,5", 1.5), ("1,000", 1000), ("-2.50 €", -2.5)])
def test_a_reference_is_a_number_with_a_sign(text: str, value: float) -> None:
    assert plain_number(text) == Fraction(str(value))


@pytest.mark.parametrize("text", ["3/4", "5 km", "5 million", "ten", "10-15", "", "5 or 6", "x = 5"])
def test_a_reference_that_is_more_than_a_number(text: str) -> None:
    assert plain_number(text) is None

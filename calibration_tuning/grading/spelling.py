"""Is a text the same as another except for its spelling? Slips of the pen and British forms, never another word."""

from __future__ import annotations

import re

from rapidfuzz.distance import OSA

_DOUBLED = re.compile(r"(.)\1")
_LETTERS = re.compile(r"[a-z]+")
_SHORTEST_DOUBLED, _SHORTEST_SWAPPED, _SHORTEST_SLIP = 6, 7, 8
"""Letters of the shortest words in which a doubled letter, two letters changed round, and another slip are forgiven: in
shorter ones they make other words (later, latter; trail, trial; four, for)."""
_BRITISH = [(re.compile(pattern), american) for pattern, american in (
    (r"ae|oe", "e"), (r"ph", "f"), (r"(?<=\w{3})our", "or"), (r"(?<=\w{2})tre(?=s?$)", "ter"),
    (r"ys(?=e|ing|er)", "yz"),
    (r"is(?=(?:e|ed|es|er|ers|ing|ation"
    r"|ations)$)", "iz"), (r"(?<=\w{3}[aeiou])ll(?=ed$|ing$|er$)", "l"), (r"gement$", "gment"),
    (r"(?<=\w{3})ogue$", "og"), (r"mme$", "m"), (r"(?:^|(?<=r))rh", "r"), (r"aluminium", "aluminum"), (r"^grey",
    "gray"), (r"(?<=[a-z])ence$", "ense"),
)]  # fmt: skip
_DIFFERENT = [tuple(pair.split()) for pair in [
    "desert dessert", "prostate prostrate", "mortality morality", "immortality immorality", "infection inflection",
    "martial marital", "cavalry calvary", "discreet discrete", "conservation conversation", "complement compliment",
    "perineal peroneal", "lighting lightning", "adverse averse", "interment internment", "diffuse defuse",
    "gradation graduation", "lightning lightening", "lighting lightening", "callous callus", "casual causal",
    "planing planning", "planed planned", "staring starring", "stared starred", "barring baring", "hoping hopping",
    "filing filling", "mating matting", "dining dinning", "diner dinner", "wining winning", "tapping taping",
    "waging wagging", "waring warring", "scared scarred", "striped stripped", "moping mopping", "finish finnish",
    "princes princess", "discus discuss", "canons cannons", "liter litter", "copper cooper", "cameron cameroon",
    "carton cartoon", "rooster roster", "rooting rotting", "wedding weeding", "popping pooping", "grooves groves",
    "filled filed", "alteration alternation", "alteration altercation", "contacts contracts", "contacted contracted",
    "contacting contracting", "competes completes", "competed completed", "competing completing", "deceas decreas",
    "counti countri", "countess countless", "addict addit", "deleti depleti", "deflect defect",
    "continent contingent", "insulated insulted", "insulating insulting", "salvat salivat", "asserted assorted",
    "steam stream", "heritage hermitage", "overeat overheat", "remainder reminder", "depreciat deprecat",
    "ordinance ordnance", "mediat meditat", "mediat medicat", "predict predicat", "creation cremation",
    "derivation deprivation", "ethnolog etholog", "crackling cracking", "starting startling", "impalement implement",
    "defeat defecat", "aristocrat aristocat", "cleaning cleansing", "collision collusion", "dilat dilut",
    "ablat ablut", "inhibit inhabit", "convection conviction", "insulat insolat", "concession concussion",
    "exercis exorcis", "inflict inflect", "infliction inflection", "imminent immanent", "colombia columbia",
    "confirm conform", "confirmation conformation", "computing competing", "shoot shout", "stranger stronger",
    "deport depart", "decoding deciding", "signing singing", "christian christina",
    "georgian georgina", "martian martina", "closest closets", "perfect prefect", "perform preform", "patron parton",
    "carter crater", "carving craving", "farming framing", "barking braking", "treaties treatise", "refugee refuge",
    "retiree retire", "examinee examine", "divorcee divorce", "licensee license", "invitee invite", "escapee escape",
    "devotee devote", "fiancee fiance", "desiree desire"
]]  # fmt: skip
"""Words a slip apart, or their beginnings, that are both right."""
_SYSTEMATIC = [(re.compile(pattern), other) for pattern, other in (
    (r"[ay]n(?=oi|ol|oy|one|oat|edi|ami)", "en"), (r"(sulf|sulph|phosph|ars)on", r"\1in"), (r"cysteine", "cystine"),
)]  # fmt: skip
"""What tells substances apart: butanone and butenone, sulfonate and sulfinate."""


def same_but_for_spelling(reference: str, answer: str) -> bool:
    """True if two normalised texts have the same words in the same order, each within a slip of its counterpart.

    Words that are joined or parted are the same (foot ball). A word with a digit, or of fewer than six letters, must
    be equal, so that no number, negation, numeral or unit is forgiven.
    """
    wanted, proposed = reference.split(), answer.split()
    if len(wanted) != len(proposed):
        are_words = all(len(word) > 1 and _LETTERS.fullmatch(word) for word in (*wanted, *proposed))
        return are_words and "".join(wanted) == "".join(proposed)
    return all(map(_same_word, wanted, proposed))


def _same_word(wanted: str, proposed: str) -> bool:
    if wanted == proposed:
        return True
    if not (_LETTERS.fullmatch(wanted) and _LETTERS.fullmatch(proposed)) or _are_two_words(wanted, proposed):
        return False
    if min(len(wanted), len(proposed)) >= 5 and american(wanted) == american(proposed):
        return True
    if {wanted, proposed} == {"grey", "gray"}:  # too short for the rule above
        return True
    if min(len(wanted), len(proposed)) >= _SHORTEST_DOUBLED and _DOUBLED.sub(r"\1", wanted) == _DOUBLED.sub(
        r"\1", proposed
    ):
        return True
    return (
        wanted[0] == proposed[0] and OSA.distance(wanted, proposed, score_cutoff=1) == 1 and _is_slip(wanted, proposed)
    )


def _are_two_words(wanted: str, proposed: str) -> bool:
    for first, second in _DIFFERENT:
        for a, b in ((first, second), (second, first)):
            if wanted.startswith(a) and proposed.startswith(b) and wanted[len(a) :] == proposed[len(b) :]:
                return True
    return any(pattern.sub(other, wanted) == pattern.sub(other, proposed) for pattern, other in _SYSTEMATIC)


def _is_slip(wanted: str, proposed: str) -> bool:
    shorter, longer = sorted((wanted, proposed), key=len)
    start = next((i for i, (a, b) in enumerate(zip(shorter, longer, strict=False)) if a != b), len(shorter))
    if len(shorter) == len(longer):
        changed = {shorter[start], longer[start]}
        if shorter[start + 1 :] != longer[start + 1 :]:
            return len(shorter) >= _SHORTEST_SWAPPED  # two letters changed round
        if changed == {"i", "y"}:
            return start > 0 and len(shorter) >= _SHORTEST_DOUBLED
        # A vowel for another, where it is not heard: not in the ending, which makes nitrite of nitrate.
        return len(shorter) >= _SHORTEST_SLIP and changed <= set("aeiouy") and 3 <= start < len(shorter) - 4
    return len(longer) > _SHORTEST_SLIP and (2 <= start < len(longer) - 3 or longer == f"{shorter}e")


def american(word: str) -> str:
    """A British spelling as Americans write it; the word need not exist."""
    for british, spelling in _BRITISH:
        word = british.sub(spelling, word)
    return word

"""Names of codes: what ICD-10-CM calls them, and what charts of the train side call them."""

import simple_icd_10_cm

import charts


def described() -> dict[str, list[str]]:
    """Return the codes that charts may mean, and their siblings, each with its names.

    A code's description comes first, then what ICD-10-CM lists as included in it.
    """
    families = {condition.code[:3] for condition in charts.CONDITIONS}
    return {
        code: [
            simple_icd_10_cm.get_description(code),
            *simple_icd_10_cm.get_inclusion_term(code),
        ]
        for code in leaves()
        if code[:3] in families
    }


def leaves() -> list[str]:
    """Return every code that can be billed."""
    return [
        code
        for code in simple_icd_10_cm.get_all_codes(with_dots=True)
        if simple_icd_10_cm.is_leaf(code)
    ]


def phrases() -> dict[str, list[str]]:
    """Return what charts of the train side call each code."""
    return {condition.code: list(condition.phrases) for condition in charts.CONDITIONS}

"""Synthetic medical charts as an OCR engine would give them, with their ground truth beside.

No real patients: every name, address, number, date and finding is drawn from a seeded
generator. Nothing here is medical or coding advice.
"""

from turning import turned

from charts.chart import make
from charts.lexicon import CONDITIONS, DRUGS

__all__ = ["CONDITIONS", "DRUGS", "make", "turned"]

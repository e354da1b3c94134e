"""Where cases come from: an npz file, a CSV beside images, or the embedded phantom."""

from client.cases.cases import Cases, CasesError, Split
from client.cases.open import open_cases

__all__ = ["Cases", "CasesError", "Split", "open_cases"]

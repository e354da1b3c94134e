"""Which DICOM objects are cases, and what may be told about them in closed words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STACKS = frozenset({"CT", "MR", "PT", "NM"})
"""Modalities whose series is one case; of all others every image is a case of its own."""

ALLOWANCES: Mapping[str, str] = {
    "secondary": "secondary capture",
    "burned-in": "marked as having text burned into its pixels",
    "unmarked": "of a kind that often shows names, and not marked as free of burned-in text",
    "no-patient": "no patient ID; its study would count as a patient of its own",
}
"""What is skipped unless the admin allows it, by the word for it, and why."""

_NO_PICTURES = frozenset(
    {
        "SEG", "RTDOSE", "RTSTRUCT", "RTPLAN", "RTRECORD", "SR", "PR", "KO", "REG", "DOC", "ECG",
        "HD", "EPS", "AU", "RWV", "FID", "PLAN", "M3D",
    }
)  # fmt: skip
_OFTEN_BURNED = frozenset(
    {
        "US", "IVUS", "XA", "RF", "ES", "XC", "OT", "GM", "DG",
    }
)  # fmt: skip
_SECONDARY = "1.2.840.10008.5.1.4.1.1.7"
_BODY = frozenset(
    {
        "HEAD", "BRAIN", "SKULL", "NECK", "CHEST", "THORAX", "LUNG", "HEART", "BREAST",
        "ABDOMEN", "LIVER", "KIDNEY", "PANCREAS", "PELVIS", "PROSTATE", "UTERUS", "BLADDER",
        "SPINE", "CSPINE", "TSPINE", "LSPINE", "SHOULDER", "ARM", "ELBOW", "HAND", "WRIST",
        "HIP", "LEG", "KNEE", "ANKLE", "FOOT", "EXTREMITY", "EYE", "WHOLEBODY",
    }
)  # fmt: skip
_MAKERS = {
    "GE": "GE",
    "G.E.": "GE",
    "SIEMENS": "Siemens",
    "PHILIPS": "Philips",
    "TOSHIBA": "Canon",
    "CANON": "Canon",
    "FUJI": "Fujifilm",
    "HITACHI": "Fujifilm",
    "AGFA": "Agfa",
    "CARESTREAM": "Carestream",
    "KODAK": "Carestream",
    "HOLOGIC": "Hologic",
    "SAMSUNG": "Samsung",
    "KONICA": "Konica Minolta",
    "UIH": "United Imaging",
    "MINDRAY": "Mindray",
    "ESAOTE": "Esaote",
}


def refusal(header: Mapping[str, Any], allowed: frozenset[str]) -> str:
    """Why an object is no case, "" if it is one."""
    if trouble := header.get("trouble"):
        return str(trouble)
    if not header["Rows"] or not header["Columns"] or header["Modality"] in _NO_PICTURES:
        return "no image for a reader (reports, structures, dose, segmentations)"
    if not all(header[n] for n in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")):
        return "no study, series or instance UID"
    for word in _withheld(header):
        if word not in allowed:
            return f"{ALLOWANCES[word]} (--allow {word} takes it)"
    return ""


def _withheld(header: Mapping[str, Any]) -> list[str]:
    """The allowances that an object needs."""
    needs = []
    secondary = header["SOPClassUID"].startswith(_SECONDARY)
    marked = header["BurnedInAnnotation"].upper()
    if secondary:
        needs.append("secondary")
    if marked == "YES":
        needs.append("burned-in")
    if marked != "NO" and marked != "YES" and (secondary or header["Modality"] in _OFTEN_BURNED):
        needs.append("unmarked")
    if not header["PatientID"]:
        needs.append("no-patient")
    return needs


def case_name(header: Mapping[str, Any]) -> str:
    """The source's name of the case that an object belongs to."""
    parts = [header["StudyInstanceUID"], header["SeriesInstanceUID"]]
    if header["Modality"] not in STACKS:
        parts.append(header["SOPInstanceUID"])
    return "|".join(parts)


def patient_of(header: Mapping[str, Any]) -> str:
    """The patient as an admin would type it; the study where no patient is named."""
    return str(header["PatientID"] or f"study {header['StudyInstanceUID']}")


def facts(header: Mapping[str, Any]) -> dict[str, str]:
    """Modality, sex, age band, month, body part and maker, each in closed words only.

    Free text stays out: people write names into any field of it.
    """
    told = {
        "modality": header["Modality"] if header["Modality"].isalpha() else "",
        "sex": header["PatientSex"] if header["PatientSex"] in ("M", "F", "O") else "",
        "age": _age_band(header["PatientAge"]),
        "month": _month(header["StudyDate"]),
        "body": _one_of(header["BodyPartExamined"].upper().replace(" ", "")),
        "maker": next(
            (maker for word, maker in _MAKERS.items() if word in header["Manufacturer"].upper()), ""
        ),
    }
    return {name: value for name, value in told.items() if value and len(value) <= 16}


def _age_band(age: str) -> str:
    number, unit = age[:-1], age[-1:]
    if not number.isdecimal() or unit not in "YMWD" or not unit:
        return ""
    years = int(number) // {"Y": 1, "M": 12, "W": 52, "D": 365}[unit]
    return "90+" if years >= 90 else f"{years // 10 * 10}-{years // 10 * 10 + 9}"


def _month(date: str) -> str:
    return f"{date[:4]}-{date[4:6]}" if len(date) == 8 and date.isdecimal() else ""


def _one_of(body: str) -> str:
    return body.lower() if body in _BODY else ""

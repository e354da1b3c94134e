"""Cases from an archive (PACS) that speaks DICOMweb: study by study, new and changed ones only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from client.sources.decoder import Decoder
from client.sources.dicom_folder import Header, grouped
from client.sources.dicom_rules import case_name, refusal
from client.sources.reach import Reach
from client.sources.source import (
    OF_THE_PLACE,
    Find,
    Looked,
    Passed,
    PixelTrouble,
    SourceError,
)

_PAGE = 100
_SILENT = "the archive does not answer as DICOMweb, or broke off; the same import again goes on"
_WORDS = {
    "refused": "the archive refuses the login that keys/dicomweb.json has for it, or asks for one",
    "untrusted": "the archive's certificate is not trusted here: signed by an unknown authority, "
    "for another name, or expired; accepted is an authority named in keys/dicomweb.json",
}
UNCHANGED = "studies that are as they were at the last import"
KEPT = "studies that the archive names and does not hand out"
BROKEN = "studies whose headers cannot be read"


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive by its DICOMweb address.

    Attributes:
        url: of its DICOMweb root.
        reach: knows the login.
        decoder: asks the archive; what it answers is parsed there.
        allowed: words of `dicom_rules.ALLOWANCES`.
        seen: is told how many studies were looked at.
        looked: what a study looked like when it was last taken whole.
    """

    url: str
    reach: Reach
    decoder: Decoder
    allowed: frozenset[str]
    seen: Callable[[int], None]
    looked: Callable[[str], str]

    def finds(self) -> Iterator[Find | Passed | Looked]:
        """The cases of every study that has changed, study by study.

        Raises:
            SourceError: the archive does not answer, or refuses the login.
        """
        server = self.reach.server(self.url)
        for number, study in enumerate(self._studies(server), start=1):
            part, mark = f"{self.url}|{study['uid']}", study["count"]
            if mark and self.looked(part) == mark:
                yield Passed(UNCHANGED)
            else:
                yield from self._study(server, study["uid"], Looked(part, mark))
            self.seen(number)

    def _studies(self, server: dict[str, Any]) -> Iterator[dict[str, str]]:
        """Every study once, though pages may shift while the archive grows."""
        offset, met = 0, set[str]()
        while True:
            request = {"op": "studies", "server": server, "offset": offset, "limit": _PAGE}
            page = self._asked(request)["studies"]
            yield from (s for s in page if s["uid"] and s["uid"] not in met)
            before = len(met)
            met |= {s["uid"] for s in page}
            offset += len(page)
            if len(page) < _PAGE or len(met) == before:
                return

    def _study(
        self, server: dict[str, Any], uid: str, whole: Looked
    ) -> Iterator[Find | Passed | Looked]:
        """A study's cases, then `whole`; what is wrong with one study does not end the import."""
        try:
            headers = self._told({"op": "objects", "server": server, "study": uid})["headers"]
        except PixelTrouble as trouble:
            yield Passed(KEPT if str(trouble) == "missing" else BROKEN)
            return
        cases: dict[str, list[tuple[str, Header]]] = defaultdict(list)
        for header in headers:
            if reason := refusal(header, self.allowed):
                yield Passed(reason)
            else:
                cases[case_name(header)].append((header["SOPInstanceUID"], header))
        for name in sorted(cases):
            series = cases[name][0][1]["SeriesInstanceUID"]
            place = {"kind": "dicomweb", "root": self.url, "study": uid, "series": series}
            yield from grouped(name, cases[name], place)
        yield whole

    def _asked(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._told(request)
        except PixelTrouble:
            raise SourceError(_SILENT) from None

    def _told(self, request: dict[str, Any]) -> dict[str, Any]:
        """The archive's answer.

        Raises:
            PixelTrouble: it is of this request alone.
            SourceError: it is of the archive.
        """
        try:
            return self.decoder.ask(request, files=60)[0]
        except PixelTrouble as trouble:
            if str(trouble) not in {*OF_THE_PLACE, "too slow"}:
                raise
            raise SourceError(_WORDS.get(str(trouble), _SILENT)) from None

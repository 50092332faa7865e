"""The rules by which claims are judged, as data: one dated file, whose digest and contents a run's manifest keeps."""

from __future__ import annotations

import datetime
import functools
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

from pydantic import AfterValidator, Field, PrivateAttr, ValidationError, model_validator

from helpers.core import files
from helpers.core.errors import Damaged, UsageError, shown
from helpers.images.protocols import PROTOCOLS
from helpers.study.strict import Models, Share, Strict, explain, one_of

__all__ = ["FILE", "METHOD", "Rule", "Rules", "load", "of_manifest", "shipped"]

#: The shipped rules, beside the shipped studies.
FILE = "rules.toml"

#: What the program does, whatever a file says: level of intervals, what those of verdicts are drawn over, resamples of
#: a bootstrap, least images of a figure, and the corrections within a claim and across conditions.
METHOD: Mapping[str, float | int | str] = {
    "confidence": 0.95, "interval": "in all", "resamples": 2000, "least_images": 20, "within": "Bonferroni",
    "across": "none",
}  # fmt: skip

VERDICTS = ("supported", "contradicted", "inconclusive")

T = TypeVar("T")


class Dated(Strict, Generic[T]):
    """A rule's value and the day on which it was fixed; None of what an old manifest states and nobody has dated."""

    value: T
    fixed: datetime.date | None


def _done(name: str) -> AfterValidator:
    """A value that must be what the program does."""

    def check(given: object) -> object:
        if given != METHOD[name]:
            raise ValueError(f"{name}: {shown(str(given))} is not what this version does; write {METHOD[name]}")
        return given

    return AfterValidator(check)


Deviations = Annotated[float, Field(gt=0, le=5)]
Bits = Annotated[int, Field(ge=1, le=32)]


class Margins(Strict):
    """Thresholds that turn the words of the deck's claims into numbers.

    "Accuracy" is the deck's: the share of fakes called fake at logit 0.
    """

    high: Dated[Share] = Field(description="C2, C9: detection rate from which a generator is highly detectable")
    challenging: Dated[Share] = Field(description="C3, C10: detection rate under which a generator is challenging")
    drop: Dated[Share] = Field(
        description="C4, C9, C11: detection rate lost to FP4 that is a drop; C10: deficit that counts"
    )
    anomaly_before: Dated[Share] = Field(description="C4: least detection rate on SD3 at FP32, before the anomaly")
    anomaly_after: Dated[Share] = Field(description="C4: most detection rate on SD3 at FP4, after the anomaly")
    robust: Dated[Share] = Field(description="C5: detection rate on SD3 at FP4 above which R50_TF is unharmed")
    smoothing: Dated[Share] = Field(description="C6: share of high-frequency energy lost that is smoothing")
    explained: Dated[Share] = Field(description="C6: share of FP4's shift its spectrum must account for to explain it")
    shift: Dated[Deviations] = Field(description="C7: shift to the left, in SDs of FP32, that counts")
    overlap: Dated[Deviations] = Field(description="C8: shift, in SDs of FP32, that is still an overlap")
    memory: Dated[Share] = Field(description="C1: most of FP32's memory that is a drastic saving")
    time: Dated[Share] = Field(description="C1: most of FP32's time per image that is a drastic saving")
    adequate: Dated[Share] = Field(description="C2 to C11: AUC at FP32, somewhere, from which a detector counts")
    ceiling: Dated[Share] = Field(description="C4 to C11: AUC at FP32 from which a detector has no room for a fall")


class Judging(Strict):
    """What is decided beside the claims' own margins."""

    roomy: Dated[list[Annotated[str, one_of(PROTOCOLS)]]] = Field(
        description="protocols that may decide a claim of a fall, in this order, where more detectors have room there"
    )
    false_alarms: Dated[Share] = Field(description="share of reals that pass the other threshold")
    decoder: Dated[Share] = Field(description="share of detection from which it is owed to the decoder")
    reach: Dated[Annotated[float, Field(gt=0, le=100)]] = Field(
        description="PSNR, in dB, within which a rung stands for a dose"
    )
    doses: Dated[list[Bits]] = Field(description="bits of the real images whose doses are matched")
    decided: Dated[list[Annotated[str, one_of(VERDICTS)]]] = Field(
        description="verdicts that a confirmation confirms where it comes to the same"
    )


class Method(Strict):
    """What the program does: the values of `METHOD` and no others."""

    confidence: Dated[Annotated[float, _done("confidence")]] = Field(description="confidence of each interval")
    interval: Dated[Annotated[str, _done("interval")]] = Field(description="what verdicts' intervals are drawn over")
    resamples: Dated[Annotated[int, _done("resamples")]] = Field(description="resamples of a bootstrap")
    least_images: Dated[Annotated[int, _done("least_images")]] = Field(
        description="images behind each number that decides a claim"
    )
    within: Dated[Annotated[str, _done("within")]] = Field(
        description="correction for the numbers of one claim, where one of them may contradict it"
    )
    across: Dated[Annotated[str, _done("across")]] = Field(
        description="correction for the conditions under which a claim is judged again"
    )


class Rule(NamedTuple):
    """One rule: its table and name in the file, what it is, its value, and when it was fixed (None: not known)."""

    table: str
    name: str
    what: str
    value: Any
    fixed: datetime.date | None


class Rules(Strict):
    """A whole file of rules: `fixed` is the day since when it is as it is, `first_archive` that on which the first
    archive was scored; `claims` says when it was fixed what counts for a claim, by the claim's key.
    """

    fixed: datetime.date
    first_archive: datetime.date
    margins: Margins
    judging: Judging
    method: Method
    claims: dict[str, datetime.date] = {}

    _digest: str = PrivateAttr(default="")

    @model_validator(mode="after")
    def _none_is_later(self) -> Rules:
        for rule in self.each():
            if rule.fixed is not None and rule.fixed > self.fixed:
                raise ValueError(f"{rule.table}.{rule.name}: fixed on {rule.fixed}, after the file's own {self.fixed}")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the file; "" of rules that no manifest has recorded."""
        return self._digest

    def limits(self) -> dict[str, float]:
        """Every margin by name."""
        return {name: getattr(self.margins, name).value for name in Margins.model_fields}

    def each(self) -> Iterator[Rule]:
        """Every rule, table by table; of `claims` what counts for each, without a value."""
        tables: tuple[tuple[str, Strict], ...] = (
            ("margins", self.margins), ("judging", self.judging), ("method", self.method),
        )  # fmt: skip
        for table, held in tables:
            for name, field in type(held).model_fields.items():
                rule = getattr(held, name)
                yield Rule(table, name, field.description or "", rule.value, rule.fixed)
        for key, day in self.claims.items():
            yield Rule("claims", key, "", None, day)

    def record(self) -> dict[str, Any]:
        """What a manifest keeps of them: the digest and all they say."""
        return {"digest": self.digest, **self.model_dump(mode="json")}


MODELS: Models = {(): Rules, ("margins",): Margins, ("judging",): Judging, ("method",): Method}


def load(path: str | os.PathLike[str]) -> Rules:
    """Read and check a file of rules. Raises UsageError."""
    data = files.read_toml(Path(path), "a TOML file of rules")
    try:
        loaded = Rules.model_validate(data)
    except ValidationError as error:
        raise UsageError(f"{path}: {explain(error, MODELS)}") from None
    loaded._digest = files.file_sha256(Path(path))
    return loaded


@functools.cache
def shipped() -> Rules:
    """The rules that come with this package, of a study that names no others."""
    return load(files.STUDIES / FILE)


def of_manifest(manifest: Mapping[str, Any], where: str = "the manifest") -> Rules:
    """The rules of a run by its manifest: those recorded there; what it does not record is as shipped.

    Margins of a manifest that is older than files of rules, which its study stated, are taken as they are; one that
    differs from the shipped has no date. What the program does (`Method`) is always today's. Raises Damaged where what
    is recorded are no rules; `where` names the manifest then.
    """
    own, recorded = shipped().model_dump(mode="json"), manifest.get("rules") or {}
    stated = (manifest.get("study") or {}).get("margins") or {}
    if not recorded:
        changed = {name: value for name, value in stated.items() if own["margins"].get(name, {}).get("value") != value}
        recorded = {"margins": {n: {"value": v, "fixed": None} for n, v in changed.items() if n in own["margins"]}}
    told = own | {name: value for name, value in recorded.items() if name in ("fixed", "first_archive", "claims")}
    for table in ("margins", "judging"):
        told[table] = own[table] | {k: v for k, v in (recorded.get(table) or {}).items() if k in own[table]}
    try:
        found = Rules.model_validate_json(json.dumps(told))
    except (ValidationError, TypeError) as error:
        said = explain(error, MODELS) if isinstance(error, ValidationError) else str(error)
        raise Damaged(f"{where}: its rules are none ({said}); run the study again") from None
    found._digest = str(recorded.get("digest") or "")
    return found

"""The section of a recipe that says which pages hold prose."""

from dataclasses import asdict
from functools import cached_property
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, field_validator

from crawl.host_lines import HostLines
from crawl.text_rules import C4, FineWeb, GopherQuality, GopherRepetition, RuleSettings
from crawl.text_settings import Extractor, TextSettings
from pipelines.section import MEBIBYTE, TRANSPORT, Buckets, Section, section_of

PrivateData = Literal["email", "iban", "card", "ip_address", "key", "phone"]

GopherQualityConfig = section_of(GopherQuality, __name__)
GopherRepetitionConfig = section_of(GopherRepetition, __name__)
C4Config = section_of(C4, __name__)
FineWebConfig = section_of(FineWeb, __name__)
HostLinesConfig = section_of(HostLines, __name__)


class QualityConfig(Section):
    """How good a text must be, by a head trained on good and bad ones."""

    head: str = Field(
        min_length=1,
        description="head.json that 'seedbed train classifier' wrote of texts",
        json_schema_extra=TRANSPORT,  # what stands in the file decides, not where it lies
    )
    at_least: float = Field(0.5, ge=0, le=1, description="probability that a text is good; 0 keeps all, with scores")


class TextConfig(Section):
    """Which pages hold prose worth learning from; the rules and their numbers are explained in `crawl.text_rules`."""

    extractor: Extractor = Field("cascade", description="a quick look first; or fast (that alone), or best (all pages)")
    languages: list[Annotated[str, Field(pattern="^[a-z]{2,3}$")]] = Field(
        [], description="that are kept, by their codes, as en; [] keeps all"
    )
    min_sentences: int = Field(3, ge=0, description="0 asks for none")
    gopher_quality: GopherQualityConfig | None = GopherQualityConfig()  # type: ignore[valid-type]
    gopher_repetition: GopherRepetitionConfig | None = GopherRepetitionConfig()  # type: ignore[valid-type]
    c4: C4Config | None = Field(None, description="paper, common, or a section")  # type: ignore[valid-type]
    fineweb: FineWebConfig | None = None  # type: ignore[valid-type]
    host_lines: HostLinesConfig | None = Field(  # type: ignore[valid-type]
        HostLinesConfig(), description="lines in most documents of a host are left out; null leaves them in"
    )
    quality: QualityConfig | None = Field(None, description="a trained head, as {head: good.json, at_least: 0.5}")
    private_data: list[PrivateData] = Field(
        list(get_args(PrivateData)), description="kinds replaced by <email> and the like; [] replaces none"
    )
    near_duplicates: Literal["reject", "keep"] = Field("reject", description="in either way no split tears them apart")
    min_similarity: float = Field(0.7, ge=0.5, le=1, description="share of 5-grams from which two are near duplicates")
    decontaminate: list[str] = Field([], description="evaluations (txt, jsonl, parquet) whose texts are kept out")
    max_bytes: int = Field(5_000_000, ge=1024, description="of a page")
    max_nodes: int = Field(30_000, ge=1, description="of a page")
    buckets: Buckets = Field(4, description="key buckets the tables are cut from")
    max_part_bytes: int = Field(64 * MEBIBYTE, ge=65536)

    @field_validator("c4", mode="before")
    @classmethod
    def _variants_have_names(cls, value: object) -> object:
        named = {"paper": C4.paper, "common": C4.common}
        if isinstance(value, str) and value not in named:
            raise ValueError(f"the variants are {', '.join(named)}; or give a section")
        return asdict(named[value]()) if isinstance(value, str) else value

    def configuration(self) -> dict[str, Any]:
        """See `Section`."""
        quality = self.quality and self.quality.configuration()
        return {**super().configuration(), "quality": quality}

    @cached_property
    def common_lines(self) -> HostLines | None:
        """How common a line of a host must be to be left out; None leaves none out."""
        return self.host_lines and HostLines(**self.host_lines.model_dump())

    @cached_property
    def settings(self) -> TextSettings:
        """What `crawl.text` is given, made once for all pages."""
        kinds = {"gopher_quality": GopherQuality, "gopher_repetition": GopherRepetition, "c4": C4, "fineweb": FineWeb}
        told = self.model_dump(include=set(kinds))
        rules = {name: kind(**told[name]) for name, kind in kinds.items() if told[name]}
        absent = dict.fromkeys(kinds.keys() - rules.keys())
        rule_settings = RuleSettings(self.min_sentences, **absent, **rules)
        return TextSettings(
            self.extractor,
            rule_settings,
            tuple(self.private_data),
            self.max_bytes,
            self.max_nodes,
            tuple(self.languages),
        )

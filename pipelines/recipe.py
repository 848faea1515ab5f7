"""What a build should make: a YAML recipe, checked once here and passed whole from then on.

    name: my-trees
    contact: https://example.org/crawler
    crawl: {sources: {example: {source: site, seeds: ["https://example.org/"]}}}
    images: {size: 64}
    triplets: {}

A section left out (`images`, `text`, `triplets`, `windows`) leaves that stage out of the build, but `triplets` needs
`images` and `windows` needs `text`. Every section has working defaults: `images: {}` is enough.
"""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from crawl.addresses import OPEN_PORTS
from crawl.content_coding import MAX_EXPANSION
from crawl.urls import TRACKING_PARAMETERS
from pipelines.folders import STAGE_NAMES
from pipelines.section import TRANSPORT, Section
from pipelines.source_recipes import Source, check_names
from pipelines.web_names import Host
from shards.schedule import ladder

MEBIBYTE = 1 << 20


def _is_plain(text: str) -> bool:
    """Whether `text` can stand in an HTTP header as it is."""
    return text.isascii() and text.isprintable() and " " not in text


class CrawlConfig(Section):
    """What to fetch, and how gently."""

    sources: dict[str, Source] = Field(description="where things come from, by a name of your own")
    snapshot: str = Field("first", pattern=r"^[A-Za-z0-9._-]{1,64}$", description="a new name crawls again")
    max_pages_per_host: int = Field(1_000, ge=1)
    max_pictures_per_host: int = Field(10_000, ge=0)
    max_header_bytes: int = Field(65_536, ge=1024, le=MEBIBYTE, description="status line and headers of an answer")
    max_page_bytes: int = Field(3 * MEBIBYTE, ge=1024, description="of a page, as sent and decoded")
    max_picture_bytes: int = Field(32 * MEBIBYTE, ge=1024)
    max_expansion: float = Field(
        MAX_EXPANSION, ge=10, le=1100, description="decoded bytes for each byte sent, beyond the first MiB"
    )
    picture_width: int = Field(512, ge=1, description="of several sizes offered, the smallest at least this wide")
    opt_outs: list[Literal["noai", "noindex", "tdm", "ai_txt", "xmp"]] = Field(
        ["noai", "noindex", "tdm", "ai_txt", "xmp"], description="that keep something out; all others are recorded only"
    )
    site_opt_outs: bool = Field(True, description="whether each site is asked for its tdmrep.json and ai.txt")
    drop_parameters: list[Annotated[str, Field(min_length=1)]] = Field(
        list(TRACKING_PARAMETERS), description="names that no URL is known by, * for any characters; [] keeps all"
    )
    allow_hosts: list[Host] = Field([], description="hosts that may lie in a private network or on loopback")
    allow_ports: list[Annotated[int, Field(ge=1, le=65535)]] = Field(
        sorted(OPEN_PORTS), description="asked on hosts that are not in allow_hosts"
    )
    connect_to: dict[Host, str] = Field(
        {}, description="host: address:port to connect to in its place", json_schema_extra=TRANSPORT
    )
    delay_s: float = Field(
        1.0, ge=0, le=3600, description="between two requests to one host", json_schema_extra=TRANSPORT
    )
    response_time_multiple: float = Field(
        2.0, ge=0, le=100, description="of how long a host took to answer, waited at least", json_schema_extra=TRANSPORT
    )
    connections_per_address: int = Field(
        4, ge=1, description="to hosts that share an address", json_schema_extra=TRANSPORT
    )
    max_delay_s: float = Field(
        60.0, ge=0, description="a host that asks for more is left alone", json_schema_extra=TRANSPORT
    )
    timeout_s: float = Field(
        30.0, gt=0, le=600, description="for one request, answer included", json_schema_extra=TRANSPORT
    )
    max_attempts: int = Field(3, ge=1, le=10, json_schema_extra=TRANSPORT)
    max_redirects: int = Field(10, ge=0, le=20)
    num_hosts: int = Field(
        64, ge=1, le=10_000, description="asked at the same time, by one worker", json_schema_extra=TRANSPORT
    )
    max_urls_per_host: int = Field(
        1_000, ge=1, description="in one round; the rest waits for the next", json_schema_extra=TRANSPORT
    )
    round_time_s: float = Field(
        900.0, gt=0, description="after which a host waits for the next round", json_schema_extra=TRANSPORT
    )
    records_per_segment: int = Field(
        200, ge=1, description="records committed together, at most", json_schema_extra=TRANSPORT
    )
    segment_time_s: float = Field(
        30.0, gt=0, description="after which a segment is committed as it is", json_schema_extra=TRANSPORT
    )

    @field_validator("sources")
    @classmethod
    def _names_can_stand_in_file_names(cls, sources: dict[str, Source]) -> dict[str, Source]:
        check_names(sources)
        return sources

    @field_validator("connect_to")
    @classmethod
    def _ports_are_given(cls, places: dict[str, str]) -> dict[str, str]:
        for host, place in places.items():
            address, _, port = place.rpartition(":")
            if not address or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
                raise ValueError(f"{place!r} is no place to connect to for {host}; write it as 127.0.0.1:8080")
        return places


class ImagesConfig(Section):
    """Which pictures are kept, and at what size."""

    size: int = Field(64, ge=8, le=2048, description="side of the clean square picture, in pixels")
    min_side: int | None = Field(None, ge=1, description="of the original; none given: size (nothing is enlarged)")
    max_aspect: float = Field(3.0, ge=1, le=100, description="longer side over shorter")
    max_pixels: int = Field(100_000_000, ge=4096, description="refused before decoding")
    channels: Literal[1, 3] = 3
    encoding: Literal["png", "jpeg", "webp"] = Field("png", description="of the clean picture; png alone is lossless")
    quality: int = Field(95, ge=1, le=100, description="of jpeg and webp")
    buckets: int = Field(4, ge=1, le=65536, description="key buckets the parts are written from")
    max_part_bytes: int = Field(64 * MEBIBYTE, ge=65536)

    @model_validator(mode="after")
    def _has_grey(self) -> Self:
        if self.encoding == "webp" and self.channels == 1:
            raise ValueError("encoding webp has no grey: take png or jpeg for channels 1")
        return self

    @model_validator(mode="after")
    def _never_enlarge(self) -> Self:
        if self.min_side is not None and self.min_side < self.size:
            raise ValueError(
                f"min_side {self.min_side} is below size {self.size} and nothing is enlarged: give at least {self.size}"
            )
        return self


class TextConfig(Section):
    """Which pages hold prose worth learning from; the thresholds are explained in `crawl.text_rules`."""

    min_words: int = Field(50, ge=1)
    max_words: int = Field(100_000, ge=1)
    min_mean_word_length: float = Field(3.0, ge=0)
    max_mean_word_length: float = Field(10.0, gt=0)
    min_alphabetic_share: float = Field(0.8, ge=0, le=1)
    max_symbol_ratio: float = Field(0.1, ge=0, le=1)
    max_bullet_line_share: float = Field(0.9, ge=0, le=1)
    max_ellipsis_line_share: float = Field(0.3, ge=0, le=1)
    min_sentences: int = Field(3, ge=0, description="0 asks for none")
    max_repeated_line_share: float = Field(0.3, ge=0, le=1)
    max_repeated_character_share: float = Field(0.2, ge=0, le=1)
    max_bytes: int = Field(5_000_000, ge=1024, description="of a page")
    max_nodes: int = Field(30_000, ge=1, description="of a page")
    buckets: int = Field(4, ge=1, le=65536, description="key buckets the tables are cut from")
    max_part_bytes: int = Field(64 * MEBIBYTE, ge=65536)

    @model_validator(mode="after")
    def _limits_leave_something(self) -> Self:
        for low, high in (("min_words", "max_words"), ("min_mean_word_length", "max_mean_word_length")):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(
                    f"{low} {getattr(self, low)} is above {high} {getattr(self, high)}: nothing would pass"
                )
        return self


class SplitConfig(Section):
    """Which fraction of the near-duplicate clusters each split takes; they add up to 1."""

    train: float = Field(0.9, gt=0, le=1)
    val: float = Field(0.05, ge=0, lt=1)
    test: float = Field(0.05, ge=0, lt=1)

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train + val + test is {total:g}: make them add up to 1")
        return self


class TripletsConfig(Section):
    """How noisy / clean / noise examples are made from clean pictures."""

    mode: Literal["materialised", "virtual"] = "materialised"
    steps: int = Field(5, ge=1, le=1000)
    draws: int = Field(1, ge=1, le=1000)
    schedule: Literal["interpolate", "add", "list"] = "interpolate"
    sigma: float = Field(1.0, gt=0, le=1000, description="of the static at the last step of `add`")
    variances: list[float] = Field([], description="of the static at each step of `list`")
    corruption: Literal["gaussian", "sparse", "whiteout"] = "gaussian"
    seed: int = Field(0, ge=0, lt=2**63)
    buckets: int = Field(4, ge=1, le=65536, description="key buckets the shards are cut from; one for 5 GB of shards")
    max_shard_bytes: int = Field(256 * MEBIBYTE, ge=65536)

    @model_validator(mode="after")
    def _ladder_is_possible(self) -> Self:
        ladder(self.schedule, self.steps, self.sigma, tuple(self.variances))
        return self


class WindowsConfig(Section):
    """How documents become windows of tokens."""

    tokenizer: Literal["words", "bytes"] = "words"
    max_words: int = Field(8192, ge=2, le=2**31, description="size of the dictionary of `words`")
    min_count: int = Field(1, ge=1, description="a rarer word is <unk>")
    lower_case: bool = Field(False, description="of `words`: whether Oak and oak are one word")
    context: int = Field(64, ge=1, le=1 << 20, description="tokens before the last predicted one")
    stride: int | None = Field(None, ge=1, description="tokens between window starts; none given: context")
    buckets: int = Field(4, ge=1, le=65536)
    max_shard_bytes: int = Field(256 * MEBIBYTE, ge=65536)

    @model_validator(mode="after")
    def _no_token_is_skipped(self) -> Self:
        if self.stride is not None and self.stride > self.context:
            raise ValueError(
                f"stride {self.stride} is above context {self.context} and skips tokens: give at most {self.context}"
            )
        return self


class Recipe(Section):
    """A whole recipe: one section a stage, and what they share."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    contact: str = Field(
        ..., description="where a site owner reaches you; stands in the user agent", json_schema_extra=TRANSPORT
    )
    published: date = Field(date(1970, 1, 1), description="stands in the datasets' Croissant; the clock never does")
    split: SplitConfig = SplitConfig()
    crawl: CrawlConfig
    images: ImagesConfig | None = None
    text: TextConfig | None = None
    triplets: TripletsConfig | None = None
    windows: WindowsConfig | None = None

    @field_validator("contact")
    @classmethod
    def _contact_reaches_someone(cls, contact: str) -> str:
        if not (contact.startswith(("http://", "https://")) or "@" in contact) or not _is_plain(contact):
            raise ValueError("give a web page (https://…) or an e-mail address at which a site owner can reach you")
        return contact

    @model_validator(mode="after")
    def _stages_have_their_input(self) -> Self:
        for stage, source in (("triplets", "images"), ("windows", "text")):
            if getattr(self, stage) is not None and getattr(self, source) is None:
                raise ValueError(f"{stage} are made from {source}: add a section '{source}: {{}}'")
        if self.triplets is not None and self.images is not None and self.images.encoding != "png":
            encoding = self.images.encoding
            raise ValueError(f"images.encoding {encoding} leaves traces that a denoiser would learn: triplets need png")
        return self

    def stages(self) -> tuple[str, ...]:
        """The stages this recipe asks for, in the order in which they run."""
        return tuple(stage for stage in STAGE_NAMES if getattr(self, stage) is not None)

    def stage_configuration(self, stage: str) -> Mapping[str, Any]:
        """Everything in the recipe that decides what `stage` writes, as plain JSON values."""
        configuration: dict[str, Any] = getattr(self, stage).configuration()
        if stage in ("images", "text"):
            configuration["split"] = self.split.configuration()
        if stage in ("triplets", "windows"):
            configuration |= {"name": self.name, "published": self.published.isoformat()}
        return configuration

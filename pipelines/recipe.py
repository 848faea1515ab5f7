"""What a build should make: a YAML recipe, checked once here and passed whole from then on.

    name: my-trees
    contact: https://example.org/crawler
    crawl: {sources: {example: {source: site, seeds: ["https://example.org/"]}}}
    images: {size: 64}
    triplets: {}

A section left out (`images`, `score`, `text`, `triplets`, `windows`) leaves that stage out of the build, but `score`
and `triplets` need `images`, and `windows` needs `text`. Every section has working defaults: `images: {}` is enough.
"""

import functools
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from crawl.addresses import OPEN_PORTS
from crawl.content_coding import MAX_EXPANSION
from crawl.image_settings import ImageSettings
from crawl.licences import wanted_licences
from crawl.picture_filters.settings import FilterSettings
from crawl.urls import TRACKING_PARAMETERS
from pipelines.folders import STAGE_NAMES
from pipelines.score_recipe import ScoreConfig
from pipelines.section import MEBIBYTE, TRANSPORT, Buckets, Section
from pipelines.source_recipes import Source, check_names
from pipelines.text_recipe import TextConfig
from pipelines.web_names import Host
from shards.schedule import ladder
from shards.window import Packing

Licences = Annotated[Literal["any", "known"] | tuple[str, ...], BeforeValidator(wanted_licences)]


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
        4, ge=1, description="to one address, by all workers together or one each", json_schema_extra=TRANSPORT
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


class FiltersConfig(Section):
    """What the pixels of a picture must be; the thresholds are explained in `crawl.picture_filters`."""

    min_contrast: float = Field(8.0, ge=0, le=128, description="standard deviation of the luma; 0 asks for none")
    min_sharpness: float = Field(0.06, ge=0, le=20, description="of the Laplacian beside the luma; 0 asks for none")
    max_drawn_share: float = Field(0.7, gt=0, le=1, description="covered by four colours, in flat areas; 1 allows all")
    max_background_share: float = Field(0.55, gt=0, le=1, description="of one colour behind strokes; 1 allows all")
    max_extreme_share: float = Field(0.95, gt=0, le=1, description="black, white or garish; 1 allows all")
    max_pages: int = Field(20, ge=0, le=1000, description="that one file may stand on; 0 for any number")
    max_hosts: int = Field(4, ge=0, le=1000, description="that those pages may lie on; 0 for any number")


class ImagesConfig(Section):
    """Which pictures are kept, and at what size."""

    size: int = Field(64, ge=8, le=2048, description="side of the clean square picture, in pixels")
    resize: Literal["centre_crop", "pad", "fit", "fill"] = Field("centre_crop", description="see `crawl.resizing`")
    upscale: bool = Field(False, description="whether smaller pictures are enlarged")
    min_side: int | None = Field(None, ge=1, description="of the original; none given: size")
    max_aspect: float = Field(3.0, ge=1, le=100, description="longer side over shorter")
    max_pixels: int = Field(100_000_000, ge=4096, description="refused before decoding")
    max_decoded_bytes: int = Field(180_000_000, ge=MEBIBYTE, description="memory that decoding may take")
    filters: FiltersConfig = FiltersConfig()
    channels: Literal[1, 3] = 3
    encoding: Literal["png", "jpeg", "webp"] = Field("png", description="of the clean picture; png alone is lossless")
    quality: int = Field(95, ge=1, le=100, description="of jpeg and webp")
    licences: Licences = Field("any", description="any, known, or a list of them; an unknown one is in no list")
    near_duplicates: Literal["reject", "keep", "ignore"] = Field(
        "reject", description="rejected or kept, no split tears them apart; ignored, none are looked for"
    )
    exif: bool = Field(False, description="whether camera, time and the like are kept; positions never are")
    buckets: Buckets = Field(4, description="key buckets the parts are written from")
    max_part_bytes: int = Field(64 * MEBIBYTE, ge=65536)

    @model_validator(mode="after")
    def _can_be_cleaned(self) -> Self:
        image_settings(self)
        return self


@functools.lru_cache(maxsize=8)
def image_settings(config: ImagesConfig) -> ImageSettings:
    """The settings that the pictures of a recipe are cleaned by.

    Raises:
        ValueError: they contradict each other.
    """
    values = config.model_dump(exclude={"buckets", "max_part_bytes", "filters", "licences", "near_duplicates"})
    values["min_side"] = values["min_side"] or config.size
    filters = FilterSettings(**config.filters.model_dump())
    return ImageSettings(**values, filters=filters, look=config.near_duplicates != "ignore")


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
    buckets: Buckets = Field(4, description="key buckets the shards are cut from; one for 5 GB of shards")
    max_shard_bytes: int = Field(256 * MEBIBYTE, ge=65536)

    @model_validator(mode="after")
    def _ladder_is_possible(self) -> Self:
        ladder(self.schedule, self.steps, self.sigma, tuple(self.variances))
        return self


class WindowsConfig(Section):
    """How documents become windows of tokens."""

    tokenizer: Literal["words", "bpe", "bytes"] = "words"
    max_words: int = Field(8192, ge=2, le=2**31, description="size of the dictionary of `words`")
    min_count: int = Field(1, ge=1, description="a rarer word is <unk>")
    lower_case: bool = Field(False, description="of `words`: whether Oak and oak are one word")
    spaced: bool = Field(False, description="of `words`: whether white space alone parts them")
    vocab_size: int = Field(8192, ge=257, le=2**31, description="ids of `bpe`, the 256 bytes and <eos> included")
    tokenizer_file: str | None = Field(None, description="of Hugging Face's, for `bpe`; none given: one is trained")
    end: str | None = Field(None, description="token of that file that closes a document; none given: the usual one")
    packing: Packing = Field("concat", description="one stream; best_fit: whole documents; document: one a window")
    context: int = Field(64, ge=1, le=1 << 20, description="tokens before the last predicted one")
    stride: int | None = Field(None, ge=1, description="tokens between window starts; none given: context")
    buckets: Buckets = 4
    max_shard_bytes: int = Field(256 * MEBIBYTE, ge=65536)

    @model_validator(mode="after")
    def _keys_suit_each_other(self) -> Self:
        if self.tokenizer_file is not None and self.tokenizer != "bpe":
            raise ValueError(f"tokenizer_file is given, but tokenizer is {self.tokenizer}: only bpe can be read")
        if self.packing == "best_fit" and self.stride not in (None, self.context):
            raise ValueError(f"stride is {self.stride}, but best_fit repeats no token: leave it out")
        return self

    @model_validator(mode="after")
    def _no_token_is_skipped(self) -> Self:
        if self.stride is not None and self.stride > self.context:
            raise ValueError(
                f"stride {self.stride} is above context {self.context} and skips tokens: give at most {self.context}"
            )
        return self


def _check_squares(images: ImagesConfig) -> None:
    """Checks that triplets can be made from the pictures.

    Raises:
        ValueError: they are not square, or not lossless.
    """
    if images.encoding != "png":
        encoding = images.encoding
        raise ValueError(f"images.encoding {encoding} leaves traces that a denoiser would learn: triplets need png")
    if images.resize == "fit":
        raise ValueError("images.resize fit gives pictures that are not square: triplets need centre_crop, pad or fill")


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
    score: ScoreConfig | None = None
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
        for stage, source in (("score", "images"), ("triplets", "images"), ("windows", "text")):
            if getattr(self, stage) is not None and getattr(self, source) is None:
                raise ValueError(f"{stage} are made from {source}: add a section '{source}: {{}}'")
        if self.triplets is not None and self.images is not None:
            _check_squares(self.images)
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

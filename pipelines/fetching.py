"""How a recipe wants things fetched."""

from dataclasses import replace

from crawl.opt_outs import OptOuts
from crawl.settings import FetchSettings
from pipelines.recipe import Recipe
from pipelines.stages import Job


def fetch_settings(job: Job) -> FetchSettings:
    """The settings of one worker that fetches for a job: it has its part of the connections to an address, or one."""
    settings = settings_of(job.recipe)
    return replace(settings, connections_per_address=max(1, settings.connections_per_address // job.workers))


def settings_of(recipe: Recipe) -> FetchSettings:
    """The settings of whoever fetches for a recipe."""
    config = recipe.crawl
    return FetchSettings(
        contact=recipe.contact,
        scopes={name: source.scope() for name, source in config.sources.items()},
        max_pages_per_host=config.max_pages_per_host,
        max_pictures_per_host=config.max_pictures_per_host,
        max_urls_per_host=config.max_urls_per_host,
        round_time_s=config.round_time_s,
        num_hosts=config.num_hosts,
        delay_s=config.delay_s,
        response_time_multiple=config.response_time_multiple,
        connections_per_address=config.connections_per_address,
        max_delay_s=config.max_delay_s,
        max_attempts=config.max_attempts,
        max_redirects=config.max_redirects,
        timeout_s=config.timeout_s,
        max_header_bytes=config.max_header_bytes,
        max_page_bytes=config.max_page_bytes,
        max_picture_bytes=config.max_picture_bytes,
        max_expansion=config.max_expansion,
        picture_width=config.picture_width,
        opt_outs=OptOuts.of(config.opt_outs),
        site_opt_outs=config.site_opt_outs,
        drop_parameters=tuple(config.drop_parameters),
        allow_hosts=tuple(config.allow_hosts),
        allow_ports=tuple(config.allow_ports),
        connect_to=config.connect_to,
    )

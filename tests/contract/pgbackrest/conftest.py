"""One archived server for all tests of a module, with a backup in its repository."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contract.pgbackrest.site import Site, close_site, open_site
from pgops.pgbackrest.commands import backup_argv


@pytest.fixture(scope="module")
def made_site() -> Iterator[Site]:
    place = open_site()
    try:
        place.make()
        place.pgbackrest(backup_argv(place.stanza, "full", annotations={"pgops-run": "20261123-0412-k7f3"}))
        yield place
    finally:
        close_site(place)


@pytest.fixture
def site(made_site: Site) -> Iterator[Site]:
    """The site, with its configuration and its archiving as they were afterwards."""
    yield made_site
    made_site.write_config()

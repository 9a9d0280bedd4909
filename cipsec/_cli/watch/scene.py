"""What the view stands at: the pane turned to, what is chosen in each, the filter, the last word.

Values only: drawing is left to `screen`, keys and time to `app`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from cipsec._cli.watch import panes
from cipsec._cli.watch.listing import Listing
from cipsec._cli.watch.model import Asked, View
from cipsec._cli.watch.panes import PANES, Pane
from cipsec._cli.watch.text import Show


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything on the screen; `trouble` is why what is shown may be old."""

    view: View
    show: Show
    number: int = 0
    listings: tuple[Listing, ...] = tuple(Listing(newest_first=p.newest_first) for p in PANES)
    match: str = ""
    notes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    message: str = ""
    trouble: str | None = None

    @property
    def pane(self) -> Pane:
        """Return the pane turned to."""
        return PANES[self.number]

    @property
    def listing(self) -> Listing:
        """Return what it lists."""
        return self.listings[self.number]

    @property
    def request(self) -> str | None:
        """Return the id of the request that is chosen among those that wait."""
        return self.listings[0].key

    @property
    def asked(self) -> Asked | None:
        """Return all that is known of it, None while that is not read yet."""
        asked = self.view.asked
        return asked if asked is not None and asked.row.id == self.request else None

    def with_view(self, view: View) -> Scene:
        """Return the scene with what was just read; what another filter hides is not kept."""
        keep = view.match == self.view.match
        listings = tuple(
            listing.updated(panes.rows(pane, view), keep=keep and pane is panes.WAITING)
            for pane, listing in zip(PANES, self.listings, strict=True)
        )
        return replace(self, view=view, listings=listings, trouble=None)

    def moved(self, by: int, height: int) -> Scene:
        """Return the scene with the row chosen that is `by` rows further."""
        listings = list(self.listings)
        listings[self.number] = self.listing.moved(by, height)
        return replace(self, listings=tuple(listings), message="")

    def turned(self, by: int) -> Scene:
        """Return the scene of a neighbouring pane."""
        return replace(self, number=(self.number + by) % len(PANES), message="")

    def noted(self, request: str, note: str) -> Scene:
        """Return the scene with a note that goes with the decision about a request."""
        return replace(self, notes=MappingProxyType({**self.notes, request: note}))

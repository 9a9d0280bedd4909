"""Whom to tell of what: the channels of ca.toml, and its rules that choose among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cipsec.ra.config import Config
from cipsec.ra.notify.channels import Channel
from cipsec.store.events import Event


@dataclass(frozen=True, slots=True)
class Directory:
    """The channels of the CA `name`, and which of them a rule names, where it names any."""

    name: str
    channels: tuple[Channel, ...]
    by_rule: Mapping[str, frozenset[str]]

    def concerns(self, channel: Channel, event: Event) -> bool:
        """Tell whether the channel is to tell of the event.

        An event that was decided by a rule which names channels is for these alone.
        """
        if channel.events is not None and event.event not in channel.events:
            return False
        chosen = self.by_rule.get(event.rule) if event.rule is not None else None
        return chosen is None or channel.name in chosen


def directory(config: Config) -> Directory:
    """Return whom to tell as ca.toml has it."""
    rules = config.policy.rules
    by_rule = {rule.name: rule.notify for rule in rules if rule.notify is not None}
    return Directory(config.name, config.channels, by_rule)

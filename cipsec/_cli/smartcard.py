"""`cipsec smartcard`: its commands; `list` and `show` are here, which change nothing on a card."""

from __future__ import annotations

from cipsec._cli.card import ReaderName, SlotName, connected_card
from cipsec._cli.options import command, group
from cipsec._cli.smartcard_keys import generate, import_
from cipsec._cli.smartcard_pins import change_pin, unblock
from cipsec._cli.smartcard_reset import reset
from cipsec._cli.talk import Talk

app = group("smartcard", "Keep the smartcards that hold provisioning certificates.")


@command(app, "list")
def listing(talk: Talk, *, reader: ReaderName = None, slot: SlotName = "9a") -> None:
    """List the readers and what is in them, without a PIN."""
    from cipsec._cli import smartcard_shown
    from cipsec.card import choice, pcsc
    from cipsec.card.slots import Slot

    wanted = Slot.parse(slot)
    found = choice.named(pcsc.readers(), reader)
    records = [smartcard_shown.listed(each, wanted) for each in found]
    talk.table("cards", [*smartcard_shown.LIST, "problem"], records)


@command(app, "show")
def show(talk: Talk, *, reader: ReaderName = None, slot: SlotName = "9a") -> None:
    """Show the card and its certificate, without a PIN."""
    from cipsec._cli import smartcard_shown
    from cipsec.card.slots import Slot

    wanted = Slot.parse(slot)
    with connected_card(talk, reader) as card:
        record = smartcard_shown.described(card.piv, card.reader, wanted)
    smartcard_shown.report(talk, record)
    smartcard_shown.warn(talk, record)


command(app, "generate")(generate)
command(app, "import")(import_)
command(app, "change-pin")(change_pin)
command(app, "unblock")(unblock)
command(app, "reset")(reset)

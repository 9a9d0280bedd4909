"""The CA's roll-over in steps: prepare and publish, take over, let go; or call it off.

Between the first two the old key still issues, and endpoints learn of the new root with each
enrollment. A CA below another asks the one above for its next certificate before. Each step is
taken inside one transaction of the store, so that two operators never take the same; one that was
interrupted is finished by the next. Certificates are `ca.rollover`'s, the running server follows by
itself.
"""

from cipsec.rollover.activating import activate, finish
from cipsec.rollover.ending import cancel, over, retire
from cipsec.rollover.preparing import prepare
from cipsec.rollover.requesting import install, request
from cipsec.rollover.step import Step, is_interrupted, require_none, required, state, sweep

__all__ = [
    "Step",
    "activate",
    "cancel",
    "finish",
    "install",
    "is_interrupted",
    "over",
    "prepare",
    "request",
    "require_none",
    "required",
    "retire",
    "state",
    "sweep",
]

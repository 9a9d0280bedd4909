"""What a rule may ask for: each condition holds, does not hold, or cannot be judged, and says why.

Judgement over evidence, no cryptography. How rules are written is left to `ra.rules`, what follows
from them to `ra.policy`.
"""

"""Device vendors whose certificates prove a device; whether one gets a certificate, rules say."""

from __future__ import annotations

from cipsec.ra.vendors.proving import Proof, Vendors

__all__ = ["Proof", "Vendors"]

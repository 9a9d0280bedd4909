"""Certificates for EtherNet/IP devices by the CIP Security Pull Model."""

__version__ = "0.1.0"

"""Allowlists: CSV files of devices; whether a listed device gets a certificate, rules say."""

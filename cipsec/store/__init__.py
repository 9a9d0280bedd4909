"""The record: certificates, requests, users, events; one transaction per grant.

Each module holds one table's rows and their SQL; `database` opens, commits and groups commits.
What the rows mean and who may have what is left to `ra` and `ca`.
"""

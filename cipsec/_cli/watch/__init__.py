"""The view of `cipsec ca watch`: what it shows is read, drawn and decided in modules of its own.

Only `paper`, `dialogs` and `app` know textual; the others are plain functions over values.
"""

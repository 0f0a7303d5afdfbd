"""The calls of a Session, grouped by what they are about: pools, media, types, acl, objects, events.

Each checks the Python types of its arguments and runs one service. References are values, ids, or names and paths.
"""

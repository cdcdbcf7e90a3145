"""The live page: what it is told of a snapshot, and the files that a browser loads.

The JSON that is sent is between this page and its own script; programs read `/status`.
"""

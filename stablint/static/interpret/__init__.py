"""A flow-sensitive abstract interpretation of one file: what every expression holds, as symbolic terms.

Branches join, loops run twice (the second time from the join), calls of functions of the file use their outcome with
the arguments put in.  What is unknown stays unknown; nothing is executed.
"""

"""Portraits of a forged person by a path tracer: the pictures that an avatar is trained on.

`portrait` describes what is there, `views` from where it is looked at, `session` has Blender's Cycles render it in a
process and an environment of their own.
"""

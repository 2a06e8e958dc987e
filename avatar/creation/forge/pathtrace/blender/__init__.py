"""What runs inside Blender's Python, in a process of its own: numpy and bpy only, nothing of the program.

Started as `python -m blender FOLDER` by `pathtrace.session`; never imported by it. A picture is asked for in the
`job.json` of that folder, and one line on standard output says when it is done.
"""

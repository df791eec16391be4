"""2-D poses as publishers and pose estimators ship them; see `formats`.

Nothing here imports TensorFlow, and nothing in a file is ever run.
"""

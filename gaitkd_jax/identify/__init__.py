"""From a video to the silhouettes of the people in it, and to their names.

Nothing here imports JAX or TensorFlow before it needs them; OpenCV is imported
where it is used.
"""

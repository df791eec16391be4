"""From a video to names."""

"""Says who walks in a video.

python -m gaitkd_jax.identify --demo
python -m gaitkd_jax.identify --model=student.onnx --gallery=people \
  --input=door.mp4 --output=found
python -m gaitkd_jax.identify --model=student.onnx --gallery=store \
  --enrol=people --calibrate=others

Writes result.json, page.html and annotated.mp4. With an exported model neither
JAX nor TensorFlow is loaded; see docs/identify.md.
"""

import sys

from absl import flags

from gaitkd_jax import cli
from gaitkd_jax import errors

_MODEL = flags.DEFINE_string("model", "", "checkpoint, or exported .onnx")
_GALLERY = flags.DEFINE_string("gallery", "", "store, or folder of people")
_INPUT = flags.DEFINE_string("input", "", "video, or folder of silhouettes")
_OUTPUT = flags.DEFINE_string("output", "", "folder for the results")
_SEGMENTER = flags.DEFINE_string(
  "segmenter", "", "ONNX file that cuts people out of their boxes"
)
_SEGMENT_EVERY = flags.DEFINE_integer(
  "segment_every", 1, "frames of which the segmenter is shown one", 1
)
_BOXES = flags.DEFINE_string(
  "boxes", "", "CSV file of frame,id,x,y,w,h from a tracker of your own"
)
_THRESHOLD = flags.DEFINE_float(
  "threshold", None, "distance up to which a track is named"
)
_FAR = flags.DEFINE_float(
  "far", None, "rate of false accepts that sets the threshold, such as 0.01"
)
_STOP_AFTER = flags.DEFINE_enum(
  "stop_after", "", ["", "silhouettes"], "write silhouettes, and stop"
)
_FPS = flags.DEFINE_float(
  "fps", 0.0, "frames a second, where the video is wrong", 0.0
)
_ENROL = flags.DEFINE_string(
  "enrol", "", "folder of people to be added to the store --gallery"
)
_REPLACE = flags.DEFINE_bool(
  "replace", False, "let --enrol replace people who are there"
)
_REMOVE = flags.DEFINE_list("remove", [], "names to be removed from the store")
_CALIBRATE = flags.DEFINE_string(
  "calibrate", "", "folder of other people, for the threshold of the store"
)
_DEMO = flags.DEFINE_bool("demo", False, "a scene of synthetic walkers")


def main(argv: list[str]) -> None:
  """Identifies, enrols or demonstrates; the logic is in importable modules."""
  del argv
  # Names of people are of any alphabet, terminals are not.
  for stream in (sys.stdout, sys.stderr):
    stream.reconfigure(errors="backslashreplace")
  enrols = _ENROL.value or _REMOVE.value or _CALIBRATE.value
  if _DEMO.value:
    if enrols or _MODEL.value or _GALLERY.value or _INPUT.value:
      raise errors.UserError(
        "--demo makes its own video and gallery, and takes --output alone; "
        "drop the rest"
      )
    from gaitkd_jax.identify import demo

    demo.run(_OUTPUT.value)
    return
  if enrols:
    _change_store()
    return
  if _REPLACE.value:
    raise errors.UserError(
      "--replace is given without --enrol=<folder of people>"
    )
  from gaitkd_jax.identify import command

  command.run(
    command.Request(
      model=_MODEL.value,
      gallery=_GALLERY.value,
      source=_INPUT.value,
      output=_OUTPUT.value,
      segmenter=_SEGMENTER.value,
      segment_every=_SEGMENT_EVERY.value,
      boxes=_BOXES.value,
      threshold=_THRESHOLD.value,
      far=_FAR.value,
      stop_after=_STOP_AFTER.value,
      fps=_FPS.value,
    )
  )


def _change_store() -> None:
  """Enrols people."""
  if _INPUT.value or _OUTPUT.value:
    raise errors.UserError(
      "--enrol, --remove and --calibrate change the store --gallery, and take "
      "neither --input nor --output; identify in a second command"
    )
  if not _GALLERY.value:
    raise errors.UserError(
      "--gallery is missing; give the store to be made or changed"
    )
  from gaitkd_jax.identify import enrolment
  from gaitkd_jax.identify import segmenter as segmenter_lib

  segmenter = None
  if _SEGMENTER.value:
    segmenter = segmenter_lib.Segmenter(
      _SEGMENTER.value, every=_SEGMENT_EVERY.value
    )
  enrolment.enrol(
    enrolment.Change(
      store=_GALLERY.value,
      model=_MODEL.value,
      people=_ENROL.value,
      replace=_REPLACE.value,
      remove=[name.strip() for name in _REMOVE.value if name.strip()],
      calibrate=_CALIBRATE.value,
      segmenter=segmenter,
    )
  )


if __name__ == "__main__":
  cli.run(main)

"""Writes a network as a file that runs without JAX, and checks it.

python -m gaitkd_jax.export --checkpoint=runs/student --output=student.onnx
python -m gaitkd_jax.export --checkpoint=runs/student_w8a8 \
  --output=student_int8.onnx --target=ort
python -m gaitkd_jax.export --checkpoint=runs/student --target=openvino \
  --output=student_int8.onnx --calibrate=walkers --range=half

Beside the file lies its model card, <file>.md. Status 0: both are written, and
the file gives what the network gives in JAX; 2: a mistake, and neither is.
"""

from absl import flags
from ml_collections import config_flags

from gaitkd_jax import cli
from gaitkd_jax.export import command

_CHECKPOINT = flags.DEFINE_string(
  "checkpoint", None, "workdir, or one step of its checkpoints", required=True
)
_OUTPUT = flags.DEFINE_string(
  "output", None, "file to be written, such as student.onnx", required=True
)
_TARGET = flags.DEFINE_enum(
  "target", "float", command.TARGETS, "what is to run it"
)
_CONFIG = config_flags.DEFINE_config_file(
  "config",
  help_string="file[:variant] of the data for check, calibration, threshold",
  lock_config=True,
)
_CALIBRATE = flags.DEFINE_string(
  "calibrate",
  "",
  "quantise a float network by: walkers, a folder of silhouettes, or config",
)
_WEIGHTS = flags.DEFINE_integer("weights", None, "bits, with --calibrate", 2, 8)
_ACTIVATIONS = flags.DEFINE_integer(
  "activations", None, "bits, with --calibrate", 2, 8
)
_RANGE = flags.DEFINE_enum(
  "range",
  None,
  ["full", "half"],
  "of the weights' codes, with --calibrate; half: exact on every processor",
)


def main(argv: list[str]) -> None:
  """Exports; the logic is in modules that can be imported."""
  del argv
  bits = dict(
    weights=_WEIGHTS.value, activations=_ACTIVATIONS.value, range=_RANGE.value
  )
  command.export(
    command.Request(
      checkpoint=_CHECKPOINT.value,
      output=_OUTPUT.value,
      target=_TARGET.value,
      config=_CONFIG.value,
      calibrate=_CALIBRATE.value,
      bits={key: value for key, value in bits.items() if value is not None},
    )
  )


if __name__ == "__main__":
  cli.run(main)

"""Says what the networks of a config cost, in seconds and without any data.

python scripts/describe_model.py --config=configs/gait3d.py
python scripts/describe_model.py --config=configs/swingait.py:gait3d \
  --config.clip.frames=60

Prints for the student and each teacher: a table of its modules (parameters,
multiply-accumulates of one more frame, the result's shape for a clip); the
number of parameters in all, without the neck (GaitKD's "params") and at
inference; the shapes of all end points; how many frames one frame of the last
map depends on, in front of the pooling over time; and the memory of feature
maps for the config's batch in its dtype. The memory is read from the traced
program (gaitkd_jax/cost/memory.py says what counts), not measured: what XLA
needs differs.
"""

from absl import flags
from ml_collections import ConfigDict
from ml_collections import config_flags

from gaitkd_jax import cli
from gaitkd_jax import config as config_lib
from gaitkd_jax import cost
from gaitkd_jax import models

_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)
_FIELD = flags.DEFINE_bool(
  "receptive_field", True, "measure it, on a narrow network"
)


def clip_frames(clip: ConfigDict) -> int:
  """Frames of a clip, at most."""
  used = config_lib.CLIP_KEYS[clip.kind]
  return max(clip[key] for key in used if key.endswith("frames"))


def shape_text(shape: tuple[int, ...]) -> str:
  """The shape without the axis of clips."""
  return " x ".join(map(str, shape[1:]))


def module_table(module: models.GaitNetwork, frames: int) -> list[str]:
  """Lines of the table of modules."""
  rows = [("module", "parameters", "GMAC/frame", "result")]
  rows += [
    (name, f"{c.parameters:,}", f"{c.gmac:.4f}", shape_text(c.shape))
    for name, c in cost.module_costs(module, frames).items()
  ]
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  lines = [
    f"| {name:<{widths[0]}} | {count:>{widths[1]}} | {gmac:>{widths[2]}} | "
    f"{shape:<{widths[3]}} |"
    for name, count, gmac, shape in rows
  ]
  return [lines[0], "|---|---:|---:|---|", *lines[1:]]


def describe(
  name: str, module: models.GaitNetwork, clips: int, frames: int, trains: bool
) -> None:
  """Prints all about one network."""
  print(f"\n{name}; one clip of {frames} frames, {module.dtype.name}")
  print("\n".join(module_table(module, frames)))
  params = cost.abstract_parameters(module)
  print(
    f"parameters: {cost.parameters(params):,}; without neck "
    f"{cost.inference_parameters(params):,}; at inference "
    f"{cost.retrieval_parameters(module):,}"
  )
  print(f"GMAC/frame: {cost.gmac_per_frame(module):.4f}")
  ends = cost.output_shapes(module, frames).items()
  print("end points: " + ", ".join(f"{n} {shape_text(s)}" for n, s in ends))
  if _FIELD.value:
    field = cost.receptive_field(module)
    print(
      "receptive field in time, before the pooling over time (frames): "
      + (str(field) if field else "above 255")
    )
  memory = cost.forward_memory(module, clips, frames) / 2**30
  print(
    f"feature maps of {clips} clips: forward pass at most {memory:.2f} GiB at "
    "once",
    end="",
  )
  if trains:
    memory = cost.saved_memory(module, clips, frames) / 2**30
    print(f"; kept for the backward pass {memory:.2f} GiB", end="")
  print(" (traced, not measured)", flush=True)


def main(argv: list[str]) -> None:
  """Describes the student and the teachers."""
  del argv
  c = cli.config(_CONFIG)
  config_lib.check(c)
  clips, frames = c.batch.identities * c.batch.sequences, clip_frames(c.clip)
  networks = {"student": c.model}
  networks |= {f"teacher {name}": t.model for name, t in c.teachers.items()}
  for name, model in networks.items():
    module = models.create_model(model, c.dtype)
    title = f"{name}: {model.name}"
    describe(title, module, clips, frames, trains=name == "student")


if __name__ == "__main__":
  cli.run(main)

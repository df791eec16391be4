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

python scripts/describe_model.py --config=configs/qgait.py:gait3d_w4a8
python scripts/describe_model.py --config=configs/gait3d.py \
  --config.quantization.weights=8 --config.quantization.activations=8

Of a quantised student it also prints what is deployed, which is what a search
needs, normalisations folded: bytes by the bits of weights, and beside the
float32 network; multiply-accumulates of a clip by the bits of what they
multiply (W4A8: weights of 4 bits, activations of 8). All else but the memory is
that of the float network.

python scripts/describe_model.py --config=configs/walkers.py --plan

With --plan it prints the layers of the student instead, as they are written for
other runtimes (docs/export.md): what each does, the shape that it makes, and
the bits of its weights or the codes of its quantiser.

python scripts/describe_model.py --config=configs/casiab.py --target=v5e:2x4
python scripts/describe_model.py --config=configs/gait3d.py --target=h100 --json

With --target the config's training step and the embedding step of its
evaluation are compiled instead, for devices that are not here: minutes for a
TPU, tens of seconds for a GPU. Printed, of one device, is the memory that each
takes, whether that fits and what to change if not; floating-point operations
and bytes moved; and the seconds that each of these two need at the device's
peak rates (gaitkd_jax/cost/devices.py), which no real step goes below. The
compilers are in wheels: pip install -e ".[tpu]" or ".[cuda]". No batch, no
checkpoint and no accelerator is needed. --json prints a JSON object a line and
program.
"""

import json
from typing import Any

from absl import flags
import jax
from ml_collections import ConfigDict
from ml_collections import config_flags

from gaitkd_jax import cli
from gaitkd_jax import config as config_lib
from gaitkd_jax import cost
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import placement
from gaitkd_jax.cost import ahead
from gaitkd_jax.cost import devices
from gaitkd_jax.cost import roofline
from gaitkd_jax.cost import traffic
from gaitkd_jax.export import plan
from gaitkd_jax.export import planning
from gaitkd_jax.training import programs as programs_lib

_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)
_FIELD = flags.DEFINE_bool(
  "receptive_field", True, "measure it, on a narrow network"
)
_TARGET = flags.DEFINE_string(
  "target", "", "compile for it: v5e:2x4, h100, ...; a wrong one lists all"
)
_PLAN = flags.DEFINE_bool("plan", False, "print the layers of an export")
_PROGRAMS = flags.DEFINE_list("programs", ["train", "embed"], "for --target")
_JSON = flags.DEFINE_bool("json", False, "for --target: machine-readable")
_GIB = 2**30
_FAR = 20  # times the batch: too far to be foreseen from this one


def shape_text(shape: tuple[int, ...]) -> str:
  """The shape without the axis of clips."""
  return " x ".join(map(str, shape[1:]))


def table(rows: list[tuple[str, ...]], sides: str) -> list[str]:
  """Lines of a table, whose columns are to the "<" left or ">" right."""
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  lines = [
    "| "
    + " | ".join(
      f"{cell:{side}{width}}"
      for cell, side, width in zip(row, sides, widths, strict=True)
    )
    + " |"
    for row in rows
  ]
  rule = "|".join("---" if side == "<" else "---:" for side in sides)
  return [lines[0], f"|{rule}|", *lines[1:]]


def module_table(module: models.GaitNetwork, frames: int) -> list[str]:
  """Lines of the table of modules."""
  rows = [("module", "parameters", "GMAC/frame", "result")]
  rows += [
    (name, f"{c.parameters:,}", f"{c.gmac:.4f}", shape_text(c.shape))
    for name, c in cost.module_costs(module, frames).items()
  ]
  return table(rows, "<>><")


def deployed_text(module: models.GaitNetwork, frames: int) -> list[str]:
  """Lines about a quantised network where it is deployed."""
  found = cost.deployed(module, frames)
  rows = [("deployed", "values", "bytes")]
  rows += [
    (f"{bits} bits" if bits else "float32", f"{w.values:,}", f"{w.bytes:,}")
    for bits, w in found.weights.items()
  ]
  rows += [
    ("steps, float32", f"{found.steps.values:,}", f"{found.steps.bytes:,}"),
    ("all", "", f"{found.bytes:,}"),
  ]
  products, total = found.products.items(), sum(found.products.values())
  macs = [("products", "GMAC/clip", "%")]
  macs += [
    (n, f"{1e-9 * c:.4f}", f"{100 * c / total:.2f}") for n, c in products
  ]
  return [
    *table(rows, "<>>"),
    f"float32: {found.float_bytes:,} bytes, "
    f"{found.float_bytes / found.bytes:.2f} times as many",
    *table(macs, "<>>"),
  ]


def describe(
  name: str, module: models.GaitNetwork, clips: int, frames: int, trains: bool
) -> None:
  """Prints all about one network."""
  bits = f", {module.quantization.name}" if module.quantization else ""
  print(f"\n{name}; one clip of {frames} frames, {module.dtype.name}{bits}")
  plain = module.clone(quantization=None)
  print("\n".join(module_table(plain, frames)))
  params = cost.abstract_parameters(plain)
  print(
    f"parameters: {cost.parameters(params):,}; without neck "
    f"{cost.inference_parameters(params):,}; at inference "
    f"{cost.retrieval_parameters(plain):,}"
  )
  print(f"GMAC/frame: {cost.gmac_per_frame(plain):.4f}")
  if module.quantization:
    print("\n".join(deployed_text(module, frames)))
  ends = cost.output_shapes(plain, frames).items()
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


def describe_networks(c: ConfigDict) -> None:
  """Describes the student and the teachers."""
  clips = c.batch.identities * c.batch.sequences
  frames = programs_lib.clip_frames(c.clip)
  networks = {"student": c.model}
  networks |= {f"teacher {name}": t.model for name, t in c.teachers.items()}
  for name, model in networks.items():
    trains = name == "student"
    bits = c.quantization if trains else None
    module = models.create_model(model, c.dtype, bits)
    describe(f"{name}: {model.name}", module, clips, frames, trains)


def describe_plan(c: ConfigDict) -> None:
  """Prints the layers that an export of the student writes."""
  module = models.create_model(c.model, c.dtype, c.quantization)
  found = planning.plan_of(
    module, models.init_variables(module, jax.random.key(0))
  )
  rows = [("module", "layer", "result", "bits"), *plan.describe(found)]
  print("\n".join(table(rows, "<<<<")))


def compile_program(
  programs: programs_lib.Programs, target: devices.Target, program: str
) -> dict[str, Any]:
  """Compiles "train" or "embed"; returns what `--json` prints of it.

  All but the clips is of one device. If the compiler refuses a program because
  it does not fit, what only it can say is missing.
  """
  c, count = programs.config, programs.mesh.size
  if program == "train":
    clips, frames = programs.clips, programs.frames
    function, arguments = programs.train_step, programs.train_arguments()
    flops = programs.flop(clips, frames)[0] / count
  else:
    # The largest batch that an evaluation makes.
    clips = -(-c.eval.batch_size // count) * count
    frames = c.eval.max_frames
    function = programs.embed_step
    arguments = programs.embed_arguments(clips, frames)
    flops = programs.flop(clips, frames)[1] / count
  found = {
    "target": target.name,
    "device": target.device.name,
    "devices": count,
    "jax": jax.__version__,
    "config": config_flags.get_config_filename(flags.FLAGS[_CONFIG.name]),
    "program": program,
    "dtype": c.dtype,
    "teachers": len(programs.run_teachers) if program == "train" else 0,
    "clips": clips,
    "frames": frames,
    "network_flops": flops,
    "usable_gib": target.device.usable / _GIB,
  }
  try:
    compiled = ahead.compile_for(target, function.lower(*arguments))
  except ahead.DoesNotFit as e:
    memory = traffic.Memory(0, 0, 0, temporaries=int(e.needed))
    found |= {"fits": False, "needed_gib": e.needed / _GIB or None}
  else:
    memory = compiled.memory
    found |= bounds(target.device, c.dtype, clips, flops, compiled)
  found |= {"fitting_clips": None, "advice": []}
  if memory.total:
    batch = sum(x.size * x.dtype.itemsize for x in arguments[-1].values())
    found["fitting_clips"] = roofline.fitting_clips(
      memory, batch / count, target.device.usable, clips, count
    )
  if not found["fits"]:
    found["advice"] = advice(
      programs, target, program, found["fitting_clips"], clips
    )
  return found


def bounds(
  device: devices.Device,
  dtype: str,
  clips: int,
  flops: float,
  compiled: ahead.Compiled,
) -> dict[str, Any]:
  """What a compiled program takes, and how fast it is at most.

  Args:
    device: that it was compiled for.
    dtype: of the network.
    clips: of the global batch.
    flops: of one device, for a compiler that does not count them.
    compiled: what the compiler says.
  """
  flops, memory = compiled.flops or flops, compiled.memory
  found = roofline.roofline(device, dtype, flops, compiled.bytes_moved)
  return {
    "fits": memory.total <= device.usable,
    "needed_gib": memory.total / _GIB,
    "arguments_gib": memory.arguments / _GIB,
    "temporaries_gib": memory.temporaries / _GIB,
    "flops": flops,
    "bytes": compiled.bytes_moved,
    "arithmetic_s": found.arithmetic,
    "memory_s": found.memory,
    "binds": found.binds,
    "clips_per_s": clips / found.seconds,
    "compile_s": compiled.seconds,
  }


def advice(
  programs: programs_lib.Programs,
  target: devices.Target,
  program: str,
  fitting: int | None,
  clips: int,
) -> list[str]:
  """What makes a program smaller, of what this config can change.

  Args:
    programs: of the config.
    target: on which it does not fit.
    program: "train" or "embed".
    fitting: clips of a global batch that about fit; None if that is not known.
    clips: of the batch that does not.
  """
  c, train = programs.config, program == "train"
  batch = "batch.identities x batch.sequences" if train else "eval.batch_size"
  found = []
  if fitting:
    found.append(f"a batch of about {fitting} clips (config.{batch})")
  if not train:
    found.append("shorter sequences (--config.eval.max_frames)")
  if c.dtype == "float32":
    found.append("--config.dtype=bfloat16")
  if train and not c.model.get("remat", True):
    found.append("--config.model.remat=True")
  if train and programs.run_teachers:
    found.append("teachers that are precomputed (--mode=cache)")
  for name in target.larger if fitting else ():
    count = devices.TARGETS[name].count
    shared = not train or not clips % count  # an evaluation fills its batches
    if shared and fitting * count >= clips * target.count:
      found.append(f"{count} devices (--target={name})")
      break
  return found


def target_text(found: dict[str, Any]) -> list[str]:
  """The lines that `describe_target` prints of a program."""
  name = "training step" if found["program"] == "train" else "embedding step"
  lines = [
    f"{name}, {found['clips']} clips of {found['frames']} frames, "
    f"{found['dtype']}; a device:"
  ]
  needed = f"{found['needed_gib'] or float('nan'):.2f}"
  fitting = found["fitting_clips"]
  if not found["fits"]:
    end = f"; what helps: {'; '.join(found['advice'])}"
  elif fitting > _FAR * found["clips"]:
    end = f"; more than {_FAR} times the clips would fit"
  else:
    end = f"; about {fitting:,} clips would fit"
  parts = ""
  if "flops" in found:
    parts = (
      f" (arguments {found['arguments_gib']:.2f}, temporaries "
      f"{found['temporaries_gib']:.2f})"
    )
  lines.append(
    f"  memory: {'fits' if found['fits'] else 'DOES NOT FIT'}, {needed} of "
    f"{found['usable_gib']:.2f} GiB{parts}{end}"
  )
  if "flops" not in found:
    return lines
  lines += [
    f"  arithmetic: {1e-12 * found['flops']:.3f} TFLOP (the networks' own "
    f"{1e-12 * found['network_flops']:.3f}), at least "
    f"{1e3 * found['arithmetic_s']:.2f} ms",
    f"  memory traffic: {1e-9 * found['bytes']:.2f} GB, at least "
    f"{1e3 * found['memory_s']:.2f} ms",
    f"  bound by {found['binds']}: at most {found['clips_per_s']:,.0f} clips/s "
    f"on all devices (compiled in {found['compile_s']:.0f} s)",
  ]
  return lines


def describe_target(c: ConfigDict, name: str) -> None:
  """Compiles a config's programs for devices that are not here."""
  for program in _PROGRAMS.value:
    if program not in ("train", "embed"):
      raise errors.UserError(
        f"--programs has {program!r}; give train, embed or both"
      )
  target = devices.find_target(name)
  ahead.prepare(target)
  programs = programs_lib.create(c, ahead.create_mesh(target))
  if not _JSON.value:
    device = target.device
    print(
      f"{target.name}: {programs.mesh.size} x {device.name}, each "
      f"{1e-12 * device.flops[c.dtype]:.0f} TFLOP/s ({c.dtype}), "
      f"{1e-9 * device.bandwidth:.0f} GB/s, {device.memory_gb} GB, of which "
      f"programs have {device.usable / _GIB:.2f} GiB",
      flush=True,
    )
    placement.tell(programs.place, *programs.placed_teachers.values())
  for program in _PROGRAMS.value:
    found = compile_program(programs, target, program)
    lines = [json.dumps(found)] if _JSON.value else target_text(found)
    print("\n".join(lines), flush=True)


def main(argv: list[str]) -> None:
  """Describes networks, or programs on a target."""
  del argv
  c = cli.config(_CONFIG)
  config_lib.check(c)
  if _PLAN.value:
    describe_plan(c)
  elif _TARGET.value:
    describe_target(c, _TARGET.value)
  elif _JSON.value:
    raise errors.UserError("--json is of a --target; give one, or leave it out")
  else:
    describe_networks(c)


if __name__ == "__main__":
  cli.run(main)

"""Checkpoints that are exported, and what an export leaves."""

from gaitkd_jax import checkpoint
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax.export import command
from gaitkd_jax.export import silhouettes
from gaitkd_jax.quantize import calibration
from gaitkd_jax.quantize import post_training
from tests.helpers import networks
from tests.helpers import quantized

MODEL = dict(
  name="deepgaitv2",
  mode="p3d",
  blocks=(1, 1, 1, 1),
  channels=(8, 8, 8, 8),
  num_classes=3,
)
CLASSES = [f"walkers/{i:03d}" for i in range(1, 4)]


def save(workdir, model=None, step=5, bits=None, classes=CLASSES, **meta):
  """Writes a checkpoint whose values are of a size that networks have."""
  model = model or MODEL
  section = quantized.section(**bits) if bits else None
  module = models.create_model(model, quantization=section)
  variables = networks.random_variables(module.clone(quantization=None))
  form = {}
  if bits:
    mesh = sharding.create_mesh(1)
    whole = post_training.with_quantizers(module, variables, mesh)
    batch = next(silhouettes.walkers_batches(module.in_channels))
    batch = {name: values[:2, :5] for name, values in batch.items()}
    steps = calibration.observe(
      module, whole, [sharding.put_batch(batch, mesh)], mesh
    )
    variables = calibration.with_steps(whole, steps)
    form = module.quantization.form
  checkpoint.save_model(
    workdir / "checkpoints",
    variables,
    {"model": dict(model), "quantization": form, "classes": classes, **meta},
    step=step,
  )
  return str(workdir)


def export(checkpoint_path, output, **changes):
  """Exports, as the command line does."""
  request = command.Request(str(checkpoint_path), str(output), **changes)
  return command.export(request)

"""TFDS builder of the synthetic walkers."""

from collections.abc import Iterator
import contextlib
import dataclasses

import tensorflow_datasets as tfds

from data_pipelines import examples
from data_pipelines.walkers import generate
from data_pipelines.walkers import spec as spec_lib


@dataclasses.dataclass(eq=False)
class WalkersConfig(tfds.core.BuilderConfig):
  """One variant of the set.

  Attributes:
    size: Subjects, splits, views and frames.
    spec: Knobs of the difficulty. A variant with other knobs needs a name of
      its own: prepared data are found by name.
    heatmaps: Whether heat maps lie beside the silhouettes.
  """

  size: spec_lib.Size = spec_lib.SIZES["tiny"]
  spec: spec_lib.Spec = spec_lib.Spec()
  heatmaps: bool = False


def config_name(variant: str, heatmaps: bool = False) -> str:
  """Names the config of a variant with or without heat maps."""
  return f"{variant}_heatmaps" if heatmaps else variant


class Builder(tfds.core.GeneratorBasedBuilder):
  """Silhouettes of synthetic walking people, and heat maps of their joints.

  Preparing renders on all cores. Frames go to an "incomplete" folder that is
  renamed when everything is written, so that an interrupted run leaves nothing
  that is taken for the whole set; the next run starts over.
  """

  # The first number follows `spec.VERSION`, the second the features.
  VERSION = tfds.core.Version(f"{spec_lib.VERSION}.1.0")
  BUILDER_CONFIGS = [
    WalkersConfig(
      name=config_name(name, heatmaps),
      description=(
        f"{size.subjects} subjects ({size.train} train), {len(size.views)}"
        f" views, {size.frames} frames a sequence"
        f"{', with heat maps' if heatmaps else ''}."
      ),
      size=size,
      heatmaps=heatmaps,
    )
    for heatmaps in (False, True)
    for name, size in spec_lib.SIZES.items()
  ]

  def _info(self) -> tfds.core.DatasetInfo:
    modalities = ["silhouettes"] + ["heatmaps"] * self.builder_config.heatmaps
    return self.dataset_info_from_configs(
      features=examples.features(modalities), homepage=None
    )

  def _split_generators(self, dl_manager: tfds.download.DownloadManager):
    del dl_manager  # nothing to download
    size = self.builder_config.size
    return {
      split: self._generate_examples(size.split(split))
      for split in ("train", "test")
    }

  def _generate_examples(
    self, subjects: tuple[str, ...]
  ) -> Iterator[tuple[str, dict[str, object]]]:
    config = self.builder_config
    rendered = generate.sequences(
      config.size, subjects, config.spec, heatmaps=config.heatmaps
    )
    with contextlib.closing(rendered):
      for subject, condition, view, modalities in rendered:
        name = f"{subject}-{condition}-{view}"
        texts = {"subject": subject, "condition": condition, "view": view}
        yield name, modalities | texts | {"name": name}

"""TFDS builder of the synthetic walkers."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import dataclasses
import os
from typing import Any
from typing import ClassVar

import tensorflow_datasets as tfds

from data_pipelines import build_notes
from data_pipelines import examples
from data_pipelines.walkers import generate
from data_pipelines.walkers import spec as spec_lib
from gaitkd_jax import errors
from gaitkd_jax import storage


@dataclasses.dataclass(eq=False)
class WalkersConfig(tfds.core.BuilderConfig):
  """One variant of the set.

  Attributes:
    size: Subjects, splits, views and frames.
    spec: Knobs of the difficulty. A variant with other knobs needs another
      name, since prepared data are found by name.
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

  Preparing renders on all cores. Files are written to an "incomplete" folder,
  which is renamed when everything is there: an interrupted run leaves nothing
  that could be taken for the whole set, and the next run starts over.

  Attributes:
    SHOWS_BAR: see `datasets.Builder`.
  """

  SHOWS_BAR: ClassVar[bool] = False

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

  @classmethod
  def from_config(cls, data: Any, beam: bool = False) -> Builder:
    """Makes the builder that a config asks for.

    Args:
      data: see `datasets.prepare`.
      beam: without effect; this machine renders.

    Raises:
      errors.UserError: there is no such variant, modality or partition.
    """
    del beam
    if data.variant not in spec_lib.SIZES:
      raise errors.UserError(
        f"data.variant: there is no walkers variant {data.variant!r}; choose"
        f" one of {', '.join(spec_lib.SIZES)}"
      )
    modalities = examples.check_modalities(data.modalities)
    if data.partition not in ("", "halves"):
      raise errors.UserError(
        f"data.partition {data.partition}: walkers have a division of their"
        " own; leave it empty"
      )
    for key in ("train_subjects", "test_subjects"):
      if getattr(data, key, ()):
        raise errors.UserError(
          f"data.{key}: walkers have a division of their own; leave it empty"
          " (data.variant=validation tests subjects that train elsewhere)"
        )
    return cls(
      config=config_name(data.variant, "heatmaps" in modalities),
      data_dir=os.path.expanduser(data.prepared),
    )

  @classmethod
  def builds(
    cls, prepared: str | os.PathLike[str]
  ) -> dict[str, build_notes.Build]:
    """See `datasets.Builder`."""
    folder = storage.path(prepared) / cls.name
    found = {}
    for heatmaps in (False, True):
      for variant in spec_lib.SIZES:
        name = config_name(variant, heatmaps)
        if (folder / name / str(cls.VERSION) / "dataset_info.json").exists():
          modalities = ("silhouettes",) + ("heatmaps",) * heatmaps
          found[name] = build_notes.Build(modalities, variant)
    return found

  def probes(self) -> tuple[str, ...]:
    """Returns nothing: walkers have no list of probes."""
    return ()

  def gallery(self) -> None:
    """Returns nothing: walkers have no list of a gallery."""

  def _info(self) -> tfds.core.DatasetInfo:
    modalities = ["silhouettes"] + ["heatmaps"] * self.builder_config.heatmaps
    return self.dataset_info_from_configs(
      features=examples.features(modalities), homepage=None
    )

  def _split_generators(
    self, dl_manager: tfds.download.DownloadManager
  ) -> dict[str, Any]:
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

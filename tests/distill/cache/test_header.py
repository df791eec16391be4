"""Stores that were made from something else."""

import json

import jax
import numpy as np
import pytest

from data_pipelines import training
from gaitkd_jax import errors
from gaitkd_jax.distill.cache import header as header_lib
from tests.helpers import teacher_cache


@pytest.mark.parametrize(
  "changes, words",
  [
    ({"seed": 1}, "seed 0, and now it is 1"),
    ({"clip.frames": 5}, "clip.frames 6, and now it is 5"),
    ({"clip.kind": "fixed_unordered"}, "clip.kind"),
    ({"augment.flip": 0.5}, "augment.flip 0.2, and now it is 0.5"),
    ({"cache.views": 3}, "views 2, and now it is 3"),
    ({"teachers.gaitbase.model.embedding_dim": 9}, "model.embedding_dim 16"),
    ({"dtype": "bfloat16"}, 'dtype "float32", and now it is "bfloat16"'),
  ],
  ids=str,
)
def test_another_config_is_refused(filled, changes, words):
  config, folder, _ = filled
  other = config.copy_and_resolve_references()
  other.update_from_flattened_dict(changes)
  with pytest.raises(errors.UserError, match=words) as e:
    teacher_cache.open_stores(other, folder)
  assert "\n" not in str(e.value) and str(folder) in str(e.value)


def test_another_teacher_is_refused(filled):
  config, folder, _ = filled
  _, frozen = teacher_cache.restored(config)
  other = jax.tree.map(np.array, frozen)
  first = jax.tree.leaves(other["gaitbase"]["params"])[0]
  first.flat[0] = np.nextafter(first.flat[0], 1)
  with pytest.raises(errors.UserError, match="another checkpoint") as e:
    teacher_cache.open_stores(config, folder, other)
  assert "\n" not in str(e.value) and "gaitbase" in str(e.value)
  teacher_cache.open_stores(config, folder, {"deepgaitv2": other["deepgaitv2"]})


def test_other_data_are_refused(filled, monkeypatch):
  config, folder, _ = filled
  real = training.training_split

  def changed(config):
    split = real(config)
    split.lengths[5] += 1
    return split

  monkeypatch.setattr(training, "training_split", changed)
  with pytest.raises(errors.UserError, match="other training sequences") as e:
    teacher_cache.open_stores(config, folder)
  assert "\n" not in str(e.value)


def test_leaves_are_compared_by_name():
  wanted = {"a": 1, "clip": {"kind": "x", "frames": (3, 4)}, "digest": ""}
  stored = {"a": 1, "clip": {"kind": "x", "frames": [3, 4]}, "digest": "ab"}
  header_lib.check("here", stored, wanted)
  for changed, words in (
    ({"a": 2}, "here was filled with a 2, and now it is 1"),
    ({"a": None}, "a null, and now it is 1"),
    ({"clip": {"kind": "x"}}, "clip.frames absent, and now it is .3, 4."),
    ({"clip": stored["clip"] | {"skip": 1}}, "clip.skip 1, and now it is abs"),
  ):
    with pytest.raises(errors.UserError, match=words):
      header_lib.check("here", stored | changed, wanted)
  with pytest.raises(errors.UserError, match="digest ab, now cd"):
    header_lib.check("here", stored, wanted | {"digest": "cd"})


def test_scale_and_temperature_matter_to_the_largest_logits_only():
  wanted = {"scale": 16.0, "temperature": 4.0}
  stored = {"scale": 1.0, "temperature": 4.0, "largest": 0}
  header_lib.check("here", stored, wanted)
  with pytest.raises(errors.UserError, match="scale 1.0, and now it is 16.0"):
    header_lib.check("here", stored | {"largest": 3}, wanted)


def test_the_keys_of_a_header(filled):
  _, folder, _ = filled
  header = json.loads((folder / "gaitbase" / "header.json").read_text())
  assert header["views"] == teacher_cache.CLIPS and header["format"] == 1
  described = "format model dtype data clip augment seed views scale"
  stored = "temperature digest classes largest arrays"
  assert header.keys() == {*described.split(), *stored.split()}
  assert header["data"].keys() == {
    "name",
    "variant",
    "version",
    "sequences",
    "fingerprint",
  }

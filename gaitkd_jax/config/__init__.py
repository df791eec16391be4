"""Configs: their keys, the published networks, variants and checks."""

from gaitkd_jax.config.checks import check
from gaitkd_jax.config.checks import check_batch
from gaitkd_jax.config.defaults import CLIP_KEYS
from gaitkd_jax.config.defaults import MODALITIES
from gaitkd_jax.config.defaults import RANDOM
from gaitkd_jax.config.defaults import SAMPLERS
from gaitkd_jax.config.defaults import TRAIN_SUBJECTS
from gaitkd_jax.config.defaults import benchmark
from gaitkd_jax.config.defaults import clip
from gaitkd_jax.config.defaults import da_augment
from gaitkd_jax.config.defaults import data
from gaitkd_jax.config.defaults import default
from gaitkd_jax.config.defaults import multistep
from gaitkd_jax.config.defaults import onecycle
from gaitkd_jax.config.defaults import swingait_optim
from gaitkd_jax.config.defaults import teacher
from gaitkd_jax.config.defaults import term
from gaitkd_jax.config.networks import deepgaitv2
from gaitkd_jax.config.networks import gaitbase
from gaitkd_jax.config.networks import skeletongaitpp
from gaitkd_jax.config.networks import swingait
from gaitkd_jax.config.recipes import distillation
from gaitkd_jax.config.recipes import silence_gaitkd
from gaitkd_jax.config.recipes import walkers_student
from gaitkd_jax.config.recipes import warm_up
from gaitkd_jax.config.variants import smoke
from gaitkd_jax.config.variants import with_variant
from gaitkd_jax.config.variants import without_teachers

__all__ = [
  "CLIP_KEYS",
  "MODALITIES",
  "RANDOM",
  "SAMPLERS",
  "TRAIN_SUBJECTS",
  "benchmark",
  "check",
  "check_batch",
  "clip",
  "da_augment",
  "data",
  "deepgaitv2",
  "default",
  "distillation",
  "gaitbase",
  "multistep",
  "onecycle",
  "silence_gaitkd",
  "skeletongaitpp",
  "smoke",
  "swingait",
  "swingait_optim",
  "teacher",
  "term",
  "walkers_student",
  "warm_up",
  "with_variant",
  "without_teachers",
]

"""Configs: their keys, the published networks, shared recipes and checks."""

from gaitkd_jax.config.checks import check
from gaitkd_jax.config.checks import check_batch
from gaitkd_jax.config.checks import check_frames
from gaitkd_jax.config.checks import check_keys
from gaitkd_jax.config.defaults import CLIP_KEYS
from gaitkd_jax.config.defaults import IMPORTED
from gaitkd_jax.config.defaults import MODALITIES
from gaitkd_jax.config.defaults import RANDOM
from gaitkd_jax.config.defaults import SAMPLERS
from gaitkd_jax.config.defaults import TRAIN_SUBJECTS
from gaitkd_jax.config.defaults import adam_optim
from gaitkd_jax.config.defaults import augment
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
from gaitkd_jax.config.methods import Method
from gaitkd_jax.config.methods import distillation
from gaitkd_jax.config.methods import rival
from gaitkd_jax.config.methods import warm_up
from gaitkd_jax.config.networks import deepgaitv2
from gaitkd_jax.config.networks import foundationgait
from gaitkd_jax.config.networks import gaitbase
from gaitkd_jax.config.networks import gaitbase_plain
from gaitkd_jax.config.networks import gaitgl
from gaitkd_jax.config.networks import gaitpart
from gaitkd_jax.config.networks import gaitset
from gaitkd_jax.config.networks import imported
from gaitkd_jax.config.networks import skeletongaitpp
from gaitkd_jax.config.networks import swingait
from gaitkd_jax.config.quantized import qgait
from gaitkd_jax.config.quantized import read_bits
from gaitkd_jax.config.quantized import two_stages
from gaitkd_jax.config.quantized import walkers_qgait
from gaitkd_jax.config.recipes import gaitkd
from gaitkd_jax.config.recipes import supervised
from gaitkd_jax.config.recipes import walkers_gaitkd
from gaitkd_jax.config.recipes import walkers_student
from gaitkd_jax.config.recipes import walkers_teacher
from gaitkd_jax.config.recipes import walkers_teacher_maps
from gaitkd_jax.config.recipes import without_teachers
from gaitkd_jax.config.variants import FOUNDATIONGAIT
from gaitkd_jax.config.variants import GAITKD
from gaitkd_jax.config.variants import NOT_MEASURED
from gaitkd_jax.config.variants import OPENGAIT
from gaitkd_jax.config.variants import OPENGAIT_GREW
from gaitkd_jax.config.variants import OPENGAIT_HID
from gaitkd_jax.config.variants import Help
from gaitkd_jax.config.variants import Variant
from gaitkd_jax.config.variants import load
from gaitkd_jax.config.variants import load_module
from gaitkd_jax.config.variants import select
from gaitkd_jax.config.variants import smoke

__all__ = [
  "CLIP_KEYS",
  "FOUNDATIONGAIT",
  "GAITKD",
  "Help",
  "IMPORTED",
  "MODALITIES",
  "Method",
  "NOT_MEASURED",
  "OPENGAIT",
  "OPENGAIT_GREW",
  "OPENGAIT_HID",
  "RANDOM",
  "SAMPLERS",
  "TRAIN_SUBJECTS",
  "Variant",
  "adam_optim",
  "augment",
  "benchmark",
  "check",
  "check_batch",
  "check_frames",
  "check_keys",
  "clip",
  "da_augment",
  "data",
  "deepgaitv2",
  "default",
  "distillation",
  "foundationgait",
  "gaitbase",
  "gaitbase_plain",
  "gaitgl",
  "gaitkd",
  "gaitpart",
  "gaitset",
  "imported",
  "load",
  "load_module",
  "multistep",
  "onecycle",
  "qgait",
  "read_bits",
  "rival",
  "select",
  "skeletongaitpp",
  "smoke",
  "supervised",
  "swingait",
  "swingait_optim",
  "teacher",
  "term",
  "two_stages",
  "walkers_gaitkd",
  "walkers_qgait",
  "walkers_student",
  "walkers_teacher",
  "walkers_teacher_maps",
  "warm_up",
  "without_teachers",
]

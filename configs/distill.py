r"""GaitKD and its rivals, one recipe each, on the same student and teachers.

python -m gaitkd_jax.main --config=configs/distill.py:rkd --workdir=runs/rkd

Embedded data, one process on two CPU cores, some three minutes a method.

python -m gaitkd_jax.main --config=configs/distill.py:rkd_gait3d \
  --workdir=runs/rkd_gait3d --config.data.root=<Gait3D> \
  --config.teachers.deepgaitv2.checkpoint=runs/deepgaitv2_gait3d

With _gait3d, _ccpg or _sustech1k behind it a method is the same on a benchmark
with the paper's teachers. Hardware of these: GPUs or a TPU. Time: not measured.
`gaitkd_two_teachers` also needs --config.teachers.swingait.checkpoint there.

To expect: the list below. Figures of the embedded data are Rank-1, the mean of
NM, BG and CL, after 100 of the 200 steps; the student alone has 36.67.
"""

import pathlib

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib

_SHIPPED = pathlib.Path(__file__).parent.parent / "shipped_teachers"


def _gaitkd(c: ConfigDict) -> None:
  del c  # GaitKD's weights are the defaults


def _gaitkd_two_teachers(c: ConfigDict) -> None:
  c.distillation.decision = "mean"


# Weights and combination were chosen on walkers that train, of whom eight were
# kept back: docs/study_teaching_search.md.
def _gaitkd_centred(c: ConfigDict) -> None:
  for teacher in c.teachers.values():
    teacher.boundary_centre, teacher.boundary_reduce = "neck", "mean"
    teacher.boundary_weight = 10.0


def _boundary_centred(c: ConfigDict) -> None:
  _gaitkd_centred(c)
  for teacher in c.teachers.values():
    teacher.decision_weight, teacher.boundary_weight = 0.0, 30.0


def _best(c: ConfigDict) -> None:
  config_lib.rival("rkd")(c)
  for teacher in c.teachers.values():
    teacher.boundary_centre, teacher.boundary_reduce = "neck", "mean"
    teacher.boundary_weight = 10.0


def _channel_wise(c: ConfigDict) -> None:
  # The embedded networks are of one width at these end points.
  stage = "stage3" if c.data.name == "walkers" else "stage4"
  config_lib.rival("channel_wise", end_points=("stage4", stage))(c)


def _grouped_kd(c: ConfigDict) -> None:
  top = min(300, c.model.num_classes // 4)
  config_lib.rival("grouped_kd", config_lib.warm_up, top=top)(c)


def _instance_relation(c: ConfigDict) -> None:
  config_lib.rival("instance")(c)
  c.terms.instance.share = dict(
    kind="linear", start=1.0, end=0.3, steps=c.train.get_ref("steps") // 2
  )
  size = 512 if c.data.name == "walkers" else 4096
  config_lib.rival("relation_bank", size=size)(c)


def _patch_swap(c: ConfigDict) -> None:
  config_lib.without_teachers(c)
  c.terms.patch_swap = config_lib.term("patch_swap", weight=1.0)


METHODS = {
  "gaitkd": config_lib.Method(
    "GaitKD with one teacher (arXiv 2604.26255): decision and boundary level.",
    _gaitkd,
    rank1=41.56,
    published={
      "gait3d": "Rank-1 63.3",
      "ccpg": "Rank-1 91.9, mean of CL, UP, DN and BG",
    },
  ),
  "gaitkd_two_teachers": config_lib.Method(
    "GaitKD with two teachers: the mean of decisions, the sum of boundaries. "
    "GaitKD's code adds the decisions up: --config.distillation.decision=sum. "
    "With --config.distillation.boundary=vote the teachers agree on a side "
    "first.",
    _gaitkd_two_teachers,
    rank1=40.11,
    published={
      "gait3d": "Rank-1 65.8",
      "ccpg": "Rank-1 93.1, mean of CL, UP, DN and BG",
    },
    teachers=2,
  ),
  "gaitkd_centred": config_lib.Method(
    "GaitKD with signs behind the teacher's neck, against the student's "
    "standardised channels: a boundary level that is not empty. As `best`: "
    "Rank-1 45.72, 69.88 and 79.15.",
    _gaitkd_centred,
  ),
  "boundary_centred": config_lib.Method(
    "The boundary level of gaitkd_centred alone, three times as strong. As "
    "`best`: Rank-1 47.00, 69.70 and 78.19.",
    _boundary_centred,
  ),
  "best": config_lib.Method(
    "What made the best student of the embedded data: the centred boundary "
    "level with relations (RKD), without decisions. Cached clips, five seeds: "
    "Rank-1 53.77, 71.38 and 79.72 after 100, 400 and 1,600 steps, 16.94 +- "
    "2.31, 15.19 +- 2.20 and 0.84 +- 1.26 above the student alone "
    "(docs/study_teaching.md).",
    _best,
  ),
  "kd": config_lib.Method(
    "Plain distillation of logits (Hinton et al., arXiv 1503.02531), "
    "uncalibrated.",
    config_lib.rival("kd"),
    rank1=35.86,
  ),
  "ka_ps": config_lib.Method(
    "Knowledge adjustment by probability shift (arXiv 1911.07471).",
    config_lib.rival("ka_ps"),
  ),
  "ka_lsr": config_lib.Method(
    "Knowledge adjustment by label smoothing (arXiv 1911.07471).",
    config_lib.rival("ka_lsr"),
  ),
  "standardised_kd": config_lib.Method(
    "Distillation of standardised logits (arXiv 2403.01427).",
    config_lib.rival("standardised_kd", 9.0),
  ),
  "logit_mse": config_lib.Method(
    "The mean squared difference of scaled logits.",
    config_lib.rival("logit_mse", 0.1),
  ),
  "dkd": config_lib.Method(
    "Decoupled distillation, the truth and the rest (DKD, CVPR 2022).",
    config_lib.rival("dkd", config_lib.warm_up),
    rank1=36.95,
  ),
  "gdkd": config_lib.Method(
    "Generalised decoupling by the teacher's largest logits (GDKD, arXiv "
    "2512.04625).",
    config_lib.rival("gdkd", config_lib.warm_up),
    rank1=31.72,
  ),
  "grouped_kd": config_lib.Method(
    "Grouped distillation by the student's largest logits (GKD, AAAI 2023).",
    _grouped_kd,
  ),
  "ofa": config_lib.Method(
    "The logit loss for unlike networks (OFA-KD, NeurIPS 2023).",
    config_lib.rival("ofa"),
    rank1=36.36,
  ),
  "dist": config_lib.Method(
    "Correlations over classes and over the batch (DIST, NeurIPS 2022).",
    config_lib.rival("dist"),
    rank1=48.69,
  ),
  "cross_view": config_lib.Method(
    "Decisions on a weak and on a strong augmentation of a clip agree (CRLD, "
    "ACM MM 2024).",
    config_lib.rival("cross_view"),
  ),
  "feature_mse": config_lib.Method(
    "Regression of part embeddings.",
    config_lib.rival("feature_mse"),
    rank1=31.90,
  ),
  "unit_mse": config_lib.Method(
    "Regression of part embeddings at length 1.",
    config_lib.rival("unit_mse", 10.0),
  ),
  "cosine": config_lib.Method(
    "The cosine distance of part embeddings.", config_lib.rival("cosine")
  ),
  "ekd": config_lib.Method(
    "Evaluation-oriented distillation (EKD, CVPR 2022).",
    config_lib.rival("ekd"),
  ),
  "adadistill": config_lib.Method(
    "Class centres that follow the teacher (AdaDistill, ECCV 2024).",
    config_lib.rival("adadistill", 0.1),
  ),
  "contrastive": config_lib.Method(
    "Contrast of a clip for both networks with the others (InfoNCE).",
    config_lib.rival("contrastive", 0.5),
  ),
  "rkd": config_lib.Method(
    "Relational distillation, distances and angles (RKD, CVPR 2019).",
    config_lib.rival("rkd"),
    rank1=51.15,
  ),
  "similarity": config_lib.Method(
    "Similarity-preserving distillation (SP, ICCV 2019).",
    config_lib.rival("similarity", 10.0),
  ),
  "correlation": config_lib.Method(
    "Correlation congruence (CC, ICCV 2019).", config_lib.rival("correlation")
  ),
  "instance_relation": config_lib.Method(
    "Instance-level and relation-based distillation, after arXiv 2508.11376: "
    "embeddings are aligned, hard ones first; similarities to a memory of past "
    "clips follow the teacher's. Its formulas could not be read; the "
    "definitions are this library's.",
    _instance_relation,
    rank1=34.59,
  ),
  "attention": config_lib.Method(
    "Attention transfer of the set's feature map (AT, arXiv 1612.03928).",
    config_lib.rival("attention", 1000.0, end_points=("set", "set")),
  ),
  "channel_wise": config_lib.Method(
    "Channel-wise distillation of feature maps (CWD, ICCV 2021).",
    _channel_wise,
  ),
  "patch_swap": config_lib.Method(
    "No teacher: clips of one person exchange bands (after arXiv 2505.14124).",
    _patch_swap,
    rank1=27.67,
  ),
}
VARIANTS = config_lib.distillation(METHODS, _SHIPPED)


def get_config(variant: str = "") -> ConfigDict:
  """Returns the config of a variant."""
  return config_lib.select(__doc__, VARIANTS, variant)

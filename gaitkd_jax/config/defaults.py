"""The keys that every config has, and the sections that recipes share.

Published recipes of networks are those of OpenGait
(github.com/ShiqiYu/OpenGait), those of distillation are GaitKD's (arXiv
2604.26255).
"""

from typing import Any

from ml_collections import ConfigDict

from gaitkd_jax.config import networks

RANDOM = "random"
# The name of a model that is not here: its outputs were imported.
IMPORTED = networks.IMPORTED
MODALITIES = ("silhouettes", "heatmaps")
# Kinds of clips, and the values that each uses; see `default`.
CLIP_KEYS = dict(
  fixed_ordered=("frames", "skip"),
  fixed_unordered=("frames",),
  unfixed_ordered=("min_frames", "max_frames", "skip"),
  unfixed_unordered=("min_frames", "max_frames"),
  all_ordered=("max_frames",),
)
SAMPLERS = ("triplet", "shuffled")
# Benchmarks, and how many subjects each trains on.
TRAIN_SUBJECTS = dict(
  casiab=74,
  oumvlp=5153,
  grew=20_000,
  gait3d=3000,
  ccpg=100,
  sustech1k=250,
  casiae=200,
  hid=500,
)


def default() -> ConfigDict:
  """Every key with its default; configs change values, never names."""
  c = ConfigDict()
  c.seed = 0
  # In which networks compute: "float32" or "bfloat16". Parameters are float32.
  c.dtype = "float32"
  c.data = data()
  # fixed_ordered: `frames` out of a window of `frames + skip`, in order.
  # fixed_unordered: `frames` out of the whole sequence, in any order.
  # unfixed_ordered, unfixed_unordered: the same, but each clip draws its number
  # of frames, min_frames to max_frames. all_ordered: the first max_frames.
  c.clip = clip("fixed_ordered")
  c.augment = augment()
  # "triplet": a batch holds `sequences` clips of each of `identities` subjects.
  # "shuffled": it holds as many clips, and every sequence comes once an epoch.
  c.batch = ConfigDict(dict(sampler="triplet", identities=8, sequences=16))
  c.model = networks.gaitbase()
  c.teachers = ConfigDict()
  # How several teachers are combined. decision: "sum" or "mean"; boundary:
  # "sum", "vote" or "agree". parts, where a teacher has other ones than the
  # student: "truncate" compares the first of both, as GaitKD's code does,
  # "overlap" those at the same height.
  c.distillation = ConfigDict(
    dict(decision="sum", boundary="sum", parts="truncate")
  )
  # Further objectives by name, see `term`.
  c.terms = ConfigDict()
  # `--mode=cache` shows the teachers `views` clips of every sequence and stores
  # their outputs: all logits (0), or the so many largest of each part. With
  # clips_only it runs no teacher, and writes the clips for other programs.
  c.cache = ConfigDict(
    dict(views=4, logits=0, dtype="float16", clips_only=False)
  )
  c.losses = ConfigDict()
  c.losses.triplet = ConfigDict(dict(weight=1.0, margin=0.2))
  c.losses.cross_entropy = ConfigDict(
    dict(weight=1.0, scale=16.0, label_smoothing=0.1)
  )
  # What several devices share. classifier: its classes, "split" (each holds its
  # share of kernel, gradient and momentum; where they divide evenly), "whole"
  # (each holds all), or "auto" (split from 32 MiB of kernel on).
  c.sharding = ConfigDict(dict(classifier="auto"))
  c.quantization = _quantization()
  c.optim = _optim()
  c.train = _train()
  # Where JAX keeps compiled programs, for the next start: a folder, also gs://;
  # "" is nowhere. "auto" is ~/.cache/gaitkd_jax/compiled on a GPU or TPU, and
  # nowhere on a CPU.
  c.compilation_cache = "auto"
  c.eval = _eval()
  return c


def augment(**values: float) -> ConfigDict:
  """The probability of each augmentation of a clip; 0 if it is not given."""
  return ConfigDict(
    dict(perspective=0.0, affine=0.0, flip=0.0, rotate=0.0, erase=0.0) | values
  )


def data(name: str = "", **values: Any) -> ConfigDict:
  """A data set.

  Args:
    name: of the data set, see `data_pipelines.datasets.NAMES`.
    **values: any of the following.
      root: the folder of the publisher's tree or of OpenGait's.
      prepared: where the data are kept once they were read.
      modalities: adds "heatmaps" where a network needs them.
      pickles: which pickle holds what, where a folder has several; by index or
        by a part of the name: "silhouettes=6,heatmaps=heatmap".
      skip_damaged: whether to prepare the data without damaged files; they are
        counted.
      cache_gib: how much of the compressed sequences stays in memory.
      variant: the size of walkers.
      partition: the path of a JSON of OpenGait's; or "halves", for a trial on
        few subjects: where the usual division leaves nobody to train or to
        test, the first half of the subjects trains.
      train_subjects, test_subjects: where not empty, they replace the usual
        division.
  """
  return ConfigDict(
    dict(
      name=name,
      root="",
      prepared="~/tensorflow_datasets",
      modalities=("silhouettes",),
      pickles="",
      skip_damaged=False,
      cache_gib=16.0,
      variant="",
      partition="",
      train_subjects=(),
      test_subjects=(),
    )
    | values
  )


def clip(kind: str, **values: int) -> ConfigDict:
  """How clips are cut from sequences; `default` explains the kinds.

  Leave the values that a kind does not use (`CLIP_KEYS`) as they are here.
  """
  return ConfigDict(
    dict(kind=kind, frames=30, skip=4, min_frames=0, max_frames=0) | values
  )


def da_augment() -> ConfigDict:
  """The augmentation that OpenGait's recipes call DA."""
  return augment(perspective=0.2, flip=0.2, rotate=0.2)


def benchmark(c: ConfigDict, name: str) -> None:
  """Sets the data, the protocol and the number of classes of a benchmark.

  Call it when all networks are set: their classes are counted, and heat maps
  are read if one of them needs these.
  """
  c.data = data(name)
  c.eval.protocol = name
  for model in networks_of(c):
    if "num_classes" in model:
      model.num_classes = TRAIN_SUBJECTS[name]
    if model.in_channels > 1:
      c.data.modalities = MODALITIES


def teacher(
  model: ConfigDict, checkpoint: str = "", **values: Any
) -> ConfigDict:
  """A teacher with GaitKD's published weights.

  Args:
    model: its network; `networks.imported()` if another program ran it.
    checkpoint: a workdir, its checkpoints folder or one step of it; "random" is
      an untrained teacher, for trials only.
    **values: any of the following.
      decision_weight, boundary_weight, temperature: of GaitKD's two levels,
        numbers or schedules.
      boundary_centre: "none", GaitKD's: signs of the embedding as it is; or
        "neck": signs behind the teacher's neck, against the student's channels
        standardised by their batch.
      boundary_reduce: over channels, "sum", GaitKD's, or "mean", whose weight
        does not depend on the embedding's width.
      scale: of the cross entropy that trained it; 1 where its logits are no
        cosines.
      connector: whether the student learns a layer that brings its embedding
        to the teacher's width.
      classes: a text file with the names of its classes in order, one a line;
        if empty those that its checkpoint names, else those of the data.
      cache: the folder that a `--mode=cache` run or scripts/import_teacher.py
        wrote of it; the teacher is then not run.
  """
  return ConfigDict(
    dict(
      model=model,
      checkpoint=checkpoint,
      decision_weight=1.0,
      boundary_weight=0.003,
      temperature=4.0,
      boundary_centre="none",
      boundary_reduce="sum",
      scale=16.0,
      connector=False,
      classes="",
      cache="",
    )
    | values
  )


def term(
  kind: str, weight: float | ConfigDict = 1.0, teacher: str = "", **options: Any
) -> ConfigDict:
  """An objective beside, or instead of, GaitKD's two levels.

  Args:
    kind: one of `gaitkd_jax.distill.terms.KINDS`.
    weight: a number or a schedule.
    teacher: the name of one; empty for all.
    **options: those of the loss.
  """
  return ConfigDict(dict(kind=kind, weight=weight, teacher=teacher) | options)


def multistep(*milestones: int) -> ConfigDict:
  """A learning rate that falls tenfold at each milestone."""
  return ConfigDict(dict(kind="multistep", milestones=milestones, gamma=0.1))


def onecycle(c: ConfigDict) -> ConfigDict:
  """A learning rate that rises for a tenth of `train.steps`, then falls to 0.

  It follows a later change of `train.steps`.
  """
  steps = c.train.get_ref("steps")
  return ConfigDict(dict(kind="onecycle", steps=steps, warmup=steps // 10))


def swingait_optim(c: ConfigDict, steps: int) -> None:
  """Sets OpenGait's optimiser of SwinGait; the rate falls for `steps`."""
  c.optim.name, c.optim.groups = "adamw", "swingait"
  c.optim.learning_rate, c.optim.weight_decay = 3e-4, 0.02
  c.optim.schedule = ConfigDict(dict(kind="swin_cosine", steps=steps))


def adam_optim(c: ConfigDict, *milestones: int, steps: int) -> None:
  """Sets OpenGait's optimiser of GaitSet, GaitPart and GaitGL: Adam."""
  c.optim.name, c.optim.learning_rate = "adam", 1e-4
  c.optim.weight_decay = 0.0
  c.optim.schedule = multistep(*milestones)
  c.train.steps = steps


def networks_of(c: ConfigDict) -> list[ConfigDict]:
  """The configs of the student and of the teachers that are no imports."""
  taught = [t.model for t in c.teachers.values()]
  return [c.model] + [m for m in taught if m.get("name") != IMPORTED]


def _optim() -> ConfigDict:
  """`groups` names parameters that learn differently: training/optim.py."""
  optim = ConfigDict(
    dict(
      name="sgd",
      learning_rate=0.1,
      momentum=0.9,
      weight_decay=5e-4,
      clip_norm=0.0,
      groups="",
    )
  )
  # How the learning rate changes with the step: training/schedules.py.
  optim.schedule = ConfigDict(dict(kind="constant"))
  return optim


def _quantization() -> ConfigDict:
  """In how many bits the network computes; `quantize.Settings` explains more.

  `weights` and `activations` are bits, 0 for float. `rounding` is "ste",
  "soft", "ewgs" or "dsq"; `sharpness`, a schedule, is that of "soft".
  `batches` of the training data give steps their start. From step
  `rounding_from` on the rounding has its own derivative, and is
  straight-through before; from `hold_norms_from` on normalisations keep their
  statistics, from `freeze_scales_from` on learned steps, and observed ones of
  activations, their values; 0: never. Learned steps learn at `scale_rate` times
  the rate of the weights.
  """
  return ConfigDict(
    dict(
      weights=0,
      activations=0,
      rounding="ste",
      sharpness=ConfigDict(dict(kind="constant", value=4.0)),
      ewgs_delta=0.02,
      forward="hard",
      scales="learned",
      observer="least_squares",
      range="full",
      batches=4,
      scale_rate=1.0,
      rounding_from=0,
      hold_norms_from=0,
      freeze_scales_from=0,
    )
  )


def _train() -> ConfigDict:
  """In steps.

  `eval_every=0` evaluates at the end only. `init_from` is a workdir or a
  checkpoint from which the arrays of the same name and shape are taken.
  `skip_nonfinite`: so many steps in a row whose loss or gradient is not finite
  change nothing, before one ends the run; 0: the first one ends it.
  """
  return ConfigDict(
    dict(
      steps=60_000,
      log_every=100,
      eval_every=0,
      checkpoint_every=5_000,
      init_from="",
      skip_nonfinite=0,
    )
  )


def _eval() -> ConfigDict:
  """How a network is tested.

  `subjects`: so many of the test subjects are scored while training goes on, 0
  for all; the last evaluation scores all. `memory_gib` bounds the distances in
  memory at once. `lists` is the CSV of protocol lists, `rerank` an option of
  protocol hid_submission. `report` writes a page of the last evaluation, with a
  map of the embeddings, `map`: "tsne" (takes scikit-learn), "umap" (takes
  umap-learn) or "" for none; and, for `saliency` of its probes, the pixels that
  decide: 0 leaves that out.
  `embeddings` is the store that `--mode=score` reads; `--mode=embed` writes one
  in `store_dtype`. `model` is an exported file that is tested, or embeds, in
  place of a checkpoint. `data`, where empty, is the test split of
  `config.data`.
  """
  return ConfigDict(
    dict(
      protocol="casiab",
      metric="euclidean",
      batch_size=64,
      max_frames=720,
      checkpoint="",
      model="",
      subjects=0,
      memory_gib=1.0,
      verification=True,
      report=True,
      map="tsne",
      saliency=3,
      lists="",
      rerank=True,
      embeddings="",
      store_dtype="float32",
      data=ConfigDict(),
    )
  )

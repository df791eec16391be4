"""Teachers of other programs: their outputs for clips become stores."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines import training
from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import errors
from gaitkd_jax import losses
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax import storage
from gaitkd_jax.distill import cache as cache_lib
from gaitkd_jax.distill.cache import imports
from gaitkd_jax.distill.cache import store as store_lib
from tests.helpers import distillation as helpers
from tests.helpers import imported
from tests.helpers import mistakes
from tests.helpers import teacher_cache

ROWS, SHARD = 10, 4


@pytest.fixture(scope="module")
def ran(filled, tmp_path_factory):
  """A store of outputs that a network gave for the clips in the files.

  The network is this library's own, run on what the files hold; rows are in any
  order, and both formats of files are there.

  Returns:
    The config of its training, that of the network, the network's outputs as a
    function of a batch, and the store's folder.
  """
  config, folder = filled[0], tmp_path_factory.mktemp("ran")
  with pytest.MonkeyPatch.context() as patch:
    clips = imported.write_clips(config, folder, patch)
  network = config.copy_and_resolve_references()
  with network.unlocked():
    del network.teachers["deepgaitv2"]
  teachers = distill.create_teachers(network.teachers)
  frozen = distill.restore_teachers(network, teachers, sharding.create_mesh(1))
  run = functools.partial(
    jax.jit(functools.partial(distill.teacher_outputs, teachers)), frozen
  )
  (folder / "outputs").mkdir()
  rng = np.random.default_rng(0)
  for i, (stem, arrays) in enumerate(imported.read_clips(clips).items()):
    several = [
      run({"silhouettes": clip})["gaitbase"]
      for clip in np.split(arrays["silhouettes"], range(32, 640, 32))
      if len(clip)
    ]
    order = rng.permutation(len(arrays["row"]))
    outputs = {
      key: np.concatenate([out[key] for out in several])[order]
      for key in ("embedding", "logits", "neck")
    }
    outputs |= {"row": arrays["row"][order], "digest": arrays["digest"]}
    if i == 1:
      name = folder / "outputs" / f"{stem}.safetensors"
      imported.write_safetensors(name, outputs)
    else:
      np.savez(folder / "outputs" / f"{stem}.npz", **outputs)
  store = folder / "store"
  imports.import_outputs(clips, folder / "outputs", store, "ours")
  of_import = network.copy_and_resolve_references()
  with of_import.unlocked():
    of_import.teachers.gaitbase = config_lib.teacher(
      config_lib.imported(), cache=str(store)
    )
  return of_import, network, run, store


def test_the_store_is_what_the_mode_fills(filled, ran):
  """Row by row, what the network itself gave `--mode=cache`."""
  _, folder, _ = filled
  *_, store = ran
  for name in ("embedding", "logits", "sides"):
    found, expected = (
      np.load(place / f"{name}.npy") for place in (store, folder / "gaitbase")
    )
    if name == "sides":  # but those that rounding turns
      assert np.unpackbits(found ^ expected).mean() < 1e-4
      continue
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_losses_equal_those_of_the_network_itself(ran):
  """Both levels, also centred, and relations, to 1e-4."""
  of_import, config, run, _ = ran
  student = models.create_model(config.model)
  terms = {"rkd": config_lib.term("rkd"), "dist": config_lib.term("dist")}
  terms["centred"] = config_lib.term("boundary", centre="neck", reduce="mean")
  teachers = {
    "network": distill.create_teachers(config.teachers),
    "import": cache_lib.look_up(
      of_import, distill.create_teachers(of_import.teachers)
    ),
  }
  split = training.training_split(of_import)
  data = cache_lib.describe_data(of_import.data, split)
  stores = cache_lib.open_stores(of_import, data, {})
  batch = next(
    cache_lib.attach(teacher_cache.batches_of(config, split), stores)
  )
  outputs = {
    "network": run({"silhouettes": batch["silhouettes"]}),
    "import": distill.teacher_outputs(teachers["import"], {}, batch),
  }
  rng = np.random.default_rng(1)
  shapes = distill.output_shapes(student)
  random = {
    key: jnp.asarray(rng.normal(size=(len(batch["labels"]), *shape[1:])))
    for key, shape in shapes.items()
    if key in ("embedding", "logits")
  }
  found = {}
  for name, some in teachers.items():
    objective = distill.create_objective(student, some, None, terms)
    context = distill.Context(
      student=random,
      teacher_outputs=outputs[name],
      labels=jnp.asarray(batch["labels"]),
      step=jnp.zeros([], jnp.int32),
    )
    total, metrics = jax.jit(
      functools.partial(helpers.value_of, objective, context)
    )()
    found[name] = {"total": total, **metrics}
  assert found["import"].keys() == found["network"].keys()
  assert {"decision/gaitbase", "boundary/gaitbase", "rkd/gaitbase"} < set(
    found["import"]
  )
  for key, value in found["network"].items():
    np.testing.assert_allclose(
      found["import"][key], value, 1e-4, 1e-6, err_msg=key
    )
  assert found["network"]["decision/gaitbase"] > 0.01


def outputs_of(folder, seals, classifies=True, **changes):
  """Writes outputs of nobody; changes are of the second file."""
  rng = np.random.default_rng(0)
  folder.mkdir(exist_ok=True)
  for i, seal in enumerate(seals):
    row = np.arange(i * SHARD, min((i + 1) * SHARD, ROWS))
    arrays = {
      "embedding": rng.normal(size=(len(row), 3, 2)).astype(np.float32),
      "logits": rng.normal(size=(len(row), 3, 5)).astype(np.float32),
      "row": row,
      "digest": seal,
    }
    if not classifies:
      del arrays["logits"]
    if i == 1:
      for key, change in changes.items():
        arrays[key] = change(arrays[key]) if callable(change) else change
      arrays = {k: v for k, v in arrays.items() if v is not None}
    np.savez(folder / f"clips-{i:05}.npz", **arrays)
  return folder


@pytest.fixture
def clips(tmp_path):
  """The index of clips, and the digests of their files."""
  return tmp_path / "clips", imported.index(tmp_path / "clips", ROWS, SHARD)


def run(clips, outputs, folder, **options):
  return imports.import_outputs(clips[0], outputs, folder, "a", **options)


def with_nan(x):
  x[2, 1, 0] = np.nan
  return x


@pytest.mark.parametrize(
  "changes, words",
  [
    (dict(row=lambda x: x[:3]), "lacks 1 of 4 rows, the first is 7"),
    (dict(row=lambda x: x + 1), "lacks 1 of 4 rows, the first is 4"),
    (dict(row=lambda x: np.append(x, 4)), "has 5 rows, and the clips' file"),
    (dict(row=lambda x: x * 1.0), "row is float64"),
    (dict(embedding=lambda x: x[:3]), "embedding has 3 rows, and there are 4"),
    (dict(embedding=lambda x: x[:, 0]), "not floating-point [n, p, d]; of one"),
    (dict(embedding=lambda x: x.astype(int)), "int64 [4, 3, 2], not floating"),
    (dict(embedding=lambda x: x[..., :1]), "write all by one network"),
    (dict(embedding=with_nan), "embedding is NaN or infinite at [2, 1]"),
    (dict(logits=lambda x: x.swapaxes(1, 2)), "both have the parts second"),
    (dict(neck=np.ones((4, 3, 9))), "neck is [4, 3, 9] and the embedding"),
    (dict(logits=lambda x: None), "write all by one network"),
    (dict(embedding=lambda x: None), "it takes embedding, row, digest"),
    (dict(extra=np.zeros(3)), "has digest, embedding, extra, logits, row; it"),
    (dict(digest=lambda x: x[::-1]), "was made from other clips (digest"),
    (dict(digest=lambda x: x[:8]), "digest is uint8 [8]"),
    (dict(embedding=np.array([{}], object)), "pickled objects"),
  ],
  ids=lambda x: x if isinstance(x, str) else "-".join(x),
)
def test_what_is_wrong_with_a_file_is_one_line(clips, tmp_path, changes, words):
  outputs = outputs_of(tmp_path / "outputs", clips[1], **changes)
  text = mistakes.message(run, clips, outputs, tmp_path / "store")
  assert words in text and "clips-00001.npz" in text
  assert not (tmp_path / "store").exists()


def test_what_is_wrong_with_a_folder_is_one_line(clips, tmp_path):
  def message(**options):
    return mistakes.message(run, clips, outputs, tmp_path / "store", **options)

  outputs = tmp_path / "outputs"
  assert "has no .npz or .safetensors" in message()
  outputs_of(outputs, clips[1])
  (outputs / "clips-00001.npz").rename(outputs / "clips-00007.npz")
  text = message()
  assert "lacks clips-00001.npz (or .safetensors)" in text
  assert "rows 4 to 7" in text
  outputs_of(outputs, clips[1])
  assert "has clips-00007.npz, but the clips have only 3 files" in message()
  (outputs / "clips-00007.npz").rename(outputs / "clips-00001.safetensors")
  assert "has both clips-00001.npz and clips-00001.safetensors" in message()
  (outputs / "clips-00001.safetensors").unlink()
  assert "--edges has 1 parts, and the embedding 3" in message(edges=[(0, 1)])
  edges = [(0, 0.5), (0.5, 0.4), (0, 1)]
  assert "--edges has 0.5:0.4; give top:bottom" in message(edges=edges)
  text = mistakes.message(imports.import_outputs, clips[0], outputs, "x", " ")
  assert "--name is empty" in text
  assert not (tmp_path / "store").exists()
  large = dict(embedding=lambda x: x * 1e6)
  outputs_of(outputs, clips[1], **large)
  assert "which float16 cannot hold" in message(dtype="float16")
  run(clips, outputs, tmp_path / "store")
  outputs_of(outputs, clips[1])
  assert "holds another store already" in message()
  (clips[0] / "progress.json").unlink()
  assert "has 0 of 10 clips; start --mode=cache" in message()


def test_a_store_without_logits(clips, tmp_path):
  """Edges of one's own, half precision; written twice it stays as it is."""
  outputs = outputs_of(tmp_path / "outputs", clips[1], classifies=False)
  edges = [(0.0, 0.5), (0.5, 1.0), (0.0, 1.0)]
  options = dict(edges=edges, dtype="float16")
  header = run(clips, outputs, tmp_path / "store", **options)
  assert header["classes"] == 0
  assert header["arrays"].keys() == {"embedding", "sides"}
  stored = np.load(tmp_path / "store" / "embedding.npy")
  assert stored.shape == (ROWS, 3, 2) and stored.dtype == np.float16
  with np.load(outputs / "clips-00002.npz") as file:
    np.testing.assert_array_equal(
      stored[8:], file["embedding"].astype(np.float16)
    )
  # Of every channel, which clips are above its mean.
  every = []
  for path in sorted(outputs.iterdir()):
    with np.load(path) as file:
      every.append(file["embedding"])
  sides = np.load(tmp_path / "store" / "sides.npy")
  decoded = cache_lib.decode({"embedding": stored, "sides": sides})["neck"]
  embedding = np.concatenate(every)
  np.testing.assert_array_equal(decoded, np.sign(embedding - embedding.mean(0)))
  before = teacher_cache.contents(tmp_path / "store")
  run(clips, outputs, tmp_path / "store", **options)
  assert teacher_cache.contents(tmp_path / "store") == before
  # A run that was killed before its last file.
  path = tmp_path / "store" / "progress.json"
  progress = json.loads(path.read_text()) | {"done": 8}
  path.write_text(json.dumps(progress))
  with pytest.raises(errors.UserError, match="import_teacher.py again"):
    store_lib.Store.open(tmp_path / "store", {})
  run(clips, outputs, tmp_path / "store", **options)
  assert json.loads(path.read_text())["done"] == ROWS
  # What was imported has the digest of its content, whatever the file.
  (outputs / "clips-00000.npz").rename(tmp_path / "x.npz")
  with np.load(tmp_path / "x.npz") as file:
    imported.write_safetensors(
      outputs / "clips-00000.safetensors", {k: file[k] for k in file.files}
    )
  again = run(clips, outputs, tmp_path / "again", **options)
  assert again == header


def imported_teacher(folder, **options):
  """A teacher of `outputs_of` beside the small student of four parts."""
  config = config_lib.default()
  network = config_lib.imported()
  config.teachers.a = config_lib.teacher(network, cache=str(folder), **options)
  config_lib.check(config)
  return cache_lib.look_up(config, distill.create_teachers(config.teachers))


def test_a_student_of_other_parts_and_width(clips, tmp_path):
  """Without logits, by height and through a connector."""
  outputs = outputs_of(tmp_path / "outputs", clips[1], classifies=False)
  edges = [(0.0, 0.5), (0.5, 1.0), (0.0, 1.0)]
  run(clips, outputs, tmp_path / "store", edges=edges)
  student = models.create_model(helpers.model())
  narrow = imported_teacher(tmp_path / "store")
  text = mistakes.message(distill.check_compatible, student, "s", narrow)
  assert "4 channels and that of teacher a 2; set" in text
  teachers = imported_teacher(tmp_path / "store", connector=True)
  by_height = dict(decision="sum", boundary="sum", parts="overlap")
  (note,) = distill.check_compatible(student, "s", teachers, by_height)
  assert note.startswith("teacher a has no classifier: of teacher a only")
  assert len(distill.check_compatible(student, "s", teachers)) == 2
  objective = helpers.objective_of(teachers, parts="overlap")
  expected = losses.overlap_matrix(4, edges)
  np.testing.assert_array_equal(objective.pairings["a"].overlap, expected)
  rng = np.random.default_rng(0)
  student_outputs = helpers.outputs(rng)
  of_teacher = {"embedding": helpers.outputs(rng, p=3, d=2)["embedding"]}
  context = helpers.context_of(student_outputs, a=of_teacher)
  _, metrics = helpers.value_of(objective, context)
  assert "boundary/a" in metrics and "decision/a" not in metrics
  assert helpers.objective_of(teachers).pairings["a"].overlap is None
  terms = {"x": config_lib.term("kd")}
  text = mistakes.message(helpers.objective_of, teachers, terms=terms)
  assert "config.terms.x of kind kd: teacher a has no logits" in text
  run(clips, outputs, tmp_path / "half", edges=[(0.0, 0.5)] * 3)
  half = imported_teacher(tmp_path / "half", connector=True)
  text = mistakes.message(helpers.objective_of, half, parts="overlap")
  assert "parts of teacher a do not cover the student's" in text


def test_what_a_config_says_of_an_import(ran, filled, tmp_path):
  of_import, *_, store = ran
  for changes, words in (
    (dict(cache=""), "teacher a is imported, and its outputs are missing"),
    (dict(checkpoint="x"), "checkpoint is x, but the teacher is imported"),
    (dict(cache=str(tmp_path)), "there is no store of teacher a"),
    (
      dict(cache=str(filled[1] / "gaitbase")),
      "was filled by --mode=cache, but",
    ),
  ):
    options = {"cache": str(store)} | changes
    assert words in mistakes.message(
      imported_teacher, options.pop("cache"), **options
    )
  (teacher,) = imported_teacher(store).values()
  assert teacher.num_classes == 32 and not teacher.temporal
  assert list(teacher.edges[3]) == [3 / 16, 4 / 16]
  # It has seen its own clips only, and has no feature maps.
  student = helpers.model(num_classes=32, parts=16, embedding_dim=16)
  for term in (
    config_lib.term("cross_view"),
    config_lib.term("attention", end_points=("stage2", "stage2")),
  ):
    text = mistakes.message(
      helpers.objective_of,
      imported_teacher(store),
      student,
      terms={"x": term},
    )
    assert "needs to run teacher a, whose outputs are read from" in text
  # A network's own store is no import, and an import no network's store.
  other = of_import.copy_and_resolve_references()
  with other.unlocked():
    other.teachers.gaitbase.model = filled[0].teachers.gaitbase.model
  split = training.training_split(other)
  data = cache_lib.describe_data(other.data, split)
  with pytest.raises(
    errors.UserError, match="set the teacher's model.name=imp"
  ):
    cache_lib.open_stores(other, data, {})


def test_as_many_logits_as_subjects_are_those_of_the_labels(clips, tmp_path):
  """Even where the student has more classes than there are subjects."""
  run(clips, outputs_of(tmp_path / "o", clips[1]), tmp_path / "store")
  teachers = imported_teacher(tmp_path / "store")
  config = config_lib.default()
  config.model.num_classes = 9
  config.teachers.a = config_lib.teacher(config_lib.imported())
  subjects = [f"walkers/{i}" for i in range(5)]
  (found,) = distill.teacher_classes(config, teachers, subjects).values()
  for places in found:
    np.testing.assert_array_equal(places, np.arange(5))
  text = mistakes.message(
    distill.teacher_classes, config, teachers, subjects[:4]
  )
  assert "give the names of the teacher's" in text


def test_all_of_it_may_be_in_a_store(clips, bucket, tmp_path):
  """Clips' index, outputs and the result; the rows are those on a disk."""
  outputs = outputs_of(tmp_path / "outputs", clips[1])
  header = run(clips, outputs, tmp_path / "store")
  storage.upload(clips[0], f"{bucket.url}/clips", "progress.json")
  storage.upload(outputs, f"{bucket.url}/outputs", "clips-00002.npz")
  place = f"{bucket.url}/store"
  there = imports.import_outputs(
    f"{bucket.url}/clips", f"{bucket.url}/outputs", place, "a"
  )
  assert there == header
  sequences, numbers = np.array([4, 0]), np.array([1, 0])
  found, expected = (
    store_lib.Store.open(folder, {}).rows(sequences, numbers)
    for folder in (place, tmp_path / "store")
  )
  assert found.keys() == {"embedding", "logits", "sides"}
  for key, values in expected.items():
    np.testing.assert_array_equal(found[key], values)

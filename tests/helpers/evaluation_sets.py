"""Small sets of embeddings, and what protocols make of them."""

import json

import numpy as np

from gaitkd_jax import evaluation
from gaitkd_jax.evaluation import metrics as metrics_lib
from gaitkd_jax.evaluation import protocols
from gaitkd_jax.evaluation import scoring
from tests.parity import vectors

# A gallery condition and a probe condition of each protocol.
CONDITIONS = {
  "casiab": ("nm-01", "nm-05"),
  "oumvlp": ("01", "00"),
  "grew": ("01", "02"),
  "gait3d": ("camid0_videoid0", "camid1_videoid0"),
  "ccpg": ("U0_D3", "U3_D3"),
  "sustech1k": ("00-nm", "01-bg"),
}


def parity(name):
  """Arguments of `evaluate_embeddings` and the reference's results."""
  arrays, _ = vectors.load(f"eval_{name}")
  results = json.loads(bytes(arrays.pop("results")))
  arrays["embeddings"] = np.swapaxes(arrays["embeddings"], 1, 2)
  return arrays, results


def parity_set(name, **options):
  """The same as a set that can be scored."""
  arrays, _ = parity(name)
  return embedded(
    *(arrays[k] for k in ("embeddings", "subjects", "conditions", "views")),
    **options,
  )


def embedded(embeddings, subjects, conditions, views, **options):
  labels = evaluation.Labels.of(subjects, conditions, views)
  return evaluation.Embedded(embeddings, labels, options)


def table(rows, **options):
  """A set on a line: rows of (subject, condition, view, place)."""
  *labels, places = (np.array(column) for column in zip(*rows, strict=True))
  return embedded(places.astype(np.float32)[:, None, None], *labels, **options)


def take(chosen, rows):
  """Some sequences of a set."""
  return evaluation.Embedded(
    chosen.embeddings[rows], chosen.labels[rows], chosen.options
  )


def score(name, chosen, reported_ranks=None):
  """Metrics of a set by flat name."""
  protocol = protocols.PROTOCOLS[name]
  found = scoring.evaluate(protocol, chosen)
  return metrics_lib.flat(protocol.metrics(found.ranks, reported_ranks))


def people(protocol, subjects=("1", "2", "3"), views=("01_0", "02_0")):
  """A gallery and a probe sequence a subject and view, told apart.

  Returns:
    Arguments of `evaluate_embeddings`.
  """
  gallery, probe = CONDITIONS[protocol]
  rows = [(s, c, v) for s in subjects for c in (gallery, probe) for v in views]
  s, c, v = map(np.array, zip(*rows, strict=True))
  embeddings = s.astype(np.float32)[:, None, None] * np.ones((1, 3, 2))
  data = dict(embeddings=embeddings, subjects=s, conditions=c, views=v)
  if protocols.PROTOCOLS[protocol].options:
    data["probes"] = ["-".join(r) for r in rows if r[1] == probe]
  return data


def cross(subjects, conditions, views):
  """Labels of every combination."""
  rows = [(s, c, v) for s in subjects for c in conditions for v in views]
  return evaluation.Labels(*map(np.array, zip(*rows, strict=True)))


def embed(labels, spread=1.0):
  """Embeddings that follow from labels: near others of their subject."""
  generator = np.random.Generator(np.random.Philox(7))
  codes = generator.normal(size=(100, 2, 3))
  centres = codes[np.unique(labels.subjects, return_inverse=True)[1]]
  noise = generator.normal(size=(len(labels), 2, 3))
  return (centres + spread * noise).astype(np.float32)

"""What is searched and ranked by as many processes as there are."""

import numpy as np

from gaitkd_jax import evaluation
from gaitkd_jax.evaluation import protocols
from gaitkd_jax.evaluation import scoring

# Names of conditions of a gallery and of probes.
_CONDITIONS = {
  "casiab": ("nm-01", "nm-02", "nm-05", "bg-01", "cl-01"),
  "casiab_cross_view": ("nm-01", "nm-02", "nm-05", "bg-01", "cl-01"),
  "grew": ("01", "02"),
  "ccpg": ("U0_D3", "U3_D3", "U0_D0"),
}
# Of a whole number of subjects, so that processes have unequal shares.
_SUBJECTS = 13


def people(conditions, views, subjects=_SUBJECTS, seed=0):
  """A set in which ranks differ, with equal distances among them."""
  rng = np.random.default_rng(seed)
  names = [f"{i:03}" for i in range(1, subjects + 1)]
  rows = [(s, c, v) for s in names for c in conditions for v in views]
  s, c, v = map(np.array, zip(*rows, strict=True))
  # Small whole numbers: distances are exact, whatever the shape of a block.
  centre = rng.integers(0, 3, (subjects, 2, 4))
  noise = rng.integers(0, 3, (len(rows), 2, 4))
  embeddings = (np.repeat(centre, len(rows) // subjects, 0) + noise).astype(
    np.float32
  )
  return embeddings, evaluation.Labels.of(s, c, v)


def metrics():
  """Metrics of protocols, verification among them."""
  found = {}
  for name, conditions in _CONDITIONS.items():
    embeddings, labels = people(conditions, ("01_0", "02_0", "03_0"))
    embedded = evaluation.Embedded(embeddings, labels, {})
    evaluated = scoring.evaluate(protocols.PROTOCOLS[name], embedded)
    found[name] = scoring.verified(evaluated).flat()
    found[f"{name} ranks"] = [ranks.first.tolist() for ranks in evaluated.ranks]
  # Each probe has so many matches that distances are sorted.
  embeddings, labels = people(
    ("nm-01", "nm-02"), [f"{i:02}" for i in range(70)], 3
  )
  embedded = evaluation.Embedded(embeddings, labels, {})
  protocol = protocols.PROTOCOLS["casiab_cross_view"]
  found["many matches"] = scoring.evaluate(protocol, embedded).flat()
  return found


def submissions():
  """The files for servers, as lines."""
  embeddings, labels = people(("01",), [f"{i:02}" for i in range(3)], 21)
  probes, probe_labels = people(("03",), [f"p{i}" for i in range(7)], 1, seed=1)
  both = evaluation.Labels.of(
    *(
      np.concatenate([getattr(x, key) for x in (labels, probe_labels)])
      for key in ("subjects", "conditions", "views")
    )
  )
  everyone = np.concatenate([embeddings, probes])
  found = {"grew": _lines("grew_submission", everyone, both)}
  subjects = np.where(both.conditions == "03", "probe", both.subjects)
  named = evaluation.Labels.of(subjects, both.conditions, both.views)
  for rerank in (True, False):
    found[f"hid {rerank}"] = _lines(
      "hid_submission", everyone, named, rerank=rerank
    )
  return found


def _lines(name, embeddings, labels, **options):
  embedded = evaluation.Embedded(embeddings, labels, options)
  return protocols.PROTOCOLS[name].lines(embedded)

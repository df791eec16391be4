"""Scores the gait energy image, the baseline without any training.

python scripts/gait_energy_image.py --config=configs/recorded_walks.py \
  --config.data.root=<recorded walks>

The mean silhouette of a sequence (Han and Bhanu, 2006), compared by cosine, on
the test split of the config.
"""

from ml_collections import config_flags
import numpy as np

from data_pipelines import datasets
from data_pipelines import pipeline
from data_pipelines import store
from gaitkd_jax import cli
from gaitkd_jax import evaluation
from gaitkd_jax.evaluation import embed
from gaitkd_jax.evaluation import scoring
from gaitkd_jax.evaluation import tables

_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)


def mean_silhouettes(split: store.SequenceStore) -> np.ndarray:
  """Returns float32 `[n, 1, 64 * 44]` in the order of the split."""
  result = np.zeros((len(split), 1, 64 * 44), np.float32)
  for batch in pipeline.eval_batches(split, batch_size=64):
    mask, lengths = batch["mask"], batch["lengths"][:, None, None]
    mean = batch["silhouettes"].sum(1, dtype=np.float32) / lengths
    result[batch["index"][mask], 0] = mean.reshape(len(mask), -1)[mask]
  return result


def main(argv: list[str]) -> None:
  """Prints the table."""
  del argv
  config = cli.config(_CONFIG)
  protocol = embed.protocol_of(config)
  split = store.SequenceStore.from_builder(
    datasets.prepare(embed.test_data(config)), "test"
  )
  embedded = evaluation.Embedded(
    mean_silhouettes(split),
    evaluation.Labels(split.subjects, split.conditions, split.views),
    embed.roles(config),
  )
  found = scoring.evaluate(protocol, embedded, metric="cosine")
  print(tables.format_table(found.metrics))


if __name__ == "__main__":
  cli.run(main)

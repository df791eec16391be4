"""A search whose stores are in an object store finds what one on disks does."""

from gaitkd_jax.evaluation import store as store_lib
from tests.evaluation.store.test_store import data
from tests.helpers import command


def search(root, output, **environment):
  return command.run(
    f"--gallery={root}/gallery",
    f"--probe={root}/probe",
    f"--output={output}",
    program=("scripts/search.py",),
    **environment,
  )


def test_stores_and_output_in_a_bucket(bucket, tmp_path):
  for root in (tmp_path, bucket.url):
    for i, name in enumerate(("gallery", "probe")):
      store_lib.write(f"{root}/{name}", **data(seed=i), metadata={})
  done = search(tmp_path, tmp_path / "found.csv")
  assert done.returncode == 0, done.stderr
  target = f"{bucket.url}/found.csv"
  temporary = tmp_path / "temporary"
  temporary.mkdir()
  environment = bucket.environment | {"TMPDIR": str(temporary)}
  done = search(bucket.url, target, **environment)
  assert done.stdout.endswith(f"written: {target}\n"), done.stderr
  assert bucket.read("found.csv") == (tmp_path / "found.csv").read_bytes()
  bucket.remove("gallery/embeddings-00000.npz")
  done = search(bucket.url, target, **environment)
  assert done.returncode == 2 and done.stderr.count("\n") == 1
  assert f"{bucket.url}/gallery/embeddings-00000.npz is missing" in done.stderr
  # Copies are gone, after a mistake too.
  assert list(temporary.iterdir()) == []

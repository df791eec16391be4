"""Makes a teacher of what a network of any framework made of training's clips.

python -m gaitkd_jax.main --config=configs/walkers.py --mode=cache \
  --cache.clips_only --workdir=runs/walkers_clips
python examples/torch_teacher.py --clips=runs/walkers_clips/clips \
  --outputs=runs/torch_outputs
python scripts/import_teacher.py --clips=runs/walkers_clips/clips \
  --outputs=runs/torch_outputs --name=torch --output=runs/torch_teacher

The folder of outputs has a .npz or .safetensors for every file of clips, with
the same name: "embedding" [n, p, d], perhaps "logits" [n, p, k], and "row" and
"digest", copied from the clips' file. Nothing in a file is run. The network
itself is not needed, nor are the clips' files, but their header.json and
progress.json are.

Training takes the result as --config.teachers.<name>.cache of a teacher whose
model is named imported.
"""

from absl import flags

from gaitkd_jax import cli
from gaitkd_jax import errors
from gaitkd_jax.distill.cache import imports

_CLIPS = flags.DEFINE_string(
  "clips", None, "<workdir>/clips of --cache.clips_only", required=True
)
_OUTPUTS = flags.DEFINE_string(
  "outputs", None, "folder with the network's files", required=True
)
_NAME = flags.DEFINE_string("name", None, "of the teacher", required=True)
_OUTPUT = flags.DEFINE_string(
  "output", None, "new folder, which takes the store", required=True
)
_EDGES = flags.DEFINE_list(
  "edges",
  [],
  "top:bottom of every part, as shares of the height: 0:0.5,0.5:1; equal "
  "strips if not given",
)
_DTYPE = flags.DEFINE_enum(
  "dtype", "float32", ["float32", "float16"], "in which they are stored"
)


def read_edges(texts: list[str]) -> list[tuple[float, float]] | None:
  """Reads edges such as 0:0.5; None if there are none."""
  edges = []
  for text in texts:
    try:
      top, bottom = map(float, text.split(":"))
    except ValueError as e:
      raise errors.UserError(
        f"--edges has {text!r}; give top:bottom of every part, such as "
        "0:0.5,0.5:1"
      ) from e
    edges.append((top, bottom))
  return edges or None


def main(argv: list[str]) -> None:
  """Imports, and says how to train with the result."""
  del argv
  header = imports.import_outputs(
    _CLIPS.value,
    _OUTPUTS.value,
    _OUTPUT.value,
    _NAME.value,
    read_edges(_EDGES.value),
    _DTYPE.value,
  )
  rows, parts, width = header["arrays"]["embedding"]["shape"]
  logits = f"{header['classes']} logits" if header["classes"] else "no logits"
  print(
    f"{_OUTPUT.value}: teacher {_NAME.value}, {rows} clips, {parts} parts of "
    f"{width} channels, {logits}, {_DTYPE.value}; digest "
    f"{header['digest'][:12]}"
  )
  if not header["classes"]:
    print("without logits it teaches by terms of embeddings alone")
  print(
    "to train with it: --config.teachers.<name>.model.name=imported "
    f"--config.teachers.<name>.cache={_OUTPUT.value} "
    "--config.teachers.<name>.checkpoint=",
    flush=True,
  )


if __name__ == "__main__":
  cli.run(main)

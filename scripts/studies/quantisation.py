"""What few bits cost, and what brings it back: docs/study_quantisation.md.

Rows start from the float network of the same seed and train on, for as many
steps as the row that they are compared with: float, trained on as they are.
"""

from collections.abc import Callable
import pathlib

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib

TITLE = "What few bits cost on the embedded data"
STUDENT = "the walkers' student (46,408 parameters)"
HEAD, COMPARED = "network", "float, trained on"
AGAINST = "against float, trained on"
FURTHER = {"W4A4, straight-through": "against W4A4, straight-through"}
DOCS = "study_quantisation"
UNTRAINED = {
  f"{bits}, without training": bits.lower() for bits in ("W8A8", "W4A8", "W4A4")
}
_FLOAT = "float"
_CONFIGS = pathlib.Path(__file__).resolve().parents[2] / "configs"
# RKD's own weights make its loss many times that of the labels, which are to
# decide here.
_RKD = 0.02

Row = Callable[[Callable[[str], str]], ConfigDict]


def create_rows(width: int) -> dict[str, Row]:
  """The rows for a student of so many times the width."""
  both = dict(rounding="soft", idc=True)
  return {
    _FLOAT: _float(width),
    COMPARED: _trained("", width),
    **{name: _untrained(bits, width) for name, bits in UNTRAINED.items()},
    "W8A8": _trained("w8a8", width),
    "W4A8": _trained("w4a8", width),
    "W4A4, straight-through": _trained("w4a4", width),
    "W4A4, soft": _trained("w4a4", width, rounding="soft"),
    "W4A4, IDC": _trained("w4a4", width, idc=True),
    "W4A4, soft and IDC": _trained("w4a4", width, **both),
    "W4A4, soft from the start": _trained(
      "w4a4", width, rounding="soft", from_start=True
    ),
    "W4A4, soft from the start, slow": _trained(
      "w4a4", width, rounding="soft", from_start=True, slow=True
    ),
    "W4A4, EWGS and IDC": _trained("w4a4", width, rounding="ewgs", idc=True),
    "W4A4, soft and RKD": _trained("w4a4", width, rounding="soft", rkd=True),
    "W4A4, soft, IDC and GaitKD": _trained("w4a4", width, **both, gaitkd=True),
  }


def _widen(model: ConfigDict, width: int) -> None:
  model.channels = tuple(width * c for c in model.channels)
  model.embedding_dim *= width


def _unlink(part: ConfigDict, key: str, value: int) -> None:
  """Sets a key alone: all that begins in the last third has one reference."""
  with part.unlocked():
    del part[key]
    part[key] = value


def _float(width: int) -> Row:
  """The network that all others start from."""

  def row(run: Callable[[str], str]) -> ConfigDict:
    del run
    c = config_lib.load(_CONFIGS / "walkers_baseline.py")
    _widen(c.model, width)
    return c

  return row


def _untrained(bits: str, width: int) -> Row:
  """The float network, only quantised."""

  def row(run: Callable[[str], str]) -> ConfigDict:
    c = _float(width)(run)
    c.train.init_from = run(_FLOAT)
    c.quantization.weights, c.quantization.activations = config_lib.read_bits(
      bits
    )
    return c

  return row


def _trained(
  bits: str,
  width: int,
  *,
  rounding: str = "ste",
  idc: bool = False,
  rkd: bool = False,
  gaitkd: bool = False,
  from_start: bool = False,
  slow: bool = False,
) -> Row:
  """A recipe of configs/qgait.py, or what is left of it.

  Args:
    bits: such as "w4a4"; empty for the same steps in float.
    width: times the student's.
    rounding: of the second stage; "ste" has no other one.
    idc: whether distances between people are calibrated.
    rkd: whether RKD's loss takes the place of that.
    gaitkd: whether GaitKD's teacher of configs/walkers.py teaches, too.
    from_start: whether the rounding has its own derivative from the start, the
      sharpness rising over all steps, and not in the last third alone.
    slow: whether the rate is from the start what it is in the last third, and
      normalisations are never held.
  """

  def row(run: Callable[[str], str]) -> ConfigDict:
    c = config_lib.load(_CONFIGS / "qgait.py", f"walkers_{bits or 'w8a8'}")
    for model in (c.model, c.teachers.float.model):
      _widen(model, width)
    c.train.init_from = run(_FLOAT)
    c.quantization.rounding = rounding
    if not bits:
      c.quantization.weights = c.quantization.activations = 0
    if from_start:
      _unlink(c.quantization, "rounding_from", 0)
      _unlink(c.quantization.sharpness, "begin", 0)
    if slow:
      _unlink(c.quantization, "hold_norms_from", 0)
      _unlink(c.optim.schedule, "at", 0)
    if not idc:
      del c.terms.idc
    if rkd:
      c.terms.rkd = config_lib.term("rkd", weight=_RKD, teacher="float")
    if not (idc or rkd):
      config_lib.without_teachers(c)
    if gaitkd:
      gaitkd_config = config_lib.load(_CONFIGS / "walkers.py")
      c.teachers.deepgaitv2 = gaitkd_config.teachers.deepgaitv2
      # Its embedding has the channels of the student of its own width.
      c.teachers.deepgaitv2.connector = width != 1
    return c

  return row


ROWS = create_rows(1)

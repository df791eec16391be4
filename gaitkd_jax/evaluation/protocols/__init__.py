"""Evaluation protocols: who is probe, who is gallery, and what is averaged.

`PROTOCOLS` is all there are: those that are scored, and submissions to servers.
"""

from gaitkd_jax import errors
from gaitkd_jax.evaluation.metrics import MetricName
from gaitkd_jax.evaluation.protocols.cross_view import CrossViewGallery
from gaitkd_jax.evaluation.protocols.lists import Lists
from gaitkd_jax.evaluation.protocols.lists import ProbeList
from gaitkd_jax.evaluation.protocols.probe_gallery import Conditions
from gaitkd_jax.evaluation.protocols.probe_gallery import Excluded
from gaitkd_jax.evaluation.protocols.probe_gallery import ProbeGallery
from gaitkd_jax.evaluation.protocols.protocol import EvaluationProtocol
from gaitkd_jax.evaluation.protocols.protocol import ScoredProtocol
from gaitkd_jax.evaluation.protocols.protocol import Submission
from gaitkd_jax.evaluation.protocols.protocol import ViewPairs
from gaitkd_jax.evaluation.protocols.retrieval import ClothChanging
from gaitkd_jax.evaluation.protocols.retrieval import PooledGallery
from gaitkd_jax.evaluation.protocols.single_view import SingleViewGallery
from gaitkd_jax.evaluation.protocols.submissions import NearestSubject
from gaitkd_jax.evaluation.protocols.submissions import RankedSubjects

_MEAN_RANK1 = MetricName("mean", "rank1")
_ALL_RANK1 = MetricName("all", "rank1")
_CASIAB = ("nm-01", "nm-02", "nm-03", "nm-04")
_CASIAB_CROSS_VIEW = ("nm-02", "bg-02", "cl-02")
_SUSTECH1K = ("00-nm",)


def _casiae(scenes: tuple[str, ...], walk: str) -> tuple[str, ...]:
  """Conditions of CASIA-E, seen from high and from low."""
  return tuple(
    f"{height}-{scene}-{walk}-{take}"
    for height in "HL"
    for scene in scenes
    for take in (1, 2)
  )


_ALL: tuple[EvaluationProtocol, ...] = (
  SingleViewGallery(
    name="casiab",
    primary_metric=_MEAN_RANK1,
    conditions={
      "NM": Conditions(probes=("nm-05", "nm-06"), gallery=_CASIAB),
      "BG": Conditions(probes=("bg-01", "bg-02"), gallery=_CASIAB),
      "CL": Conditions(probes=("cl-01", "cl-02"), gallery=_CASIAB),
    },
  ),
  SingleViewGallery(
    name="oumvlp",
    primary_metric=_ALL_RANK1,
    conditions={"all": Conditions(probes=("00",), gallery=("01",))},
  ),
  # Hou et al., "A Comprehensive Study on the Evaluation of Silhouette-based
  # Gait Recognition" (T-BIOM 2022).
  CrossViewGallery(
    name="casiab_cross_view",
    primary_metric=_MEAN_RANK1,
    conditions={
      "NM": Conditions(probes=("nm-01",), gallery=_CASIAB_CROSS_VIEW),
      "BG": Conditions(probes=("bg-01",), gallery=_CASIAB_CROSS_VIEW),
      "CL": Conditions(probes=("cl-01",), gallery=_CASIAB_CROSS_VIEW),
    },
  ),
  CrossViewGallery(
    name="oumvlp_cross_view",
    primary_metric=_ALL_RANK1,
    conditions={"all": Conditions(probes=("00",), gallery=("01",))},
  ),
  SingleViewGallery(
    name="casiae",
    primary_metric=_MEAN_RANK1,
    conditions={
      name: Conditions(
        probes=_casiae(("scene2", "scene3", "scene3_s"), name.lower()),
        gallery=_casiae(("scene1",), "nm"),
      )
      for name in ("NM", "BG", "CL")
    },
    dropped_views=("270",),
  ),
  # The labelled test subjects. The official test (conditions 01 and 02 against
  # 03) has no public labels and is harder.
  PooledGallery(
    name="grew",
    primary_metric=_ALL_RANK1,
    reported_ranks=(1, 5, 10, 20),
    conditions={"all": Conditions(probes=("02",), gallery=("01",))},
  ),
  ProbeList(
    name="gait3d", primary_metric=_ALL_RANK1, reported_ranks=(1, 5, 10)
  ),
  ClothChanging(
    name="ccpg",
    primary_metric=_MEAN_RANK1,
    conditions={
      "CL": Conditions(
        probes=("U0_D0_BG", "U0_D0"), gallery=("U1_D1", "U2_D2", "U3_D3")
      ),
      "UP": Conditions(probes=("U3_D3",), gallery=("U0_D3",)),
      "DN": Conditions(probes=("U1_D0",), gallery=("U1_D1",)),
      "BG": Conditions(probes=("U0_D0_BG",), gallery=("U0_D0",)),
    },
  ),
  # Conditions look like "01-cr-bg": a sequence counts for all it contains.
  SingleViewGallery(
    name="sustech1k",
    primary_metric=MetricName("overall", "rank1"),
    reported_ranks=(1, 2, 3, 4, 5),
    conditions={
      name: Conditions(probes=probes, gallery=_SUSTECH1K, by_substring=True)
      for name, probes in {
        "normal": ("01-nm",),
        "bag": ("bg",),
        "clothing": ("cl",),
        "carrying": ("cr",),
        "umbrella": ("ub",),
        "uniform": ("uf",),
        "occlusion": ("oc",),
        "night": ("nt",),
        "overall": ("01", "02", "03", "04"),
      }.items()
    },
  ),
  # Any data set: a CSV says who is probe and who is gallery.
  Lists(name="lists", primary_metric=_ALL_RANK1, reported_ranks=(1, 5, 10, 20)),
  # The test set without public labels: two sequences of every subject, and
  # those of the folder "probe".
  RankedSubjects(
    name="grew_submission",
    conditions=Conditions(probes=("03",), gallery=("01", "02")),
    length=20,
  ),
  NearestSubject(
    name="hid_submission", probe="probe", k1=6, k2=6, lambda_value=0.3
  ),
)
PROTOCOLS = {protocol.name: protocol for protocol in _ALL}


def find(name: str) -> EvaluationProtocol:
  """The protocol of a name; an unknown one is a `errors.UserError`."""
  if name not in PROTOCOLS:
    raise errors.UserError(
      f"eval.protocol is {name!r}; give one of {', '.join(PROTOCOLS)}"
    )
  return PROTOCOLS[name]


__all__ = (
  "PROTOCOLS",
  "ClothChanging",
  "Conditions",
  "CrossViewGallery",
  "EvaluationProtocol",
  "Excluded",
  "Lists",
  "NearestSubject",
  "PooledGallery",
  "ProbeGallery",
  "ProbeList",
  "RankedSubjects",
  "ScoredProtocol",
  "SingleViewGallery",
  "Submission",
  "ViewPairs",
  "find",
)

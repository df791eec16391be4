"""Who is probe, who is gallery, and what is averaged.

A protocol is a declaration: it names the rows of probes and galleries and the
averages of their ranks. `ranks.Ranker` finds the ranks.
"""

from gaitkd_jax.evaluation.protocols.cross_view import CrossViewGallery
from gaitkd_jax.evaluation.protocols.lists import Lists
from gaitkd_jax.evaluation.protocols.lists import ProbeList
from gaitkd_jax.evaluation.protocols.retrieval import ClothChanging
from gaitkd_jax.evaluation.protocols.retrieval import PooledGallery
from gaitkd_jax.evaluation.protocols.searches import Search
from gaitkd_jax.evaluation.protocols.searches import Trial
from gaitkd_jax.evaluation.protocols.single_view import SingleViewGallery

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


PROTOCOLS = {
  "casiab": SingleViewGallery(
    {
      "NM": Search(probes=("nm-05", "nm-06"), gallery=_CASIAB),
      "BG": Search(probes=("bg-01", "bg-02"), gallery=_CASIAB),
      "CL": Search(probes=("cl-01", "cl-02"), gallery=_CASIAB),
    },
    main_figure="mean/rank1",
  ),
  "oumvlp": SingleViewGallery(
    {"all": Search(probes=("00",), gallery=("01",))},
    main_figure="all/rank1",
  ),
  # Hou et al., "A Comprehensive Study on the Evaluation of Silhouette-based
  # Gait Recognition" (T-BIOM 2022).
  "casiab_cross_view": CrossViewGallery(
    {
      "NM": Search(probes=("nm-01",), gallery=_CASIAB_CROSS_VIEW),
      "BG": Search(probes=("bg-01",), gallery=_CASIAB_CROSS_VIEW),
      "CL": Search(probes=("cl-01",), gallery=_CASIAB_CROSS_VIEW),
    },
    main_figure="mean/rank1",
  ),
  "oumvlp_cross_view": CrossViewGallery(
    {"all": Search(probes=("00",), gallery=("01",))},
    main_figure="all/rank1",
  ),
  "casiae": SingleViewGallery(
    {
      name: Search(
        probes=_casiae(("scene2", "scene3", "scene3_s"), name.lower()),
        gallery=_casiae(("scene1",), "nm"),
      )
      for name in ("NM", "BG", "CL")
    },
    main_figure="mean/rank1",
    dropped_views=("270",),
  ),
  # The labelled test subjects. The official test (conditions 01 and 02 against
  # 03) has no public labels and is harder.
  "grew": PooledGallery(
    {"all": Search(probes=("02",), gallery=("01",))},
    main_figure="all/rank1",
    ranks=(1, 5, 10, 20),
  ),
  "gait3d": ProbeList(main_figure="all/rank1", ranks=(1, 5, 10)),
  "ccpg": ClothChanging(
    {
      "CL": Search(
        probes=("U0_D0_BG", "U0_D0"), gallery=("U1_D1", "U2_D2", "U3_D3")
      ),
      "UP": Search(probes=("U3_D3",), gallery=("U0_D3",)),
      "DN": Search(probes=("U1_D0",), gallery=("U1_D1",)),
      "BG": Search(probes=("U0_D0_BG",), gallery=("U0_D0",)),
    },
    main_figure="mean/rank1",
  ),
  # Conditions look like "01-cr-bg": a sequence counts for all it contains.
  "sustech1k": SingleViewGallery(
    {
      name: Search(probes=probes, gallery=_SUSTECH1K, by_substring=True)
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
    main_figure="overall/rank1",
    ranks=(1, 2, 3, 4, 5),
  ),
  # Any data set: the lists are options, `lists.read` reads them from a CSV.
  "lists": Lists(main_figure="all/rank1", ranks=(1, 5, 10, 20)),
}

__all__ = (
  "PROTOCOLS",
  "ClothChanging",
  "CrossViewGallery",
  "Lists",
  "PooledGallery",
  "ProbeList",
  "Search",
  "SingleViewGallery",
  "Trial",
)

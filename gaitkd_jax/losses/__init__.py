"""Losses on part embeddings `[n, p, d]`, part logits `[n, p, k]` and maps.

Pure functions: float32 inside, a scalar float32 out (the mean over samples and
parts). The student's array comes first and the teacher's second; no gradient
reaches the teacher. A loss with a memory takes its state and returns `(value,
new state)`; states are pytrees of arrays of fixed size.
"""

from gaitkd_jax.losses.adadistill import adadistill_loss
from gaitkd_jax.losses.adadistill import init_centres
from gaitkd_jax.losses.attention import attention_transfer_loss
from gaitkd_jax.losses.attention import channel_wise_loss
from gaitkd_jax.losses.bank import Bank
from gaitkd_jax.losses.bank import init_bank
from gaitkd_jax.losses.bank import push
from gaitkd_jax.losses.bank import relation_bank_loss
from gaitkd_jax.losses.bank import relation_batch_loss
from gaitkd_jax.losses.boundary import CENTRES
from gaitkd_jax.losses.boundary import REDUCTIONS
from gaitkd_jax.losses.boundary import boundary_agreement
from gaitkd_jax.losses.boundary import boundary_bits
from gaitkd_jax.losses.boundary import boundary_loss
from gaitkd_jax.losses.contrastive import info_nce_loss
from gaitkd_jax.losses.cross_entropy import cross_entropy_loss
from gaitkd_jax.losses.cross_entropy import part_accuracy
from gaitkd_jax.losses.decision import decision_loss
from gaitkd_jax.losses.dist import dist_loss
from gaitkd_jax.losses.ekd import Anchors
from gaitkd_jax.losses.ekd import ekd_loss
from gaitkd_jax.losses.ekd import init_anchors
from gaitkd_jax.losses.ensemble import boundary_ensemble_loss
from gaitkd_jax.losses.ensemble import common_logits
from gaitkd_jax.losses.ensemble import decision_ensemble_loss
from gaitkd_jax.losses.ensemble import mean_weight
from gaitkd_jax.losses.ensemble import weighted_mean
from gaitkd_jax.losses.ensemble import weighted_sum
from gaitkd_jax.losses.grouped import dkd_loss
from gaitkd_jax.losses.grouped import gdkd_loss
from gaitkd_jax.losses.grouped import grouped_kd_loss
from gaitkd_jax.losses.grouped import grouped_kl_loss
from gaitkd_jax.losses.instance import Threshold
from gaitkd_jax.losses.instance import hard_share
from gaitkd_jax.losses.instance import init_threshold
from gaitkd_jax.losses.instance import instance_loss
from gaitkd_jax.losses.inter_class import idc_loss
from gaitkd_jax.losses.logit_kd import ka_lsr_loss
from gaitkd_jax.losses.logit_kd import ka_ps_loss
from gaitkd_jax.losses.logit_kd import kd_loss
from gaitkd_jax.losses.logit_kd import logit_standardisation
from gaitkd_jax.losses.logit_kd import standardised_kd_loss
from gaitkd_jax.losses.matching import embedding_cosine_loss
from gaitkd_jax.losses.matching import feature_mse_loss
from gaitkd_jax.losses.matching import logit_mse_loss
from gaitkd_jax.losses.matching import unit_embedding_mse_loss
from gaitkd_jax.losses.ofa import ofa_loss
from gaitkd_jax.losses.parts import common_parts
from gaitkd_jax.losses.parts import mix_parts
from gaitkd_jax.losses.parts import overlap_matrix
from gaitkd_jax.losses.parts import strip_edges
from gaitkd_jax.losses.patch_swap import patch_swap_loss
from gaitkd_jax.losses.patch_swap import swap_bands
from gaitkd_jax.losses.relation import correlation_congruence_loss
from gaitkd_jax.losses.relation import rkd_angle_loss
from gaitkd_jax.losses.relation import rkd_distance_loss
from gaitkd_jax.losses.relation import rkd_loss
from gaitkd_jax.losses.relation import similarity_preserving_loss
from gaitkd_jax.losses.triplet import triplet_loss
from gaitkd_jax.losses.triplet import triplet_parts
from gaitkd_jax.losses.weak_strong import cross_view_loss

__all__ = [
  "CENTRES",
  "REDUCTIONS",
  "Anchors",
  "Bank",
  "Threshold",
  "adadistill_loss",
  "attention_transfer_loss",
  "boundary_agreement",
  "boundary_bits",
  "boundary_ensemble_loss",
  "boundary_loss",
  "channel_wise_loss",
  "common_logits",
  "common_parts",
  "correlation_congruence_loss",
  "cross_entropy_loss",
  "cross_view_loss",
  "decision_ensemble_loss",
  "decision_loss",
  "dist_loss",
  "dkd_loss",
  "ekd_loss",
  "embedding_cosine_loss",
  "feature_mse_loss",
  "gdkd_loss",
  "grouped_kd_loss",
  "grouped_kl_loss",
  "hard_share",
  "idc_loss",
  "info_nce_loss",
  "init_anchors",
  "init_bank",
  "init_centres",
  "init_threshold",
  "instance_loss",
  "ka_lsr_loss",
  "ka_ps_loss",
  "kd_loss",
  "logit_mse_loss",
  "logit_standardisation",
  "mean_weight",
  "mix_parts",
  "ofa_loss",
  "overlap_matrix",
  "part_accuracy",
  "patch_swap_loss",
  "push",
  "relation_bank_loss",
  "relation_batch_loss",
  "rkd_angle_loss",
  "rkd_distance_loss",
  "rkd_loss",
  "similarity_preserving_loss",
  "standardised_kd_loss",
  "strip_edges",
  "swap_bands",
  "triplet_loss",
  "triplet_parts",
  "unit_embedding_mse_loss",
  "weighted_mean",
  "weighted_sum",
]

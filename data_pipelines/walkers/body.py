"""Bodies: measures of a person, drawn from the ANSUR II survey.

Source: ANSUR II (US Army, Natick/TR-15/007), 4,082 men and 1,986 women. A
measure is mean + SD (l1 z1 + l2 z2 + u e): z1 is the person's stature, z2 the
weight given the stature, e the measure's own residual, all standard normal.
"""

import numpy as np

_NAMES = (
  "stature",
  "weight",
  "acromial_height",
  "trochanterion_height",
  "tibial_height",
  "malleolus_height",
  "foot_length",
  "biacromial_breadth",
  "chest_breadth",
  "chest_depth",
  "waist_breadth",
  "waist_depth",
  "hip_breadth",
  "buttock_depth",
  "thigh_circumference",
  "lower_thigh_circumference",
  "calf_circumference",
  "ankle_circumference",
  "shoulder_elbow_length",
  "radiale_stylion_length",
  "hand_length",
  "biceps_circumference",
  "forearm_circumference",
  "wrist_circumference",
  "neck_circumference",
  "head_breadth",
  "head_length",
)

# Mean and SD in millimetres (weight: 0.1 kg), then l1, l2, u.
_MEN = np.array(
  [
    (1756.2, 68.5, 1.00, 0.00, 0.00),
    (855.2, 142.2, 0.47, 0.88, 0.00),
    (1440.7, 63.3, 0.97, 0.08, 0.24),
    (900.9, 49.2, 0.85, -0.06, 0.52),
    (468.2, 26.6, 0.86, -0.01, 0.51),
    (72.9, 5.7, 0.47, 0.18, 0.87),
    (271.2, 13.1, 0.72, 0.17, 0.68),
    (415.7, 19.2, 0.53, 0.38, 0.75),
    (289.4, 18.3, 0.34, 0.62, 0.71),
    (253.8, 26.2, 0.22, 0.85, 0.47),
    (326.4, 34.7, 0.25, 0.85, 0.46),
    (237.8, 34.7, 0.16, 0.87, 0.48),
    (345.7, 24.2, 0.38, 0.76, 0.53),
    (245.8, 26.5, 0.21, 0.88, 0.42),
    (625.1, 58.4, 0.26, 0.89, 0.39),
    (409.3, 31.9, 0.30, 0.83, 0.47),
    (392.3, 29.7, 0.27, 0.80, 0.54),
    (229.3, 14.6, 0.37, 0.63, 0.69),
    (363.7, 18.2, 0.82, 0.00, 0.58),
    (267.9, 15.4, 0.71, 0.01, 0.70),
    (193.3, 9.9, 0.67, 0.12, 0.73),
    (358.1, 34.6, 0.19, 0.82, 0.54),
    (310.1, 22.0, 0.30, 0.75, 0.59),
    (175.9, 9.0, 0.49, 0.56, 0.67),
    (397.6, 25.8, 0.20, 0.79, 0.58),
    (154.3, 5.5, 0.08, 0.34, 0.94),
    (199.5, 7.0, 0.37, 0.24, 0.90),
  ]
)
_WOMEN = np.array(
  [
    (1628.5, 64.2, 1.00, 0.00, 0.00),
    (677.6, 109.8, 0.53, 0.85, 0.00),
    (1335.1, 58.1, 0.97, 0.04, 0.23),
    (845.4, 44.7, 0.86, 0.01, 0.51),
    (437.8, 25.0, 0.85, 0.02, 0.52),
    (62.7, 5.1, 0.44, 0.02, 0.90),
    (246.3, 12.4, 0.72, 0.18, 0.67),
    (365.3, 18.3, 0.57, 0.18, 0.80),
    (269.3, 18.6, 0.35, 0.62, 0.70),
    (247.4, 27.3, 0.23, 0.80, 0.56),
    (299.9, 33.0, 0.28, 0.79, 0.55),
    (213.0, 31.4, 0.16, 0.83, 0.53),
    (353.8, 26.7, 0.39, 0.73, 0.56),
    (232.9, 24.3, 0.24, 0.85, 0.47),
    (616.1, 55.8, 0.32, 0.86, 0.41),
    (400.7, 35.2, 0.32, 0.78, 0.54),
    (373.3, 28.5, 0.34, 0.73, 0.60),
    (215.7, 14.9, 0.37, 0.49, 0.79),
    (334.3, 17.2, 0.82, 0.03, 0.57),
    (241.3, 15.2, 0.69, 0.07, 0.72),
    (181.1, 10.1, 0.65, 0.17, 0.74),
    (305.6, 30.7, 0.25, 0.86, 0.45),
    (264.1, 18.5, 0.36, 0.74, 0.57),
    (154.8, 7.8, 0.54, 0.50, 0.68),
    (329.8, 19.2, 0.29, 0.72, 0.63),
    (147.8, 5.2, 0.16, 0.18, 0.97),
    (189.8, 7.4, 0.36, 0.19, 0.91),
  ]
)


def sample(rng: np.random.Generator) -> dict[str, float]:
  """Draws a person.

  Args:
    rng: The generator of the subject's body.

  Returns:
    Measures in metres by name (weight: kg), and "female" (0 or 1).
  """
  female = rng.random() < 0.5
  mean, sd, l1, l2, u = (_WOMEN if female else _MEN).T
  # The survey measured soldiers; beyond 2.5 SD the linear model is a guess.
  z1, z2 = np.clip(rng.standard_normal(2), -2.5, 2.5)
  residuals = np.clip(rng.standard_normal(len(_NAMES)), -2.5, 2.5)
  values = mean + sd * (l1 * z1 + l2 * z2 + u * residuals)
  measures = {
    name: float(value) / 1000.0
    for name, value in zip(_NAMES, values, strict=True)
  }
  measures["weight"] *= 100.0
  measures["female"] = float(female)
  return measures

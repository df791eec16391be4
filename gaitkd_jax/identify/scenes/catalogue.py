"""The scenes that the library is measured on, and the demonstration.

All people are test subjects of the walkers' variant "full", 075 to 124, so no
network that was trained on the train split of any variant has seen them.
"""

from gaitkd_jax.identify.scenes import spec

Person = spec.Person
Scene = spec.Scene

ENROLLED = tuple(f"{i:03d}" for i in range(75, 85))
STRANGERS = tuple(f"{i:03d}" for i in range(85, 97))

# Frames in which nobody is there come first: a model of the background needs
# them.
_EMPTY = 1.0
_WAYS = ("left", "right")


def enrolment(
  subject: str, views: tuple[int, ...] = (54, 90, 126)
) -> tuple[spec.Scene, ...]:
  """Returns clips of one person walking alone, both ways under each view.

  The walks are nm-01 to nm-04; scenes to identify people in show others.

  Args:
    subject: Who walks.
    views: see `Person`.
  """
  clips = []
  for i, (view, way) in enumerate((v, w) for v in views for w in _WAYS):
    person = Person(
      subject, f"nm-{i % 4 + 1:02d}", view, way, start=_EMPTY, depth=6.0
    )
    clips.append(
      Scene(
        f"enrol-{subject}-{view:03d}-{way}",
        (person,),
        seconds=8.0 if view in range(75, 106) else 10.4,
        seed=5_000 + 10 * int(subject) + i,
      )
    )
  return tuple(clips)


def _crossing(
  one: str, other: str, middle: float = 3.6, conditions=("nm-05", "nm-06")
) -> tuple[Person, Person]:
  """Two people who pass each other in the middle of the picture."""
  near = Person(one, conditions[0], start=middle - 2.5, depth=5.4)
  far = Person(
    other, conditions[1], direction="right", start=middle - 2.9, depth=6.6
  )
  return near, far


DEMO = Scene(
  "demo",
  (
    *_crossing("076", "081"),
    Person("093", "nm-05", direction="right", start=6.2, depth=6.0),
  ),
  seconds=11.6,
  seed=8,
  noise=3.0,
  light=((0.0, 1.0), (4.5, 1.0), (7.0, 0.88)),
)
# Two known people: a clip to the left and a clip to the right of each.
DEMO_ENROLMENT = {
  subject: enrolment(subject, (90,)) for subject in ("076", "081")
}


def _scenes() -> tuple[Scene, ...]:
  left, right = _WAYS
  shadows = (0.15, 0.3, 0.45)  # in turn, where a scene has none of its own
  dim = ((0.0, 1.0), (3.0, 1.0), (6.0, 0.75))
  step = ((0.0, 1.0), (4.0, 1.0), (4.04, 0.85))
  wave = ((0.0, 0.9), (2.0, 1.1), (4.0, 0.9), (6.0, 1.1), (8.0, 0.9))
  rows = (
    # One person.
    ("alone-left", (Person("075"),), {}),
    ("alone-right", (Person("076", "nm-06", direction=right),), {}),
    ("alone-054", (Person("077", view=54),), {"seconds": 9.6}),
    (
      "alone-126",
      (Person("078", view=126, direction=right),),
      {"seconds": 9.0},
    ),
    ("bag", (Person("079", "bg-01"),), {}),
    ("coat", (Person("080", "cl-01", direction=right),), {}),
    ("stranger", (Person("085", direction=right),), {}),
    ("dimmer", (Person("081", direction=right),), {"light": dim}),
    ("light-step", (Person("082"),), {"light": step}),
    (
      "clouds",
      (Person("083", view=54, direction=right),),
      {"light": wave, "seconds": 9.6},
    ),
    ("noisy", (Person("084"),), {"noise": 9.0}),
    (
      "dark-shadows",
      (Person("075", "nm-06", direction=right),),
      {"shadow": 0.6},
    ),
    ("grey-clothes", (Person("086", contrast=0.45),), {}),
    ("stops", (Person("076", halt=(3.6, 1.0)),), {}),
    # Two.
    ("two-cross", _crossing("077", "078"), {}),
    (
      "two-cross-bag",
      _crossing("079", "087", conditions=("bg-02", "nm-05")),
      {"shadow": 0.5},
    ),
    (
      "two-follow",
      (
        Person("080", "nm-06", direction=right, start=1.0, depth=6.2),
        Person("088", direction=right, start=3.4, depth=5.8),
      ),
      {"light": dim},
    ),
    (
      "two-oblique",
      (
        Person("081", "nm-06", view=126, start=1.0, depth=6.5),
        Person("082", "nm-06", view=54, direction=left, start=2.4, depth=7.0),
      ),
      {"seconds": 11.0},
    ),
    # Three.
    (
      "three",
      (
        *_crossing("083", "089"),
        Person("084", "nm-06", direction=right, start=5.2, depth=5.6),
      ),
      {"seconds": 11.0},
    ),
    (
      "three-hard",
      (
        *_crossing("075", "090", conditions=("bg-01", "nm-05")),
        Person("091", view=126, direction=right, start=4.0, depth=7.0),
      ),
      {"seconds": 13.2, "noise": 6.0, "shadow": 0.5, "light": wave},
    ),
  )
  return tuple(
    Scene(
      name,
      people,
      **{"seconds": 8.0, "seed": i + 1, "shadow": shadows[i % 3], **other},
    )
    for i, (name, people, other) in enumerate(rows)
  )


SCENES = _scenes()

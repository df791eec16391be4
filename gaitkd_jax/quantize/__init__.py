"""Networks in few bits: quantisers, and how layers find theirs.

A uniform quantiser replaces a value by the nearest whole number of steps that
its bits can hold (`uniform`), with a derivative to learn by (`rounding`) and a
step that is learned or observed (`observers`). `config.quantization` chooses
(`settings`); modules of networks find the choice by `current`.
"""

from gaitkd_jax.quantize.attached import Attached as Attached
from gaitkd_jax.quantize.attached import Phase as Phase
from gaitkd_jax.quantize.attached import attach as attach
from gaitkd_jax.quantize.attached import current as current
from gaitkd_jax.quantize.attached import observing as observing
from gaitkd_jax.quantize.attached import phase as phase
from gaitkd_jax.quantize.observers import OBSERVERS as OBSERVERS
from gaitkd_jax.quantize.settings import EDGE_BITS as EDGE_BITS
from gaitkd_jax.quantize.settings import ROUNDINGS as ROUNDINGS
from gaitkd_jax.quantize.settings import Settings as Settings
from gaitkd_jax.quantize.settings import create_settings as create_settings
from gaitkd_jax.quantize.settings import describe as describe
from gaitkd_jax.quantize.settings import mistakes as mistakes
from gaitkd_jax.quantize.uniform import Grid as Grid
from gaitkd_jax.quantize.uniform import codes as codes
from gaitkd_jax.quantize.uniform import lsq_factor as lsq_factor
from gaitkd_jax.quantize.uniform import quantize as quantize
from gaitkd_jax.quantize.uniform import scale_gradient as scale_gradient
from gaitkd_jax.quantize.uniform import signed as signed
from gaitkd_jax.quantize.uniform import unsigned as unsigned

"""Bytes that are read in the text of a compiled program."""

import pytest

from gaitkd_jax.cost import traffic

# As XLA prints a program, but for the layouts that are left out.
HLO = """HloModule jit_f, is_scheduled=true

%fused (a.1: bf16[4,8]) -> f32[4] {
  %a.1 = bf16[4,8]{1,0} parameter(0)
  ROOT %r = f32[4]{0} reduce(%a.1), dimensions={1}
}

ENTRY %main.1 (x: bf16[4,8], k: f32[8,2]) -> (f32[4], f32[16]) {
  %x = bf16[4,8]{1,0:T(8,128)(2,1)} parameter(0), metadata={op_name="x"}
  %k = f32[8,2]{1,0} parameter(1)
  %constant.1 = f32[] constant(0)
  %fusion.1 = (f32[4]{0:T(128)}, /*index=1*/pred[4,2]{1,0}) fusion(%x, %k), \
kind=kLoop, calls=%fused, metadata={op_name="jit(f)/reduce"}
  %gte = f32[4]{0} get-tuple-element(%fusion.1), index=0
  %bitcast.1 = f32[16]{0} bitcast(%k)
  %start = (f32[16]{0}, f32[16]{0}, u32[]) copy-start(%bitcast.1)
  %done = f32[16]{0} copy-done(%start)
  %copy.1 = f32[4]{0} copy(f32[4]{0} %gte), backend_config={"calls":"%x"}
  ROOT %tuple.1 = (f32[4]{0}, f32[16]{0}) tuple(%copy.1, %done)
}

%after (y: f32[1000]) -> f32[1000] {
  ROOT %y = f32[1000]{0} copy(%y)
}
"""
_X, _K, _SUMS, _MASK = 4 * 8 * 2, 8 * 2 * 4, 4 * 4, 4 * 2


def test_operands_and_results_of_the_entry_count():
  fusion = _X + _K + _SUMS + _MASK
  started = 2 * _K  # what starts reads and writes, and does so once
  copy = 2 * _SUMS
  assert traffic.entry_traffic(HLO) == fusion + started + copy


def test_a_text_without_an_entry_is_refused():
  with pytest.raises(ValueError, match="entry"):
    traffic.entry_traffic("HloModule f\n")


def test_results_that_overwrite_arguments_count_once():
  memory = traffic.Memory(arguments=10, results=7, reused=5, temporaries=20)
  assert memory.total == 32

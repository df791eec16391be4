"""What a processor does with products of bytes."""

import os
import pathlib
import platform
import re

_CPUINFO = pathlib.Path("/proc/cpuinfo")
_X86 = {"x86_64", "amd64", "x86", "i386", "i686"}
_EXACT = {"avx512_vnni", "avx_vnni"}


def saturates() -> bool:
  """Whether ONNX Runtime may add products of bytes in 16 bits here.

  Processors of the x86 family without VNNI do: two products of uint8 and int8
  weights beyond 63 can exceed 32767, and are cut off there. Those of ARM have
  no such instruction. Where it cannot be known (another system than Linux), the
  answer is yes.
  """
  if platform.machine().lower() not in _X86:
    return False
  try:
    text = _CPUINFO.read_text()
  except OSError:
    return True
  flags = re.search(r"^flags\s*:(.*)$", text, re.M)
  return flags is None or not _EXACT & set(flags[1].split())


def cores() -> int:
  """How many cores this process may use."""
  if hasattr(os, "sched_getaffinity"):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def name() -> str:
  """What the processor calls itself."""
  try:
    found = re.search(r"^model name\s*:\s*(.+)$", _CPUINFO.read_text(), re.M)
  except OSError:
    found = None
  return found[1].strip() if found else platform.machine() or "unknown"

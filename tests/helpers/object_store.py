"""Object stores on this machine, for programs that keep their files in one.

`gcs` is Google Cloud Storage by gcp-storage-emulator, `s3` is Amazon's S3 by
moto. Both run in a process of their own behind a `fault_proxy.Proxy`:

  with object_store.gcs() as store:
    done = command.run(f"--workdir={store.url}/run", **store.environment)
    assert store.read("run/config.json")
    store.proxy.fail(503, target="checkpoints", seconds=5)

By hand, `python -m tests.helpers.object_store gcs bash` gives a shell in which
gs://gait is there, until it ends; so does s3.

What `gcs` does differently from Google's: it asks for no credentials, speaks no
gRPC (so gcsfs is told not to ask by it how a bucket is laid out), has flat
buckets only, and checks a precondition of a resumable upload at its beginning.
"""

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import time
import urllib.parse
from xml.etree import ElementTree

from tests.helpers import fault_proxy
from tests.helpers import gcs_mends

# Whom moto lets read; it checks no signature.
_KEY = {
  "Authorization": (
    "AWS4-HMAC-SHA256 Credential=gait/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
  )
}
_S3_ERRORS = {403: "AccessDenied", 404: "NoSuchBucket", 503: "SlowDown"}


@dataclasses.dataclass(frozen=True)
class Store:
  """A bucket of a store that runs.

  Attributes:
    url: of the bucket, such as gs://gait.
    environment: variables for programs that are to use it.
    proxy: what stands before it: its log and faults.
  """

  url: str
  environment: dict[str, str]
  proxy: fault_proxy.Proxy

  @property
  def bucket(self):
    return self.url.partition("://")[2]

  @property
  def _google(self):
    return self.url.startswith("gs://")

  def write(self, name, content):
    """Puts an object, past all faults and the log."""
    quoted = urllib.parse.quote(name, safe="")
    if self._google:
      target = f"/upload/storage/v1/b/{self.bucket}/o?uploadType=media"
      answer = self._ask("POST", f"{target}&name={quoted}", content)
    else:
      answer = self._ask("PUT", self._path(name), content)
    assert answer.status == 200, answer

  def read(self, name):
    """The bytes of an object, past all faults and the log; None: no object."""
    target = self._path(name) + ("?alt=media" if self._google else "")
    answer = self._ask("GET", target)
    assert answer.status in (200, 404), answer
    return answer.body if answer.status == 200 else None

  def remove(self, name):
    """Deletes an object, past all faults and the log."""
    answer = self._ask("DELETE", self._path(name))
    assert answer.status == 204, answer

  def names(self, prefix=""):
    """The sorted names of all objects, past all faults and the log."""
    if self._google:
      place, key, more = f"/storage/v1/b/{self.bucket}/o?", "pageToken", {}
    else:
      place, key = f"/{self.bucket}?", "continuation-token"
      more = {"list-type": 2}
    result, token = [], ""
    while token is not None:
      page = {"prefix": prefix, **more, **({key: token} if token else {})}
      answer = self._ask("GET", place + urllib.parse.urlencode(page))
      assert answer.status == 200, answer
      if self._google:
        found = json.loads(answer.body)
        result += [item["name"] for item in found.get("items", ())]
        token = found.get("nextPageToken")
      else:
        found = ElementTree.fromstring(answer.body)
        result += [e.text for e in found.iterfind("{*}Contents/{*}Key")]
        token = found.findtext("{*}NextContinuationToken")
    return sorted(result)

  def _ask(self, method, target, body=b""):
    headers = {} if self._google else _KEY
    return self.proxy.ask(method, target, headers, body)

  def _path(self, name):
    if self._google:
      quoted = urllib.parse.quote(name, safe="")
      return f"/storage/v1/b/{self.bucket}/o/{quoted}"
    return f"/{self.bucket}/{urllib.parse.quote(name)}"


@contextlib.contextmanager
def gcs(bucket="gait"):
  """Google Cloud Storage with one empty bucket, in memory.

  Args:
    bucket: its name.

  Yields:
    The `Store`.
  """
  program = "-m", "gcp_storage_emulator", "start", "--in-memory", "--quiet"
  with _server(
    lambda port: (*program, "--host=127.0.0.1", f"--port={port}")
  ) as port:
    proxy = fault_proxy.Proxy(port, gcs_mends.mend, gcs_mends.error)
    try:
      headers = {"Content-Type": "application/json"}
      made = json.dumps({"name": bucket}).encode()
      # Without it the emulator keeps what was deleted, and gets slow.
      kept = b'{"softDeletePolicy": {"retentionDurationSeconds": "0"}}'
      for method, target, body in (
        ("POST", "/storage/v1/b?project=gait", made),
        ("PATCH", f"/storage/v1/b/{bucket}", kept),
      ):
        answer = proxy.ask(method, target, headers, body)
        assert answer.status == 200, answer
      yield Store(f"gs://{bucket}", _google_environment(proxy.url), proxy)
    finally:
      proxy.close()


@contextlib.contextmanager
def s3(bucket="gait"):
  """Amazon's S3 with one empty bucket, in memory.

  Args:
    bucket: its name.

  Yields:
    The `Store`.
  """
  with _server(
    lambda port: ("-m", "moto.server", "--host=127.0.0.1", f"--port={port}")
  ) as port:
    proxy = fault_proxy.Proxy(port, error=_s3_error)
    try:
      answer = proxy.ask("PUT", f"/{bucket}", _KEY)
      assert answer.status == 200, answer
      yield Store(f"s3://{bucket}", _amazon_environment(proxy.url), proxy)
    finally:
      proxy.close()


def _google_environment(url):
  return {
    # gcsfs, and Google's own client.
    "STORAGE_EMULATOR_HOST": url,
    "FSSPEC_GCS_TOKEN": "anon",
    "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
    # TensorStore's driver, by which Orbax writes arrays. With a token it looks
    # for no credentials, and asks no metadata server for any.
    "TENSORSTORE_GCS_HTTP_URL": url,
    "GOOGLE_AUTH_TOKEN_FOR_TESTING": "none",
    "NO_GCE_CHECK": "true",
    "EPATH_USE_TF": "false",
  }


def _amazon_environment(url):
  return {
    "AWS_ENDPOINT_URL": url,
    "AWS_ACCESS_KEY_ID": "gait",
    "AWS_SECRET_ACCESS_KEY": "gait",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "EPATH_USE_TF": "false",
  }


def _s3_error(status):
  code = _S3_ERRORS.get(status, "InternalError")
  return f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()


@contextlib.contextmanager
def _server(arguments):
  """Starts a program that listens on a port; yields the port."""
  with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
  process = subprocess.Popen(
    [sys.executable, *arguments(port)],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
    env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
  )
  try:
    end = time.monotonic() + 120
    while not _listens(port):
      assert process.poll() is None, f"{arguments(port)} ended"
      assert time.monotonic() < end, f"{arguments(port)} does not listen"
      time.sleep(0.05)
    yield port
  finally:
    process.kill()
    process.wait()


def _listens(port):
  with socket.socket() as s:
    return s.connect_ex(("127.0.0.1", port)) == 0


def main(kind, *command):
  """Runs a command that finds an empty store; returns its status."""
  with {"gcs": gcs, "s3": s3}[kind]() as store:
    print(f"{store.url} is empty, and is gone when {command[0]} ends")
    return subprocess.run(
      command, env={**os.environ, **store.environment}
    ).returncode


if __name__ == "__main__":
  sys.exit(main(*sys.argv[1:]))

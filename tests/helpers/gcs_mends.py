"""What Google's object store does and its emulator leaves out.

gcp-storage-emulator knows no preconditions (a conditional write always
succeeds), no generations of downloads, no pages and offsets of lists, no ranges
from the end and none beyond it, no moves, and gives no reason with 404; a plain
upload of nothing breaks it. Programs that rely on those (TensorStore's
manifests are conditional writes) would be tested against a store that is not
there. So they are added here, from the metadata that the emulator has.
"""

import json
import re
import urllib.parse

from tests.helpers.fault_proxy import Answer

_OBJECT = re.compile(r"(?:/download)?/storage/v1/b/([^/]+)/o/([^/]+)")
_LIST = re.compile(r"/storage/v1/b/([^/]+)/o")
_UPLOAD = re.compile(r"/upload/storage/v1/b/([^/]+)/o")
_MOVE = re.compile(r"/storage/v1/b/([^/]+)/o/([^/]+)/moveTo/o/([^/]+)")
_REASONS = {
  400: "invalid",
  403: "forbidden",
  404: "notFound",
  412: "conditionNotMet",
  416: "requestedRangeNotSatisfiable",
  429: "rateLimitExceeded",
  503: "backendError",
}
_MESSAGES = {
  403: (
    "gait@example.iam.gserviceaccount.com does not have access to the Google "
    "Cloud Storage object. Permission denied on resource (or it may not exist)."
  ),
  404: "The specified bucket does not exist.",
  429: "The object exceeded the rate limit for object mutation operations.",
  503: "We encountered an internal error. Please try again.",
}


def error(status, message=None):
  """The body of an answer with a status."""
  reason = _REASONS.get(status, "error")
  message = message or _MESSAGES.get(status, reason)
  details = {"message": message, "domain": "global", "reason": reason}
  text = {"error": {"code": status, "message": message, "errors": [details]}}
  return json.dumps(text).encode()


def mend(forward, method, target, headers, body):
  """Answers a request as the real store would; see `fault_proxy.Proxy`."""
  url = urllib.parse.urlsplit(target)
  query = {
    key: values[-1]
    for key, values in urllib.parse.parse_qs(
      url.query, keep_blank_values=True
    ).items()
  }
  if method == "POST" and (match := _MOVE.fullmatch(url.path)):
    return _move(forward, *match.groups())
  place, meta = _place(url.path, query, body), None
  if place:
    meta = _metadata(forward, *place)
    if status := _unmet(method, query, meta):
      return _refusal(status)
  if query.get("uploadType") == "media" and not body:
    target, headers, body = _nothing(url, query["name"])
  media = url.path.startswith("/download") or query.get("alt") == "media"
  if method == "GET" and media and meta:
    headers = dict(headers)
    if status := _mend_range(headers, int(meta["size"])):
      return _refusal(status)
  answer = forward(method, target, headers, body)
  if answer.status == 404:
    return _refusal(404, _missing(forward, url.path))
  if answer.status not in (200, 206):
    return answer
  if method == "DELETE":
    return Answer(204, {}, b"")
  if method == "GET" and media and meta:
    answer.headers["X-Goog-Generation"] = meta["generation"]
    answer.headers["X-Goog-Metageneration"] = meta["metageneration"]
  if method == "GET" and _LIST.fullmatch(url.path):
    return _page(answer, query)
  return answer


def _place(path, query, body):
  """The bucket and the object that a request is about, if it is about one."""
  if match := _OBJECT.fullmatch(path):
    return match[1], match[2]
  if (match := _UPLOAD.fullmatch(path)) and "upload_id" not in query:
    name = query.get("name")
    if name is None and (found := re.search(rb'"name": *"([^"]*)"', body)):
      name = found[1].decode()
    if name:
      return match[1], urllib.parse.quote(name, safe="")
  return None


def _metadata(forward, bucket, name):
  answer = forward("GET", f"/storage/v1/b/{bucket}/o/{name}", {}, b"")
  return json.loads(answer.body) if answer.status == 200 else None


def _nothing(url, name):
  """An upload of nothing, in the form that the emulator survives."""
  about = json.dumps({"name": name}).encode()
  body = b"".join(
    b"--part\r\nContent-Type: " + kind + b"\r\n\r\n" + content + b"\r\n"
    for kind, content in (
      (b"application/json", about),
      (b"application/octet-stream", b""),
    )
  )
  headers = {"Content-Type": "multipart/related; boundary=part"}
  return f"{url.path}?uploadType=multipart", headers, body + b"--part--"


def _move(forward, bucket, old, new):
  """Renames an object, which nobody can see half done."""
  source, folder = f"/storage/v1/b/{bucket}/o/{old}", f"b/{bucket}/o/{new}"
  answer = forward("POST", f"{source}/rewriteTo/{folder}", {}, b"")
  if answer.status == 404:
    return _refusal(404, _missing(forward, source))
  assert answer.status == 200, answer
  forward("DELETE", source, {}, b"")
  resource = json.dumps(json.loads(answer.body)["resource"]).encode()
  return Answer(200, answer.headers, resource)


def _unmet(method, query, meta):
  """The status of a precondition that does not hold; 0 if all do."""
  generation = meta["generation"] if meta else "0"
  if query.get("ifGenerationMatch", generation) != generation:
    return 412
  if query.get("ifGenerationNotMatch") == generation:
    return 304 if method == "GET" else 412
  return 0


def _mend_range(headers, size):
  """Writes a range in the form that the emulator reads; or a status."""
  key = next((k for k in headers if k.lower() == "range"), None)
  if key is None:
    return 0
  first, _, last = headers[key].removeprefix("bytes=").partition("-")
  if not first:
    headers[key] = f"bytes={max(0, size - int(last))}-{size - 1}"
    return 0 if size else 416
  return 0 if int(first) < size else 416


def _missing(forward, path):
  """Whether the bucket or the object is what is missing, in words."""
  bucket = path.partition("/b/")[2].split("/")[0]
  if forward("GET", f"/storage/v1/b/{bucket}", {}, b"").status != 200:
    return "The specified bucket does not exist."
  name = urllib.parse.unquote(path.partition("/o/")[2])
  return f"No such object: {bucket}/{name}"


def _page(answer, query):
  """A page of a list: between the offsets, after the token, no longer."""
  result = json.loads(answer.body)
  entries = [(item["name"], item) for item in result.get("items", ())]
  entries += [(name, None) for name in result.get("prefixes", ())]
  low, high = query.get("startOffset", ""), query.get("endOffset")
  token = query.get("pageToken", "")
  entries = sorted(
    (
      entry
      for entry in entries
      if entry[0] >= low
      and (high is None or entry[0] < high)
      and entry[0] > token
    ),
    key=lambda entry: entry[0],
  )
  count = min(int(query.get("maxResults", 1000)), 1000)
  page = {"kind": "storage#objects"}
  if items := [item for _, item in entries[:count] if item]:
    page["items"] = items
  if prefixes := [name for name, item in entries[:count] if not item]:
    page["prefixes"] = prefixes
  if len(entries) > count:
    page["nextPageToken"] = entries[count - 1][0]
  return Answer(200, answer.headers, json.dumps(page).encode())


def _refusal(status, message=None):
  body = b"" if status == 304 else error(status, message)
  return Answer(status, {"Content-Type": "application/json"}, body)

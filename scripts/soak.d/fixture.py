"""The exchanges in a fixture, for scripts/soak. It is read without code of harproxy."""
import base64
import collections
import json
import os
from urllib.parse import urlsplit

from answers import compact, sha256
from load import Complete


def entries(path):
    """The number of entries, and the complete ones in the form of a client's log, each with its number."""
    folder = os.path.dirname(path)
    with open(path, encoding="utf-8") as har:
        found = json.load(har)["log"]["entries"]
    whole = collections.Counter()
    for entry in found:
        request, response = entry["request"], entry["response"]
        posted = request.get("postData", {})
        if "_truncated" in response.get("content", {}) or "_truncated" in posted or not urlsplit(request["url"]).netloc:
            continue
        sent, got = payload(folder, posted), payload(folder, response["content"])
        whole[Complete(request["method"], request["url"], sha256(sent) if sent else "", response["status"], sha256(got))] += 1
    return len(found), whole


def payload(folder, content):
    if "_file" in content:
        with open(os.path.join(folder, content["_file"]), "rb") as file:
            data = file.read()
    elif content.get("encoding") == "base64":
        data = base64.b64decode(content["text"])
    else:
        data = content.get("text", "").encode()
    spacing = content.get("_compact")
    if spacing == "spaced":
        return json.dumps(json.loads(data)).encode()
    return compact(json.loads(data)) if spacing else data

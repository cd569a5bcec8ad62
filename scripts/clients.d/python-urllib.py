"""needs: apt:python3"""
import os
import urllib.request

BASE, OUT = os.environ["BASE"], os.environ["OUT"]


def get(name, path, data=None):
    request = urllib.request.Request(BASE + path, data=data, headers={"content-type": "application/json"} if data else {})
    with urllib.request.urlopen(request) as answer, open(os.path.join(OUT, name), "wb") as file:
        file.write(answer.read())


get("json", "/api/json?page=2")
get("gzip", "/api/gzip")
get("post", "/api/items", b'{"name":"Ada"}')
get("redirect", "/api/redirect")
get("image", "/api/image.png")

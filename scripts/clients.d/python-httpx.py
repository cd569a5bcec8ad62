"""needs: apt:python3 pip:httpx"""
import os

import httpx

BASE, OUT = os.environ["BASE"], os.environ["OUT"]


def keep(name, answer):
    answer.raise_for_status()
    with open(os.path.join(OUT, name), "wb") as file:
        file.write(answer.content)


with httpx.Client(follow_redirects=True) as client:
    keep("json", client.get(BASE + "/api/json", params={"page": 2}))
    keep("gzip", client.get(BASE + "/api/gzip"))
    keep("post", client.post(BASE + "/api/items", json={"name": "Ada"}))
    keep("redirect", client.get(BASE + "/api/redirect"))
    keep("image", client.get(BASE + "/api/image.png"))

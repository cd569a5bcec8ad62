"""needs: apt:python3 pip:requests"""
import os

import requests

BASE, OUT = os.environ["BASE"], os.environ["OUT"]
session = requests.Session()


def keep(name, answer):
    answer.raise_for_status()
    with open(os.path.join(OUT, name), "wb") as file:
        file.write(answer.content)


keep("json", session.get(BASE + "/api/json", params={"page": 2}))
keep("gzip", session.get(BASE + "/api/gzip"))
keep("post", session.post(BASE + "/api/items", json={"name": "Ada"}))
keep("redirect", session.get(BASE + "/api/redirect"))
keep("image", session.get(BASE + "/api/image.png"))

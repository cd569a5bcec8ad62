"""A client of an API with a state: each POST adds an item to the cart."""

import requests

API = "https://api.example.com"


def items():
    return requests.get(f"{API}/cart", timeout=10).json()["items"]


def add(item):
    requests.post(f"{API}/cart", json={"item": item}, timeout=10).raise_for_status()

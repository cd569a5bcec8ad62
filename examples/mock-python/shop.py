"""A client of the shop: it waits as `Retry-After` says, and asks again."""
import json
import time
import urllib.error
import urllib.request


class SoldOut(Exception):
    pass


class Shop:
    def __init__(self, url, headers=None):
        self.url, self.headers = url, headers or {}

    def request(self, method, path, payload=None):
        data = None if payload is None else json.dumps(payload).encode()
        headers = {**self.headers, **({"content-type": "application/json"} if data else {})}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        for _ in range(3):
            try:
                with urllib.request.urlopen(request, timeout=10) as response:
                    return json.load(response)
            except urllib.error.HTTPError as error:
                if error.code == 410:
                    raise SoldOut from error
                if error.code != 503:
                    raise
                time.sleep(float(error.headers["retry-after"]))
        raise TimeoutError("the shop is busy")

    def price(self, item):
        return self.request("GET", f"/prices/{item}")["price"]

    def order(self, item):
        return self.request("POST", "/orders", {"item": item})["id"]

    def orders(self):
        return [order["item"] for order in self.request("GET", "/orders")]

"""Tests against `harproxy serve`: python3 -m unittest. $HARPROXY is the binary."""
import json
import os
import subprocess
import tempfile
import unittest

from shop import Shop, SoldOut


class ShopTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        command = [os.environ.get("HARPROXY", "harproxy"), "serve", "-p", "0", "--ca-dir", self.folder.name,
                   "--reverse", "SHOP=https://shop.example.com", "--log-format", "json"]
        self.server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(self.server.stdout.close)
        self.addCleanup(self.server.wait)
        self.addCleanup(self.server.terminate)
        # The first line says where the server listens.
        self.url = json.loads(self.server.stdout.readline())["urls"]["SHOP"]

    def test_busy_shop_is_asked_again(self):
        self.assertEqual(Shop(self.url).price("tea"), 3)

    def test_sold_out_item_has_no_price(self):
        shop = Shop(self.url, {"x-mock-response-name": "sold-out"})
        self.assertRaises(SoldOut, shop.price, "tea")

    def test_order_is_in_the_list(self):
        shop = Shop(self.url)
        self.assertEqual(shop.order("cake"), 2)
        self.assertEqual(shop.orders(), ["tea", "cake"])


if __name__ == "__main__":
    unittest.main()

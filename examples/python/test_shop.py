import requests

API = "https://api.example.com/v1"


def test_a_user_has_a_name():
    assert requests.get(f"{API}/users/7").json()["name"] == "Ada"


def test_an_order_is_created():
    answer = requests.post(f"{API}/orders", json={"item": "tea", "count": 2})
    assert answer.status_code == 201
    assert answer.json()["item"] == "tea"

// A client of the shop: it waits as `Retry-After` says, and asks again.
import { setTimeout as wait } from "node:timers/promises";

export class SoldOut extends Error {}

export class Shop {
  constructor(url, headers = {}) {
    Object.assign(this, { url, headers });
  }

  async request(method, path, payload) {
    const body = payload && JSON.stringify(payload);
    const headers = { ...this.headers, ...(body && { "content-type": "application/json" }) };
    for (let attempt = 0; attempt < 3; attempt++) {
      const response = await fetch(this.url + path, { method, headers, body });
      if (response.ok) return response.json();
      if (response.status === 410) throw new SoldOut();
      if (response.status !== 503) throw new Error(`${response.status} from ${path}`);
      await wait(Number(response.headers.get("retry-after")) * 1000);
    }
    throw new Error("the shop is busy");
  }

  async price(item) {
    return (await this.request("GET", `/prices/${item}`)).price;
  }

  async order(item) {
    return (await this.request("POST", "/orders", { item })).id;
  }

  async orders() {
    return (await this.request("GET", "/orders")).map((order) => order.item);
  }
}

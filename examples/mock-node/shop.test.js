// Tests against `harproxy serve`: node --test. $HARPROXY is the binary.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, test } from "node:test";

import { Shop, SoldOut } from "./shop.js";

let folder, server, url;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "shop-"));
  const args = ["serve", "-p", "0", "--ca-dir", folder, "--reverse", "SHOP=https://shop.example.com"];
  server = spawn(process.env.HARPROXY ?? "harproxy", [...args, "--log-format", "json"], { stdio: ["ignore", "pipe", "ignore"] });
  // The first line says where the server listens.
  const [line] = await once(createInterface(server.stdout), "line");
  url = JSON.parse(line).urls.SHOP;
});

afterEach(async () => {
  server.kill();
  await once(server, "exit");
  rmSync(folder, { recursive: true });
});

test("busy shop is asked again", async () => {
  assert.equal(await new Shop(url).price("tea"), 3);
});

test("sold-out item has no price", async () => {
  await assert.rejects(new Shop(url, { "x-mock-response-name": "sold-out" }).price("tea"), SoldOut);
});

test("order is in the list", async () => {
  const shop = new Shop(url);
  assert.equal(await shop.order("cake"), 2);
  assert.deepEqual(await shop.orders(), ["tea", "cake"]);
});

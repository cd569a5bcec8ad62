// Sends the requests that stdin names, one in JSON on each line, and prints each answer in JSON.
import { createInterface } from "node:readline";

for await (const line of createInterface(process.stdin)) {
  const { method, url, headers, body } = JSON.parse(line);
  let answer;
  try {
    const response = await fetch(url, { method, headers, body: body ?? undefined, redirect: "manual", signal: AbortSignal.timeout(1500) });
    const text = await response.text();
    answer = { status: response.status, headers: Object.fromEntries(response.headers), text };
  } catch (error) {
    answer = { status: 0, headers: {}, text: String(error.cause ?? error) };
  }
  console.log(JSON.stringify(answer));
}

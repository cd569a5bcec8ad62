// Names the test of this process on harproxy's control socket. Without harproxy it does nothing.
'use strict';

const http = require('http');
const net = require('net');

const { HARPROXY_RUN_CONTROL: socketPath } = process.env;

// The user name in the proxy URL of this process, which is that of its session.
function client() {
  try {
    return decodeURIComponent(new URL(process.env.HTTP_PROXY || process.env.http_proxy).username);
  } catch {
    return '';
  }
}

function ask(method, path, payload) {
  return new Promise((resolve, reject) => {
    const gone = (error) => reject(new Error(
      `harproxy's control socket ${socketPath} does not answer (${error.message}): start the tests with \`harproxy replay -- CMD\``,
    ));
    // A connection of its own, which no proxy setting applies to.
    const options = { method, path, headers: { host: 'localhost' }, createConnection: () => net.connect(socketPath), timeout: 10_000 };
    const request = http.request(options, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (piece) => { text += piece; }).once('error', gone).once('end', () => {
        try {
          const members = JSON.parse(text);
          if (answer.statusCode === 200) resolve(members);
          else reject(new Error(`harproxy: ${members.detail}`));
        } catch (error) {
          gone(error);
        }
      });
    });
    request.once('timeout', () => request.destroy(new Error('no answer within 10 s'))).once('error', gone);
    request.end(payload && JSON.stringify(payload));
  });
}

/** The requests of this process belong to the test from now on; `null` ends it. */
async function name(test, as = client()) {
  if (socketPath) await ask('POST', '/sessions', { client: as, name: test });
}

/** The findings about the requests of a test, as text; empty if there is none. */
async function findings(test) {
  if (!socketPath) return '';
  const { findings: found } = await ask('GET', `/findings?session=${encodeURIComponent(test)}`);
  return found.map(described).join('\n');
}

function described({ kind, request, explanation, remedy }) {
  return [`${kind}: ${request || ''}`, ...explanation.split('\n'), ...(remedy ? [`hint: ${remedy}`] : [])].join('\n  ');
}

/** Calls it for each test of a file. A title that the file has twice gets a number. */
function namer() {
  const times = new Map();
  return (test, isAgain = false) => {
    const count = (times.get(test) || 0) + (isAgain ? 0 : 1);
    times.set(test, count);
    return count > 1 ? `${test} #${count}` : test;
  };
}

module.exports = { name, findings, namer };

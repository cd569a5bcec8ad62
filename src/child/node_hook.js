// Loaded into every Node.js process of a run (NODE_OPTIONS=--require): takes its requests through the proxy that the
// variables name. Node.js 24.5 and 22.21 on do that by themselves for fetch and the global agents, and are left to it; an
// agent that a program made for itself is taken through the proxy everywhere.
//
// One way serves all: the proxy is asked for a tunnel (CONNECT), for http too, where a connection would have been made.
'use strict';

const http = require('http');
const https = require('https');
const net = require('net');
const tls = require('tls');

// As they are now: a program that mocks requests, or changes its variables, does not mean this file.
const { request } = http;
const variable = (name) => process.env[name] || process.env[name.toUpperCase()] || '';
const proxy = parsed(variable('https_proxy') || variable('http_proxy'));
const direct = variable('no_proxy').split(/[\s,]+/).filter(Boolean).map(entry);

// A harproxy in a harproxy brings this file twice.
const LOADED = Symbol.for('harproxy.node-hook');
if (proxy && !globalThis[LOADED]) {
  globalThis[LOADED] = true;
  const builtIn = process.allowedNodeEnvironmentFlags.has('--use-env-proxy') && process.env.NODE_USE_ENV_PROXY === '1';
  patchAgent(http.Agent, builtIn, (agent, options, socket) => socket);
  const secure = https.Agent.prototype.createConnection;
  patchAgent(https.Agent, builtIn, (agent, options, socket) => secure.call(agent, { ...options, socket }));
  if (!builtIn) patchFetch();
  else if (process.versions.node.startsWith('22.')) hush();
}

function parsed(url) {
  try {
    const { protocol, hostname, port, username, password } = new URL(url);
    if (protocol !== 'http:') return undefined;
    const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    const authorization = username ? { 'proxy-authorization': `Basic ${Buffer.from(credentials).toString('base64')}` } : {};
    return { host: unbracketed(hostname), port: Number(port) || 80, authorization };
  } catch {
    return undefined;
  }
}

// `host`, `host:port`, `[v6]:port`, `v6`; a name stands for what lies below it too.
function entry(text) {
  const [, name, port] = /^(\[.*\]|[^:]*|.*:.*:.*?)(?::(\d+))?$/.exec(text) || [];
  const host = unbracketed(name || '').replace(/^\*?\./, '').toLowerCase();
  return (asked, at) => (!port || Number(port) === at) && (host === '*' || asked === host || asked.endsWith(`.${host}`));
}

// The proxy itself too: some clients (axios) know the variables and talk to it on their own.
function bypasses(host, port) {
  return (host === proxy.host && port === proxy.port) || direct.some((covers) => covers(host.toLowerCase(), port));
}

function unbracketed(host) {
  return host.replace(/^\[(.*)\]$/, '$1');
}

// Gives `done` a socket that the proxy has connected to host and port.
function tunnel(host, port, done) {
  const authority = `${net.isIPv6(host) ? `[${host}]` : host}:${port}`;
  request({
    createConnection: () => net.connect({ host: proxy.host, port: proxy.port, noDelay: true }),
    method: 'CONNECT',
    path: authority,
    headers: { host: authority, ...proxy.authorization },
    setHost: false,
  })
    .once('connect', ({ statusCode, statusMessage }, socket, head) => {
      if (statusCode !== 200) {
        socket.destroy();
        done(new Error(`the proxy answered ${statusCode} ${statusMessage} to CONNECT ${authority}`));
        return;
      }
      if (head.length > 0) socket.unshift(head);
      done(null, socket);
    })
    .once('error', done)
    .end();
}

// `finish` makes of a tunnel what the agent's own createConnection would have returned.
function patchAgent(Agent, builtIn, finish) {
  const original = Agent.prototype.createConnection;
  const secure = Agent === https.Agent;
  Agent.prototype.createConnection = function createConnection(options, callback, ...rest) {
    const host = unbracketed(String((options && (options.host || options.hostname)) || 'localhost'));
    const port = Number(options && options.port) || (secure ? 443 : 80);
    const notOurs =
      typeof callback !== 'function' || // a caller that can't wait for a tunnel
      options.socket || // one is there already, perhaps through a proxy of the program's own
      options.socketPath ||
      (builtIn && this.options && this.options.proxyEnv) ||
      bypasses(host, port);
    if (notOurs) return original.call(this, options, callback, ...rest);
    tunnel(host, port, (error, socket) => {
      if (error) callback(error);
      else callback(null, finish(this, options, socket));
    });
    return undefined;
  };
}

// The built-in fetch, and the undici package, use the dispatcher that this symbol names; it is there once fetch has been
// called. Its class is not to be had in another way.
function patchFetch() {
  if (typeof globalThis.fetch !== 'function') return;
  const { emitWarning } = process;
  process.emitWarning = () => {}; // 18 says that fetch is experimental
  try {
    globalThis.fetch('data:,x').catch(() => {});
  } finally {
    process.emitWarning = emitWarning;
  }
  const DISPATCHER = Symbol.for('undici.globalDispatcher.1');
  const Dispatcher = globalThis[DISPATCHER] && globalThis[DISPATCHER].constructor;
  if (Dispatcher) globalThis[DISPATCHER] = new Dispatcher({ connect });
}

// 22 says in every process that its own support is experimental. That is not what the program, or a test that looks at its
// standard error, asked for. The warning is on its way when this file is loaded; a worker's can't be caught.
function hush() {
  const { emit } = process;
  process.emit = function quiet(name, warning) {
    if (name !== 'warning' || warning.code !== 'UNDICI-EHPA') return emit.apply(this, arguments);
    if (process.emit === quiet) delete process.emit;
    return true;
  };
}

// undici's connector: a connected socket for an origin.
function connect({ hostname, port, protocol, servername }, done) {
  const host = unbracketed(hostname);
  const secure = protocol === 'https:';
  const connected = (error, socket) => {
    if (error || !secure) return done(error, socket);
    const name = servername || (net.isIP(host) ? '' : host);
    const secured = tls.connect({ socket, host, servername: name, ALPNProtocols: ['http/1.1'] });
    return once(secured, 'secureConnect', done);
  };
  const at = Number(port) || (secure ? 443 : 80);
  if (!bypasses(host, at)) return tunnel(host, at, connected);
  return once(net.connect({ host, port: at, noDelay: true }), 'connect', connected);
}

// Waits for the socket's event; from then on its errors are for whoever asked for it.
function once(socket, event, done) {
  socket.once('error', done).once(event, () => {
    socket.removeListener('error', done);
    done(null, socket);
  });
}

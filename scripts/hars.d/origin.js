// The origin: a page that opens a WebSocket, listens to event streams and fetches JSON.
const { createServer } = require('http');
const { WebSocketServer } = require('ws');

const EVENTS = 'retry: 10\nid: 1\nevent: price\ndata: {"item":1,"price":10}\n\n'
  + ': a comment\nid: 2\nevent: price\ndata: {"item":2,\ndata: "price":20}\n\nid: 3\ndata: größer\n\n';

const PAGE = `<!doctype html><meta charset="utf-8"><title>visit</title><script type="module">
const text = async (url, options) => (await fetch(url, options)).text();
const done = {};
done.items = JSON.parse(await text('/api/items?page=1'));
done.added = JSON.parse(await text('/api/items', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"name":"third"}' }));
done.upgrade = await text('/socket');
done.note = await text('/api/note');
done.ticks = await text('/api/ticks');
done.events = await new Promise((resolve) => {
  const [source, seen] = [new EventSource('/api/events'), []];
  const keep = (event) => seen.push([event.type, event.lastEventId, event.data]);
  source.addEventListener('price', keep);
  source.onmessage = keep;
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) resolve(seen); };
});
done.socket = await new Promise((resolve, reject) => {
  const [socket, seen] = [new WebSocket(location.origin.replace('http', 'ws') + '/socket'), []];
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => { socket.send('hello'); socket.send(new Uint8Array([0, 1, 254, 255])); };
  socket.onmessage = ({ data }) => {
    seen.push(typeof data === 'string' ? data : [...new Uint8Array(data)]);
    if (seen.length === 3) socket.close(1000, 'enough');
  };
  socket.onclose = () => resolve(seen);
  socket.onerror = reject;
});
window.done = done;
</script>`;

const send = (response, status, type, body) => {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
  response.end(body);
};

/** Listens on a port that is free; resolves to {port, stop}. */
function startOrigin() {
  const server = createServer((request, response) => {
    request.resume();
    const { pathname } = new URL(request.url, 'http://origin');
    if (pathname === '/') return send(response, 200, 'text/html; charset=utf-8', PAGE);
    if (pathname === '/favicon.ico') return send(response, 204, 'image/x-icon');
    if (pathname === '/api/items' && request.method === 'POST') return send(response, 201, 'application/json', '{"id":3,"name":"third"}');
    if (pathname === '/api/items') return send(response, 200, 'application/json', '{"items":[{"id":1},{"id":2}]}');
    if (pathname === '/api/note') return send(response, 200, 'text/plain', 'grö\u00dfer als 3 €\n');
    if (pathname === '/api/ticks') return send(response, 200, 'text/event-stream', 'data: tick\n\ndata: tock\n\n');
    // A listener that reconnects has received all events.
    if (pathname === '/api/events' && request.headers['last-event-id']) return response.writeHead(204).end();
    if (pathname === '/api/events') return send(response, 200, 'text/event-stream', EVENTS);
    if (pathname === '/socket') {
      response.writeHead(426, { 'content-type': 'text/plain', upgrade: 'websocket' });
      return response.end('this is a socket\n');
    }
    return send(response, 404, 'text/plain', 'not found\n');
  });
  const sockets = new WebSocketServer({ server, path: '/socket' });
  sockets.on('connection', (socket) => {
    socket.send('welcome');
    socket.on('message', (data, binary) => socket.send(data, { binary }));
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const stop = () => { sockets.close(); server.closeAllConnections(); server.close(); };
      resolve({ port: server.address().port, stop });
    });
  });
}

module.exports = { startOrigin };

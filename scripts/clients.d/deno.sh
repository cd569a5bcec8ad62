# needs: npm:deno
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/client.ts" <<'TS'
const [BASE, OUT] = ['BASE', 'OUT'].map((name) => Deno.env.get(name));
async function keep(name: string, path: string, options?: RequestInit) {
  const answer = await fetch(BASE + path, options);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  await Deno.writeFile(`${OUT}/${name}`, await answer.bytes());
}
await keep('json', '/api/json?page=2');
await keep('gzip', '/api/gzip');
await keep('post', '/api/items', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"name":"Ada"}' });
await keep('redirect', '/api/redirect');
await keep('image', '/api/image.png');
TS
DENO_DIR=$work/deno "$TOOLS/node_modules/.bin/deno" run --quiet --no-config --no-lock -A "$work/client.ts"

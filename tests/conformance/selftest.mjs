// Do the two scripts see what they should? A feed in memory that changes while it is read: once right, then with one
// fault at a time. node selftest.mjs
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';

const TOKEN = 'demo';
const ITEMS = 1_800;

function serve(fault) {
  const items = new Map();
  let number = 0;
  const put = (id) => items.set(id, { state: 'updated', kind: 'slot', id, modified: ++number, data: { free: number % 7 } });
  for (let n = 0; n < ITEMS; n += 1) put(`s-${n}`);
  const change = () => {
    for (let n = 0; n < 5; n += 1) {
      const id = `s-${Math.floor(Math.random() * ITEMS)}`;
      if (n === 0) items.set(id, { state: 'deleted', kind: 'slot', id, modified: ++number });
      else put(id);
    }
  };
  const timer = setInterval(change, 10);
  const server = createServer((request, response) => {
    const own = `http://127.0.0.1:${server.address().port}${request.url}`;
    const url = new URL(own);
    if (request.headers.authorization !== `Bearer ${TOKEN}`) return response.writeHead(401).end('{}');
    const live = [...items.values()].sort((a, b) => a.modified - b.modified);
    if (url.pathname.endsWith('/snapshot')) {
      const lines = live.filter((item) => item.state === 'updated').map((item) => `${JSON.stringify(item)}\n`);
      return response.end((fault === 'snapshot' ? lines.slice(1) : lines).join(''));
    }
    const after = Number(url.searchParams.get('afterChangeNumber') ?? 0);
    const page = live.filter((item) => item.modified > after).slice(0, 500);
    if (fault === 'lost') page.splice(7, 1);
    const next = `http://127.0.0.1:${server.address().port}${url.pathname}?afterChangeNumber=${page.at(-1)?.modified}&limit=500`;
    const body = { next: page.length === 0 && fault !== 'next' ? own : next, items: page, license: 'https://example.org/' };
    if (fault === 'license') delete body.license;
    response.setHeader('Content-Type', 'application/json');
    return response.end(JSON.stringify(body));
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve({ server, timer, base: `http://127.0.0.1:${server.address().port}` }));
  });
}

function run(script, ...args) {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(process.execPath, [path, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  const following = new Promise((resolve) => child.stderr.once('data', resolve));
  let out = '';
  child.stdout.on('data', (part) => { out += part; });
  const ended = new Promise((resolve) => child.on('close', (code) => resolve({ code, report: JSON.parse(out || 'null') })));
  return { child, ended, following };
}

let wrong = 0;
function expect(what, is, report) {
  console.log(`${is ? 'ok  ' : 'FAIL'} ${what}`);
  if (!is) {
    wrong += 1;
    console.log(JSON.stringify(report, null, 2));
  }
}

for (const [fault, fails] of [[null, null], ['license', 'validate'], ['next', 'validate'], ['lost', 'harvest'], ['snapshot', 'harvest']]) {
  const { server, timer, base } = await serve(fault);
  const harvest = run('harvest.mjs', base, TOKEN, 'slots');
  await Promise.race([harvest.following, harvest.ended]);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  clearInterval(timer);
  harvest.child.stdin.end('over\n');
  const harvested = await harvest.ended;
  const validated = await run('validate.mjs', base, TOKEN, 'slots').ended;
  const name = fault ?? 'a right feed';
  if (fails !== 'validate') expect(`${name}: harvest exits ${fails === 'harvest' ? 1 : 0}`, harvested.code === (fails === 'harvest' ? 1 : 0), harvested);
  if (fails !== 'harvest') expect(`${name}: validate exits ${fails === 'validate' ? 1 : 0}`, validated.code === (fails === 'validate' ? 1 : 0), validated);
  if (fault === null) console.log(JSON.stringify({ harvested, validated }));
  server.closeAllConnections();
  server.close();
}
process.exit(wrong === 0 ? 0 : 1);

// Harvests one feed with @openactive/harvesting-utils while it changes: node harvest.mjs BASE_URL TOKEN FEED [--moving]
// --moving: the feed must change meanwhile, or the harvest proves nothing. TOKEN may be empty. Exit 1 if what was
// harvested is not what was published.
//
// What was published is the feed's own snapshots. A snapshot at cursor C is all live items as of C. Once the harvest
// has read past C, every item that did not change after C must be exactly as in the snapshot, and none may be missing
// or left over. So nothing has to stand still.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { harvestRPDE } = require('@openactive/harvesting-utils');

const ROUNDS = 5;
// How long the traffic may take to move the feed.
const MOVE_MS_MAX = 30_000;
// Beginnings anew before the first end of the feed; a feed that moves at every page needs some.
const RESUMES_MAX = 200;
// Of a snapshot that a newer one has replaced between the redirect and the request.
const SNAPSHOT_TRIES_MAX = 20;

const [base, token, feed, mode] = process.argv.slice(2);
if (!base || token === undefined || !feed || (mode !== undefined && mode !== '--moving')) {
  console.error('usage: node harvest.mjs BASE_URL TOKEN FEED [--moving]');
  process.exit(2);
}
const feedUrl = `${base.replace(/\/$/, '')}/v1/feeds/${feed}`;
const headers = token ? { Authorization: `Bearer ${token}` } : {};

const held = new Map(); // id → newest state, tombstones too
let last = 0;
let ended = false;
let snapshot = null; // { cursor, items }
const began = Date.now();
const counts = { pages: 0, resumed: 0, moved: 0, snapshots: 0, compared: 0, changed_since: 0 };

function fail(text) {
  console.error(`${feed}: ${text}`);
  process.exit(1);
}

function take(page) {
  counts.pages += 1;
  counts.moved += ended ? page.items.length : 0;
  for (const item of page.items) {
    if (!Number.isSafeInteger(item.modified)) fail(`${item.id}: modified is not a safe integer`);
    if (item.modified <= last) fail(`${item.id}: ${item.modified} came after ${last}`);
    last = item.modified;
    held.set(item.id, { modified: item.modified, live: item.state === 'updated', data: JSON.stringify(item.data) });
  }
}

async function readSnapshot() {
  for (let tries = 1; tries <= SNAPSHOT_TRIES_MAX; tries += 1) {
    // Follows the 307 to the immutable copy.
    const response = await fetch(`${feedUrl}/snapshot`, { headers });
    const cursor = Number(new URL(response.url).pathname.split('/').pop());
    if (response.status === 404 && Number.isSafeInteger(cursor)) continue;
    if (response.status !== 200) fail(`the snapshot answered ${response.status}`);
    if (!Number.isSafeInteger(cursor)) fail(`no cursor in ${response.url}`);
    const lines = (await response.text()).split('\n').filter((line) => line !== '');
    return { cursor, items: new Map(lines.map((line) => JSON.parse(line)).map((item) => [item.id, item])) };
  }
  return fail(`${SNAPSHOT_TRIES_MAX} snapshots were gone before they could be read`);
}

function compare({ cursor, items }) {
  for (const [id, item] of items) {
    const mine = held.get(id);
    if (!mine) fail(`${id}: in the snapshot at ${cursor}, never harvested`);
    if (mine.modified > cursor) {
      counts.changed_since += 1;
      continue;
    }
    if (!mine.live || mine.modified !== item.modified || mine.data !== JSON.stringify(item.data)) {
      fail(`${id}: harvested ${JSON.stringify(mine)}, in the snapshot at ${cursor} ${JSON.stringify(item)}`);
    }
    counts.compared += 1;
  }
  for (const [id, mine] of held) {
    if (mine.live && mine.modified <= cursor && !items.has(id)) {
      fail(`${id}: harvested live at ${mine.modified}, not in the snapshot at ${cursor}`);
    }
  }
  counts.snapshots += 1;
}

async function atEnd() {
  ended = true;
  if (snapshot) compare(snapshot);
  const waits = mode === '--moving' && counts.moved === 0;
  if (counts.snapshots >= ROUNDS && !waits) {
    if (counts.compared === 0) fail('nothing was compared');
    console.log(JSON.stringify({ tool: '@openactive/harvesting-utils', feed, ok: true, items: held.size, ...counts }));
    process.exit(0);
  }
  if (waits && Date.now() - began > MOVE_MS_MAX) fail(`nothing moved within ${MOVE_MS_MAX} ms`);
  snapshot = await readSnapshot();
}

// Until its first end of the feed the tool takes an item that changed meanwhile for a duplicate, unless pages are
// publicly cacheable, which a partner's feeds are not, and stops before it hands that page over. Another harvest goes on
// at the same page; `take` then sees that the numbers really grew.
let from = `${feedUrl}?limit=500`;
while (counts.resumed <= RESUMES_MAX) {
  const { error } = await harvestRPDE({
    baseUrl: from,
    feedContextIdentifier: feed,
    headers: async () => headers,
    processPage: async ({ rpdePage }) => take(rpdePage),
    onReachedEndOfFeed: atEnd,
    onRetryDueToHttpError: async (url, _headers, status) => fail(`${url} answered ${status}`),
    isOrdersFeed: false,
    config: { howLongToSleepAtFeedEnd: () => 300, REQUEST_LOGGING_ENABLED: false },
  });
  const errors = (error.rpdeValidationErrors ?? []).map((one) => one.data ?? one);
  if (errors.length === 0 || errors.some((one) => one.type !== 'no_duplicate_items')) {
    const because = errors.map((one) => `${one.type}: ${one.message}`).join('; ');
    fail(`${error.type} at ${error.reqUrl}: ${because || error.message || error.resStatusCode}`);
  }
  counts.resumed += 1;
  from = error.reqUrl;
}
fail(`not at an end after ${RESUMES_MAX} beginnings anew`);

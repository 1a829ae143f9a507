// node harvest.mjs FEED: harvests the feed as a partner would, while bookings are going on, and holds what it has
// against the feed's own snapshots.
//
// A snapshot at cursor C is all live items as of C. Once the harvest has read past C, every item that did not change
// after C must be exactly as in the snapshot, and none may be missing or left over.
//
// An item that changes between two pages of the first pass rightly comes twice, with a higher number. The harvester,
// made for systems at rest, stops there; the harvest then begins anew.
import { harvestRPDE } from '@openactive/harvesting-utils';
import { base, fail, headers } from './bridge.mjs';

const ROUNDS = 5;
// Feeds that bookings move: a harvest of them proves nothing unless something moves.
const MOVING = ['slots', 'bookings'];
// How long the demonstration's traffic may take to move the feed.
const ROUND_MS_MAX = 30000;
// Fresh starts until a first pass falls between two ticks of 200 ms.
const STARTS_MAX = 50;

const [feed] = process.argv.slice(2);
let held = new Map(); // id → newest state, tombstones too
let last = 0;
let moved = 0;
let compared = 0;
let changedSince = 0;
let round = 0;
let snapshot = null; // { cursor, items }
let roundBegan = Date.now();

function take(page) {
  for (const item of page.items) {
    if (!Number.isSafeInteger(item.modified)) fail(`${item.id}: modified is not a safe integer`);
    if (item.modified <= last) fail(`${item.id}: ${item.modified} came after ${last}`);
    last = item.modified;
    held.set(item.id, item);
  }
}

async function readSnapshot() {
  // Follows the 307 to the immutable copy.
  const response = await fetch(`${base}/v1/feeds/${feed}/snapshot`, { headers });
  if (response.status !== 200) fail(`snapshot: ${response.status} ${await response.text()}`);
  const cursor = Number(new URL(response.url).pathname.split('/').pop());
  if (!Number.isSafeInteger(cursor)) fail(`snapshot: no cursor in ${response.url}`);
  const lines = (await response.text()).split('\n').filter((line) => line !== '');
  return { cursor, items: new Map(lines.map((line) => JSON.parse(line)).map((item) => [item.id, item])) };
}

function compare({ cursor, items }) {
  for (const [id, item] of items) {
    const mine = held.get(id);
    if (!mine) fail(`${id}: in the snapshot at ${cursor}, never harvested`);
    if (mine.modified > cursor) {
      changedSince += 1;
      continue;
    }
    if (JSON.stringify(mine) !== JSON.stringify(inOrderOf(mine, item))) {
      fail(`${id}: harvested ${JSON.stringify(mine)}, in the snapshot at ${cursor} ${JSON.stringify(item)}`);
    }
    compared += 1;
  }
  for (const [id, mine] of held) {
    if (mine.state === 'updated' && mine.modified <= cursor && !items.has(id)) {
      fail(`${id}: harvested live at ${mine.modified}, not in the snapshot at ${cursor}`);
    }
  }
}

// Members of an item have no order of their own; those of `data` keep theirs.
function inOrderOf(pattern, item) {
  const names = [...Object.keys(pattern), ...Object.keys(item).filter((name) => !(name in pattern))];
  return Object.fromEntries(names.map((name) => [name, item[name]]));
}

async function atEnd() {
  if (snapshot) {
    compare(snapshot);
    round += 1;
  }
  const waits = MOVING.includes(feed) && moved === 0;
  if (round >= ROUNDS && !waits) {
    console.log(`${feed}: ${held.size} items, ${moved} changes while harvesting, ${compared} compared in ` +
      `${round} snapshots, ${changedSince} had changed again`);
    if (compared === 0) fail(`${feed}: nothing was compared`);
    process.exit(0);
  }
  if (Date.now() - roundBegan > ROUND_MS_MAX) fail(`${feed}: nothing moved within ${ROUND_MS_MAX} ms`);
  snapshot = await readSnapshot();
}

function harvest() {
  held = new Map();
  last = 0;
  return harvestRPDE({
    baseUrl: `${base}/v1/feeds/${feed}?limit=500`,
    feedContextIdentifier: feed,
    headers: async () => headers,
    processPage: async ({ rpdePage, isInitialHarvestComplete }) => {
      take(rpdePage);
      if (isInitialHarvestComplete()) {
        moved += rpdePage.items.length;
        roundBegan = Date.now();
      }
    },
    onReachedEndOfFeed: atEnd,
    onRetryDueToHttpError: async (url, _headers, status) => fail(`${url}: ${status}`),
    isOrdersFeed: false,
    config: { howLongToSleepAtFeedEnd: () => 300 },
  });
}

// Returns only if something is wrong.
for (let starts = 1; starts <= STARTS_MAX; starts += 1) {
  const { error } = await harvest();
  const errors = error.rpdeValidationErrors ?? [];
  const changed = errors.length > 0 && errors.every((one) => one.type === 'no_duplicate_items');
  if (!changed) {
    const why = errors.map((one) => `${one.type}: ${one.message}`).join('; ');
    fail(`${feed}: ${error.type} ${error.reqUrl}: ${why || error.message || error.resStatusCode}`);
  }
  // Numbers must ascend on the page that the harvester would not take.
  const response = await fetch(error.reqUrl, { headers });
  if (response.status !== 200) fail(`${error.reqUrl}: ${response.status}`);
  take(await response.json());
}
fail(`${feed}: items came twice in each of ${STARTS_MAX} first passes`);

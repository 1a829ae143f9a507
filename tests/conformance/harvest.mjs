// Harvests one feed with @openactive/harvesting-utils while it changes, and compares what it holds with the snapshot.
//   node harvest.mjs BASE_URL TOKEN FEED [--until-eof | --for SECONDS]
// Says `following` on standard error at its first end of the feed. Changes may end once something (or the end) is read
// from standard input (--until-eof, the default) or after SECONDS. Then it goes on until it holds what a snapshot
// holds. Prints one JSON object; exit 1 if they differ, a change number did not grow or the harvester gave up.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { harvestRPDE } = require('@openactive/harvesting-utils');
const { version } = require('@openactive/harvesting-utils/package.json');

const SETTLE_MS = 15_000;
const [base, token, feed, mode, seconds] = process.argv.slice(2);
if (!base || token === undefined || !feed) {
  console.error('usage: node harvest.mjs BASE_URL TOKEN FEED [--until-eof | --for SECONDS]');
  process.exit(2);
}
const feedUrl = `${base.replace(/\/$/, '')}/v1/feeds/${feed}`;
const headers = token ? { Authorization: `Bearer ${token}` } : {};

const held = new Map();
const counts = { pages: 0, updated: 0, deleted: 0, ends: 0, resumed: 0 };
let reachedEnd = false;
let gaveUp = null;

const numbers = new Map();
const repeated = [];

function take(page) {
  counts.pages += 1;
  for (const item of page.items) {
    if ((numbers.get(item.id) ?? 0) >= item.modified) repeated.push({ id: item.id, modified: item.modified });
    numbers.set(item.id, item.modified);
    if (item.state === 'deleted') {
      counts.deleted += 1;
      held.delete(item.id);
    } else {
      counts.updated += 1;
      held.set(item.id, { modified: item.modified, data: JSON.stringify(item.data) });
    }
  }
}

// Until its first end of the feed the tool takes an item that changes meanwhile for a duplicate, unless pages are
// publicly cacheable, which a partner's feeds are not. It stops before handing over that page; another harvest goes on
// at the same page, and `take` sees to it that the item's number grew.
const isDuplicate = (error) => (error.data ?? error).type === 'no_duplicate_items';

async function harvest() {
  let from = feedUrl;
  for (;;) {
    const { error } = await harvestRPDE({
      baseUrl: from,
      feedContextIdentifier: feed,
      headers: async () => headers,
      processPage: async ({ rpdePage }) => take(rpdePage),
      onReachedEndOfFeed: async () => {
        counts.ends += 1;
        if (counts.ends === 1) console.error('following');
        reachedEnd = true;
      },
      isOrdersFeed: false,
      loggingFns: { log: () => {}, logError: console.error, logErrorDuringHarvest: console.error },
      config: { howLongToSleepAtFeedEnd: () => 50, REQUEST_LOGGING_ENABLED: false },
    });
    if (error.type !== 'rpde-validation-error' || !error.rpdeValidationErrors.every(isDuplicate)) {
      const because = error.rpdeValidationErrors?.map((e) => (e.data ?? e).message) ?? error.message;
      gaveUp = { type: error.type, status: error.resStatusCode, because };
      return;
    }
    counts.resumed += 1;
    from = error.reqUrl;
  }
}

async function snapshot() {
  const response = await fetch(`${feedUrl}/snapshot`, { headers });
  if (!response.ok) throw new Error(`the snapshot answered ${response.status}`);
  const lines = (await response.text()).split('\n').filter((line) => line !== '');
  return new Map(lines.map((line) => JSON.parse(line)).map((item) => [item.id, item]));
}

function differences(shot) {
  const found = [];
  for (const [id, item] of shot) {
    const mine = held.get(id);
    if (!mine) found.push({ id, what: 'missing' });
    else if (mine.modified !== item.modified || mine.data !== JSON.stringify(item.data)) found.push({ id, what: 'differs' });
  }
  for (const id of held.keys()) if (!shot.has(id)) found.push({ id, what: 'not in the snapshot' });
  return found;
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function changesEnd() {
  if (mode === '--for') return pause(Number(seconds) * 1000);
  return new Promise((resolve) => {
    process.stdin.once('data', resolve);
    process.stdin.once('end', resolve);
    process.stdin.once('error', resolve);
  });
}

const over = harvest();
await Promise.race([over, changesEnd()]);
const until = Date.now() + SETTLE_MS;
let different = [{ what: 'never compared' }];
let items = 0;
while (!gaveUp && Date.now() < until) {
  reachedEnd = false;
  while (!reachedEnd && !gaveUp && Date.now() < until) await pause(20);
  const shot = await snapshot();
  items = shot.size;
  different = differences(shot);
  if (different.length === 0) break;
}
const ok = !gaveUp && different.length === 0 && repeated.length === 0;
const tool = '@openactive/harvesting-utils';
const report = { tool, version, feed, ok, ...counts, held: held.size, snapshot: items, gave_up: gaveUp };
const wrong = { different: different.length, repeated: repeated.length };
const first = [...different.slice(0, 5), ...repeated.slice(0, 5)];
console.log(JSON.stringify({ ...report, ...wrong, first }, null, 2));
process.exit(ok ? 0 : 1);

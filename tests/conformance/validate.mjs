// node validate.mjs FEED: the whole feed through the RPDE validator, until one walk is without a failure.
//
// Bookings go on meanwhile. An item that changes during a walk rightly stands in it twice, but the validator, made for
// feeds at rest, calls that a failure. Only such walks are repeated; any other failure ends the check at once.
import { RpdeValidator } from '@openactive/rpde-validator';
import { authorizeEveryRequest, base, fail } from './bridge.mjs';

// Of 1,000 items: far more than the demonstration publishes; stops a walk that never ends.
const PAGES_MAX = 1000;
// A walk takes less than the 200 ms between two ticks, so a few attempts find a gap.
const WALKS_MAX = 50;

const [feed] = process.argv.slice(2);
authorizeEveryRequest();

async function walk() {
  const log = await RpdeValidator(`${base}/v1/feeds/${feed}`, { pageLimit: PAGES_MAX, timeoutMs: 20000 });
  if (log.pages.length >= PAGES_MAX) fail(`${feed}: not at its end after ${PAGES_MAX} pages`);
  // Whatever is not a known lesser severity is a failure.
  const errors = log.pages.flatMap((page) => page.errors.map((error) => ({ url: page.url, error })));
  const failures = errors.filter(({ error }) => !['warning', 'suggestion', 'notice'].includes(error.severity));
  return { pages: log.pages.length, failures, remarks: errors.filter((one) => !failures.includes(one)) };
}

for (let walks = 1; walks <= WALKS_MAX; walks += 1) {
  const { pages, failures, remarks } = await walk();
  const others = failures.filter(({ error }) => error.type !== 'no_duplicate_items');
  if (others.length > 0) {
    for (const { url, error } of others) console.error(`${error.severity} ${error.type} ${url}: ${error.message}`);
    fail(`${feed}: ${others.length} failures on ${pages} pages`);
  }
  if (failures.length === 0) {
    const kinds = [...new Set(remarks.map(({ error }) => `${error.severity} ${error.type}`))];
    console.log(`${feed}: ${pages} pages, 0 failures, walk ${walks}; remarks: ${kinds.join(', ') || 'none'}`);
    process.exit(0);
  }
}
fail(`${feed}: items stood twice in each of ${WALKS_MAX} walks`);

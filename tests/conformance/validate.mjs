// Runs @openactive/rpde-validator over feeds: node validate.mjs BASE_URL TOKEN FEED…
// BASE_URL is the daemon's public_url; TOKEN may be empty. Prints one JSON object; exit 1 on any failure.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const UrlHelper = require('@openactive/rpde-validator/src/helpers/url-helper');
const RpdeErrorType = require('@openactive/rpde-validator/src/errors/rpde-error-type');
const { RpdeValidator } = require('@openactive/rpde-validator');
const { version } = require('@openactive/rpde-validator/package.json');

// 40 pages of 500: the validator's search for duplicates is quadratic.
const PAGES_MAX = 40;
const [base, token, ...feeds] = process.argv.slice(2);
if (!base || token === undefined || feeds.length === 0) {
  console.error('usage: node validate.mjs BASE_URL TOKEN FEED…');
  process.exit(2);
}

// The validator has no option for request headers. Its one fetch is wrapped: the header is added, the answer is
// looked at (which change numbers each id had) and passed on as it is.
const fetchPlain = UrlHelper.fetch;
let seen = new Map();
UrlHelper.fetch = async (url, options = {}, timeout) => {
  const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  const response = await fetchPlain.call(UrlHelper, url, { ...options, headers }, timeout);
  const body = await response.text();
  note(body);
  return { status: response.status, headers: response.headers, text: async () => body };
};

function note(body) {
  let page;
  try {
    page = JSON.parse(body);
  } catch {
    return;
  }
  for (const item of page?.items ?? []) {
    seen.set(item.id, [...(seen.get(item.id) ?? []), item.modified]);
  }
}

// "Items must not appear more than once in the feed unless that item is updated while validation is in progress":
// then, and only then, each appearance has a higher change number.
function isUpdateMeanwhile(error) {
  if (error.type !== RpdeErrorType.NO_DUPLICATE_ITEMS) return false;
  const id = /duplicate id `"(.*)"` in /.exec(error.message)?.[1];
  const numbers = seen.get(id) ?? [];
  return numbers.length > 1 && numbers.every((n, at) => at === 0 || n > numbers[at - 1]);
}

let failed = false;
const report = { tool: '@openactive/rpde-validator', version, feeds: {} };
for (const feed of feeds) {
  seen = new Map();
  const log = await RpdeValidator(`${base.replace(/\/$/, '')}/v1/feeds/${feed}`, { pageLimit: PAGES_MAX });
  const errors = log.pages.flatMap((page) => page.errors.map((error) => ({ url: page.url, ...plain(error) })));
  const failures = errors.filter((error) => error.severity === 'failure' && !isUpdateMeanwhile(error));
  const other = errors.filter((error) => error.severity !== 'failure').map((error) => error.type);
  report.feeds[feed] = {
    pages: log.pages.length,
    items: seen.size,
    failures: failures.length,
    updated_meanwhile: errors.filter((error) => error.severity === 'failure').length - failures.length,
    not_failures: Object.fromEntries([...new Set(other)].map((type) => [type, other.filter((t) => t === type).length])),
    first_failures: failures.slice(0, 5),
  };
  failed ||= failures.length > 0 || log.pages.length === 0;
}

function plain(error) {
  const { severity, type, message } = error.data ?? error;
  return { severity, type, message };
}

console.log(JSON.stringify(report, null, 2));
process.exit(failed ? 1 : 0);

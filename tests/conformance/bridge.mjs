// The bridge under test, as a partner sees it. SLOTBRIDGE_URL and SLOTBRIDGE_KEY come from tests/run.
import http from 'node:http';

export const base = need('SLOTBRIDGE_URL');
export const headers = { Authorization: `Bearer ${need('SLOTBRIDGE_KEY')}` };

function need(name) {
  const value = process.env[name];
  if (!value) {
    console.error(`${name} is not set: start it through ./tests/run`);
    process.exit(2);
  }
  return value;
}

// The validator has no place for headers of its own, so every request of this process to the bridge gets the key.
export function authorizeEveryRequest() {
  const plain = http.request;
  const { host } = new URL(base);
  http.request = (...args) => {
    const request = plain(...args);
    if (request.getHeader('host') === host && !request.hasHeader('authorization')) {
      request.setHeader('Authorization', headers.Authorization);
    }
    return request;
  };
}

export function fail(text) {
  console.error(text);
  process.exit(1);
}

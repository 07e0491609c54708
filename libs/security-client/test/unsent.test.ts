import { expect, test } from 'vitest';
import { isUnsent } from '../src/unsent.ts';

const failed = (code: string, syscall?: string): Error => Object.assign(new Error(code), { code, syscall });

test.each([
  ['nobody listens, at every address of a name', failed('ECONNREFUSED'), true],
  ['a handshake that has no end', failed('UND_ERR_CONNECT_TIMEOUT'), true],
  ['no way to the host', failed('EHOSTUNREACH', 'connect'), true],
  ['no such name', failed('ENOTFOUND', 'getaddrinfo'), true],
  ['a host that was reached and is lost', failed('EHOSTUNREACH', 'read'), false],
  ['a connection that was broken off', failed('ECONNRESET', 'read'), false],
  ['no answer in time', failed('UND_ERR_HEADERS_TIMEOUT'), false],
  ['nothing that is known', undefined, false],
])('whether nothing was sent: %s', (_, error, unsent) => {
  expect(isUnsent(error)).toBe(unsent);
});

import { expect, test } from 'vitest';
import {
  DEFAULT_METHODS,
  faultOfMethod,
  isIdempotent,
  isSafe,
  mayHaveContent,
  normaliseMethod,
} from '../src/methods.ts';

const WEBDAV = ['PROPFIND', 'PROPPATCH', 'MKCOL', 'COPY', 'MOVE', 'LOCK', 'UNLOCK', 'ACL', 'SEARCH', 'VERSION-CONTROL'];
const OTHERS = ['REPORT', 'MKCALENDAR', 'PURGE', 'QUERY', 'M-SEARCH', 'UPDATEREDIRECTREF', "!#$%&'*+-.^_`|~9", 'Sync'];

test.each([...DEFAULT_METHODS, ...WEBDAV, ...OTHERS])('a policy may open %s', (method) => {
  expect(faultOfMethod(method)).toBe('');
});

test.each([
  ...['CONNECT', 'connect', 'TRACE', 'Trace', 'TRACK', 'PRI', '*'],
  ...['', 'GET /', 'A B', 'A\r\n', 'A:', ':method', 'ÄÖ', 'get', 'Post', 'propfind', 'A'.repeat(33)],
])('nobody may open %j', (method) => {
  expect(faultOfMethod(method)).not.toBe('');
});

test('what may be sent again is what the registry calls idempotent; an unknown method is not', () => {
  for (const method of [
    'GET',
    'HEAD',
    'PUT',
    'DELETE',
    'OPTIONS',
    'PROPFIND',
    'REPORT',
    'MKCOL',
    'MOVE',
    'UNLOCK',
    'ACL',
  ])
    expect(isIdempotent(method), method).toBe(true);
  for (const method of ['POST', 'PATCH', 'LOCK', 'PURGE', 'M-SEARCH', 'X', 'get'])
    expect(isIdempotent(method), method).toBe(false);
  for (const method of ['PUT', 'DELETE', 'MOVE', 'LOCK', 'PURGE', 'X']) expect(isSafe(method), method).toBe(false);
});

test('content has a meaning where a method gives it one, or is not known', () => {
  for (const method of ['POST', 'PROPFIND', 'MKCOL', 'LOCK', 'REPORT', 'X']) expect(mayHaveContent(method)).toBe(true);
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'DELETE', 'COPY', 'MOVE', 'UNLOCK', 'PURGE'])
    expect(mayHaveContent(method)).toBe(false);
});

test('a registered method is written as registered, any other as the app wrote it', () => {
  expect(['patch', 'propfind', 'GET', 'Sync', 'purge'].map(normaliseMethod)).toEqual([
    'PATCH',
    'PROPFIND',
    'GET',
    'Sync',
    'purge',
  ]);
});

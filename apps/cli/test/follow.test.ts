import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { putInPlace } from '../src/standby/follow.ts';

/** Where a data directory and its copy are; each says what it is. */
function places() {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-follow-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const to = join(folder, 'database');
  const make = (place: string, what: string, { ran = false } = {}): void => {
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, 'what'), what);
    if (ran) writeFileSync(join(place, 'postmaster.opts'), '');
  };
  const at = (place: string): string | undefined =>
    existsSync(join(place, 'what')) ? readFileSync(join(place, 'what'), 'utf8') : undefined;
  return { to, draft: `${to}.new`, before: `${to}.before`, make, at };
}

test('what was there is kept beside the copy, and one of an earlier time gives way to it', () => {
  const { to, draft, before, make, at } = places();
  make(before, 'of long ago', { ran: true });
  make(to, 'the old database', { ran: true });
  make(draft, 'a copy');
  expect(putInPlace(to, draft)).toBe(before);
  expect([at(to), at(before), at(draft)]).toEqual(['a copy', 'the old database', undefined]);
});

test('killed at any step, and repeated, what was there is still kept', () => {
  const { to, draft, before, make, at } = places();
  make(to, 'the old database', { ran: true });
  make(draft, 'a copy');
  putInPlace(to, draft);
  // Killed behind its last step, when nobody has started a server on the copy yet.
  make(draft, 'another copy');
  expect(putInPlace(to, draft)).toBe(before);
  expect([at(to), at(before)]).toEqual(['another copy', 'the old database']);
  // Killed between its two renames: nothing is in the place, and the copy is made anew.
  rmSync(to, { recursive: true });
  make(draft, 'a third copy');
  expect(putInPlace(to, draft)).toBe(before);
  expect([at(to), at(before)]).toEqual(['a third copy', 'the old database']);
});

test('where nothing was, nothing is kept', () => {
  const { to, draft, make, at } = places();
  make(draft, 'a copy');
  expect(putInPlace(to, draft)).toBeUndefined();
  expect(at(to)).toBe('a copy');
});

import { expect, test } from 'vitest';
import { couldTakeOver, type FoundSite, wordsOfSites } from '../../src/commands/standby-status.ts';

const OPEN = { epoch: 'abcdef0123456789', closed: false, taker: undefined, whole: false };
const follows = { standby: true, following: true, replayedAt: 9_000 };
const primary = { standby: false, following: false, replayedAt: 0 };
const words = (own: FoundSite, other: FoundSite | undefined | null = undefined): string =>
  wordsOfSites({ site: 'b:5432', own, other, now: 12_000 });

test('a standby that follows says how old its newest change is, and could take over', () => {
  const own = { server: follows, life: OPEN };
  expect(words(own, { server: primary, life: OPEN })).toBe(
    'this site      a standby that follows at b:5432, epoch abcdef01, open, newest change 3 s old\n' +
      'other site     a primary, epoch abcdef01, open\n',
  );
  expect(couldTakeOver({ own })).toBe(true);
});

test('one that follows nobody, or holds no realm, could not, and says so', () => {
  const own = { server: { ...follows, following: false }, life: OPEN };
  expect(words(own)).toContain('FOLLOWS NOBODY');
  expect(words(own)).toContain('does not answer');
  expect(couldTakeOver({ own })).toBe(false);
  const empty = { server: primary, life: undefined };
  expect(words(empty, null)).toMatch(/without a realm[\s\S]*SALLYPORT_OTHER_SITE_DATABASE_HOSTS/);
  expect(couldTakeOver({ own: empty })).toBe(false);
});

test('a copy is closed, and so is a site that gave its place away, which names whose it is', () => {
  expect(words({ server: primary, life: { ...OPEN, closed: true } })).toContain(
    'a primary at b:5432, epoch abcdef01, closed\n',
  );
  const given = { ...OPEN, closed: true, taker: 'a:5432', whole: true };
  expect(words({ server: primary, life: given })).toContain('closed for the takeover by a:5432');
});

test('a host without keys says so', () => {
  const text = wordsOfSites({
    site: 'b:5432',
    own: { server: follows, life: OPEN },
    other: null,
    keys: 'copy kek.json',
    now: 0,
  });
  expect(text).toMatch(/\nNO KEYS {8}copy kek\.json\n$/);
});

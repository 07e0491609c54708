import { expect, test } from 'vitest';
import {
  closeForTakeover,
  closeRealm,
  confirmClosed,
  continueEpoch,
  EpochFence,
  fencedStore,
  planTakeover,
  putUser,
  readRealm,
  readSiteLife,
  type TakeoverFacts,
} from '../../src/index.ts';
import { BY, scene } from '../scene.ts';

const OPEN = { epoch: 'e', closed: false, taker: undefined, whole: false };
const CLOSED = { ...OPEN, closed: true };
const FOR_US = { epoch: 'e', closed: true, taker: 'us', whole: true };
const FOR_OTHERS = { ...FOR_US, taker: 'them' };
const facts = (given: Partial<TakeoverFacts>): TakeoverFacts => ({
  site: 'us',
  own: { ...OPEN, standby: true },
  other: undefined,
  claimed: 'e',
  authority: true,
  otherIsOff: false,
  ...given,
});
const standby = (life: typeof OPEN | typeof FOR_US) => ({ ...life, standby: true });
const primary = (life: typeof OPEN | typeof FOR_US) => ({ ...life, standby: false });

test.each<[what: string, given: Partial<TakeoverFacts>, life: string, why: RegExp]>([
  ['the close has arrived', { own: standby(FOR_US), other: FOR_US }, 'same', /has arrived here/],
  [
    'the close has arrived, but what was under way was not waited for',
    { own: standby({ ...FOR_US, whole: false }), other: FOR_US },
    'new',
    /has not arrived here/,
  ],
  ['the close has not arrived', { other: FOR_US }, 'new', /has not arrived here/],
  ['the other site does not answer', {}, 'new', /does not answer: what it acknowledged last/],
  ['killed after the promotion', { own: primary(FOR_US), other: FOR_US }, 'same', /has arrived here/],
  ['the same, and the other site is gone by then', { own: primary(FOR_US) }, 'same', /has arrived here/],
  [
    'the same, without a journal',
    { own: primary(FOR_US), claimed: undefined, authority: false },
    'refused',
    /does not answer/,
  ],
  ['the same, and it is said to be off', { own: primary(FOR_US), claimed: undefined, otherIsOff: true }, 'new', /./],
  ['a restore took its place meanwhile', { own: primary(FOR_US), other: { ...OPEN, epoch: 'f' } }, 'new', /./],
  ['nothing fences the other', { authority: false }, 'refused', /--old-database-is-off/],
  ['somebody switched it off', { authority: false, otherIsOff: true }, 'new', /does not answer/],
  [
    'it is closed, without a journal',
    { authority: false, claimed: undefined, own: standby(FOR_US), other: FOR_US },
    'same',
    /./,
  ],
  ['a copy, which is closed', { own: primary(CLOSED) }, 'new', /is a copy/],
  ['a copy, killed after its claim', { own: primary(CLOSED), claimed: 'x' }, 'new', /is a copy/],
  ['the database is open', { own: primary(OPEN) }, 'done', /nothing is left/],
  ['an old main site that another one took over from', { own: primary(FOR_OTHERS) }, 'refused', /takeover by them/],
  ['the other was closed for a third site', { other: FOR_OTHERS }, 'refused', /takeover by them/],
  ['the same, and that one burned down, too', { other: FOR_OTHERS, otherIsOff: true }, 'new', /./],
  ['a standby that the journal has left behind', { claimed: 'x' }, 'refused', /never followed/],
])('who takes over, and how: %s', (_, given, life, why) => {
  const plan = planTakeover(facts(given));
  expect(plan.life).toBe(life);
  expect(plan.why).toMatch(why);
});

test('a database that was closed for a takeover gives nothing, and goes on in its epoch where the close has arrived', async () => {
  const { access } = await scene();
  const { epoch } = await readRealm(access.store);
  const fenced = { ...access, store: fencedStore(access.store, new EpochFence()) };
  expect(await closeForTakeover(access, BY, 'us')).toEqual({ epoch, closed: true, taker: 'us', whole: false });
  await expect(putUser(fenced, 'ada', {}, BY)).rejects.toMatchObject({ code: 'ERR_STORE_FENCED' });
  await expect(continueEpoch(access, BY, 'us')).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
  expect(await confirmClosed(access, BY, 'us')).toEqual({ epoch, closed: true, taker: 'us', whole: true });
  // The same database stands for its standby, to which everything has come.
  expect(await continueEpoch(access, BY, 'us')).toBe(epoch);
  expect(await readSiteLife(access)).toEqual({ epoch, closed: false, taker: undefined, whole: false });
  await putUser({ ...access, store: fencedStore(access.store, new EpochFence()) }, 'ada', {}, BY);
});

test('one database is given to one site: who comes second learns whose it is, and opens nothing', async () => {
  const { access } = await scene();
  await closeForTakeover(access, BY, 'us');
  expect((await closeForTakeover(access, BY, 'them')).taker).toBe('us');
  await expect(confirmClosed(access, BY, 'them')).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
  await expect(continueEpoch(access, BY, 'them')).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
});

test('what an operator closed for a restore is not opened by a takeover that did not close it', async () => {
  const { access } = await scene();
  await closeRealm(access, BY);
  expect((await readSiteLife(access)).taker).toBeUndefined();
  await expect(continueEpoch(access, BY, 'us')).rejects.toMatchObject({ code: 'ERR_ACCESS_CONFLICT' });
  expect((await closeForTakeover(access, BY, 'us')).taker).toBe('us');
});

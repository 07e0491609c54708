import { expect, test } from 'vitest';
import { type PlaceMark, refusalOfPlace } from '../../src/stores/place-mark.ts';

const HOME: PlaceMark = { boot: 'b1', machine: 'm1', hardware: 'h1', inode: '7', bornAt: '100' };
const AT_START = { isAdopted: false, isWhole: false };
const COPIED = { inode: '8', bornAt: '200' };

test.each<[string, Partial<PlaceMark>, string | undefined]>([
  ['where it was', {}, undefined],
  ['there after a restart of the machine', { boot: 'b2' }, undefined],
  ['in a folder that was copied', COPIED, 'a copy of another one'],
  ['there, on a file system that numbers its files anew', { inode: '8' }, undefined],
  ['on another machine', { boot: 'b2', machine: 'm2', hardware: 'h2' }, 'another machine'],
  ['on a clone that kept the id of its system', { boot: 'b2', hardware: 'h2' }, 'another machine'],
  ['where the hardware does not say who it is', { boot: 'b2', hardware: '' }, undefined],
  ['in another container of the same machine', { machine: '', hardware: '' }, undefined],
])('a database that was shut down and is found %s', (_where, over, refusal) => {
  const at = { known: HOME, found: { ...HOME, ...over }, isShutDown: true };
  const said = refusalOfPlace(at, AT_START);
  if (refusal === undefined) expect(said).toBeUndefined();
  else expect(said).toContain(refusal);
  if (refusal !== undefined) expect(said).toContain('sallyport realm new-epoch');
  // With a new epoch it is at home there.
  expect(refusalOfPlace(at, { isAdopted: true, isWhole: false })).toBeUndefined();
});

test('files that were copied one by one under a running server count only when somebody says that they are of one moment', () => {
  const at = { known: HOME, found: { ...HOME, ...COPIED }, isShutDown: false };
  for (const isAdopted of [false, true])
    expect(refusalOfPlace(at, { isAdopted, isWhole: false })).toContain('--copy-is-whole');
  expect(refusalOfPlace(at, { isAdopted: true, isWhole: true })).toBeUndefined();
  expect(refusalOfPlace(at, { isAdopted: false, isWhole: true })).toContain('a copy of another one');
});

test('a snapshot of a volume is of one moment, and keeps the numbers of its files', () => {
  const at = { known: HOME, found: { ...HOME, boot: 'b2', machine: 'm2' }, isShutDown: false };
  expect(refusalOfPlace(at, AT_START)).toContain('another machine');
  expect(refusalOfPlace(at, { isAdopted: true, isWhole: false })).toBeUndefined();
});

test('where no births of files are kept, their numbers alone tell a copy', () => {
  const known = { ...HOME, bornAt: '0' };
  expect(refusalOfPlace({ known, found: { ...known, inode: '8' }, isShutDown: true }, AT_START)).toContain('a copy');
});

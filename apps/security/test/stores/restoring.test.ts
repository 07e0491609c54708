import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { assertWhole, beginRestoring, endRestoring, isRestoring, readRestoring } from '../../src/stores/restoring.ts';

const EXPORT = { name: '20261126T141500Z-9f2c01ab', mark: 'a'.repeat(64) };

test('a folder that is half restored is no server of ours to start on, until the restore is finished', () => {
  const folder = { SALLYPORT_DATA: mkdtempSync(join(tmpdir(), 'sallyport-restoring-')) };
  onTestFinished(() => rmSync(folder.SALLYPORT_DATA, { recursive: true }));
  assertWhole(folder);
  beginRestoring(folder, EXPORT);
  expect(() => assertWhole(folder)).toThrow('nothing half restored serves');
  const own = readRestoring(folder)!;
  // Its own mark stops nobody, nor that of a process that ended, also when another one has its number now.
  expect(isRestoring(own)).toBe(false);
  expect(isRestoring({ ...own, pid: 2 ** 22 })).toBe(false);
  expect(isRestoring({ ...own, pid: process.ppid })).toBe(false);
  const stat = readFileSync(`/proc/${process.ppid}/stat`, 'utf8');
  const begun = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]!;
  const other = { ...own, pid: process.ppid, begun };
  expect(isRestoring(other)).toBe(true);
  writeFileSync(join(folder.SALLYPORT_DATA, 'security', 'restoring.json'), JSON.stringify(other));
  expect(() => assertWhole(folder)).toThrow('is being restored here');
  endRestoring(folder);
  assertWhole(folder);
});

test('nobody is told to remove what was here before a restore that was killed', () => {
  const folder = { SALLYPORT_DATA: mkdtempSync(join(tmpdir(), 'sallyport-restoring-')) };
  onTestFinished(() => rmSync(folder.SALLYPORT_DATA, { recursive: true }));
  const said = (aside?: string): string => {
    beginRestoring(folder, { ...EXPORT, aside });
    try {
      assertWhole(folder);
    } catch (error) {
      return (error as Error).message;
    }
    return '';
  };
  const aside = join(folder.SALLYPORT_DATA, 'before_restore_20261126141500');
  expect(said()).toContain('remove');
  expect(said()).toContain('and the database beside it');
  expect(said(`folder ${aside}`)).toContain('the database beside it is still that of before');
  mkdirSync(aside);
  expect(said(`folder ${aside}`)).toContain(`put folder ${aside}, which is what was here before`);
  expect(said('schema before_restore_20261126141500')).toContain(
    'is in schema before_restore_20261126141500, or still',
  );
});

test('of restores that nobody finished, one after the other, what was there before the first is what there is to go back to', () => {
  const folder = { SALLYPORT_DATA: mkdtempSync(join(tmpdir(), 'sallyport-restoring-')) };
  onTestFinished(() => rmSync(folder.SALLYPORT_DATA, { recursive: true }));
  const [first, second] = ['1', '2'].map((name) => join(folder.SALLYPORT_DATA, `before_restore_${name}`)) as [
    string,
    string,
  ];
  for (const place of [first, second]) mkdirSync(place);
  const begin = (more: object): void => beginRestoring(folder, { ...EXPORT, aside: `folder ${second}`, ...more });
  begin({ first: `folder ${first}` });
  expect(() => assertWhole(folder)).toThrow(`put folder ${first}, which is what was here before`);
  begin({ first: 'nothing' });
  expect(() => assertWhole(folder)).toThrow('to begin with an empty realm');
});

test('two processes do not restore into one folder', () => {
  const folder = { SALLYPORT_DATA: mkdtempSync(join(tmpdir(), 'sallyport-restoring-')) };
  onTestFinished(() => rmSync(folder.SALLYPORT_DATA, { recursive: true }));
  beginRestoring(folder, EXPORT);
  const stat = readFileSync(`/proc/${process.ppid}/stat`, 'utf8');
  const begun = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]!;
  const other = { ...readRestoring(folder)!, pid: process.ppid, begun };
  writeFileSync(join(folder.SALLYPORT_DATA, 'security', 'restoring.json'), JSON.stringify(other));
  expect(() => beginRestoring(folder, { ...EXPORT, mark: 'b'.repeat(64) })).toThrow(`by process ${process.ppid}`);
  expect(readRestoring(folder)).toEqual(other);
});

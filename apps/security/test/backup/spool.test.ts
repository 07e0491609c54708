import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { scratchFolder } from '@sallyport/support';
import { expect, test } from 'vitest';
import { openSpool } from '../../src/backup/make-export.ts';

async function* pieces(...all: readonly string[]): AsyncIterable<Uint8Array> {
  for (const piece of all) yield Buffer.from(piece);
}

async function textOf(content: AsyncIterable<Uint8Array>): Promise<string> {
  const read: Uint8Array[] = [];
  for await (const piece of content) read.push(piece);
  return Buffer.concat(read).toString();
}

test('a spool is read as often as there are targets, and leaves no file however its process ends', async () => {
  const folder = join(scratchFolder(), 'backup');
  const spool = await openSpool(folder);
  await spool.write(pieces('one ', 'two'));
  expect(readdirSync(folder)).toEqual([]);
  expect(await Promise.all([textOf(spool.read()), textOf(spool.read())])).toEqual(['one two', 'one two']);
  await spool.close();
});

test('where there is no room for it, that is said by its name', async () => {
  const folder = scratchFolder();
  writeFileSync(join(folder, 'backup'), 'a file');
  await expect(openSpool(join(folder, 'backup'))).rejects.toMatchObject({ code: 'ERR_BACKUP_SPOOL' });
});

import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type KeptRevocation, MAX_KEPT_AT_ONCE } from '@sallyport/security-api';
import { afterEach, expect, test } from 'vitest';
import { KeptRevocations } from '../src/kept-revocations.ts';

const [OLD, NEW, OTHER] = ['a', 'b', 'c'].map((digit) => digit.repeat(32)) as [string, string, string];
const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

/** A folder that goes with the test. */
function folderOf(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-kept-'));
  stops.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function entry(epoch: string, index: number): KeptRevocation {
  const requestId = `${epoch[0]}-${index}`;
  return {
    ...{ epoch, index, requestId, kind: 'user', subject: `user ${index}` },
    ...{ at: 1, hash: 'f'.repeat(64), seal: 'A'.repeat(27) },
  };
}

const range = (epoch: string, count: number): KeptRevocation[] =>
  Array.from({ length: count }, (_, i) => entry(epoch, i + 1));

async function opened(file = join(folderOf(), 'revocations.jsonl')) {
  const warnings: string[] = [];
  const log = { info: () => undefined, warn: (_: unknown, words: string) => void warnings.push(words) };
  return { file, warnings, kept: await KeptRevocations.open({ file, log: log as never, retryMs: 20 }) };
}

/** Security that takes what it is brought, and says of which epochs it knows nothing. */
function bringingTo(epoch: string | undefined, foreign: readonly string[] = []) {
  const brought: KeptRevocation[][] = [];
  const security = {
    bringBack: async (entries: readonly KeptRevocation[]) => {
      brought.push([...entries]);
      return { appended: entries.length, refused: 0, foreign: [...foreign] };
    },
  };
  return { brought, to: { security, epoch: () => epoch } };
}

test('what was applied outlives the process, each entry once, also behind a line that a power cut has torn', async () => {
  const { file, kept } = await opened();
  kept.keep([entry(OLD, 1), entry(OLD, 2)]);
  kept.keep([entry(OLD, 2), entry(OLD, 3)]);
  await kept.written();
  appendFileSync(file, '\n{"epoch":"aaaa');
  const again = await opened(file);
  again.kept.keep([entry(OLD, 3), entry(NEW, 1)]);
  await again.kept.written();
  expect((await opened(file)).kept.size).toBe(4);
});

test('the newest are kept, in memory as in the file', async () => {
  const { file, kept } = await opened();
  for (let from = 0; from < 22_000; from += 500)
    kept.keep(Array.from({ length: 500 }, (_, i) => entry(OLD, from + i + 1)));
  await kept.written();
  expect(kept.size).toBeLessThanOrEqual(10_000);
  expect(readFileSync(file, 'utf8').split('\n').filter(Boolean).length).toBeLessThanOrEqual(10_000);
  const { brought, to } = bringingTo(NEW);
  await (await opened(file)).kept.look(to);
  expect(brought.flat()).toHaveLength(5_000);
  expect(brought[0]![0]!.index).toBe(17_001);
});

test('nothing is brought back while the same log goes on, or none is followed; then all of it, and it is forgotten', async () => {
  const { file, kept } = await opened();
  kept.keep(range(OLD, 100));
  for (const epoch of [OLD, undefined]) {
    const { brought, to } = bringingTo(epoch);
    await kept.look(to);
    expect(brought).toEqual([]);
  }
  const { brought, to } = bringingTo(NEW);
  stops.push(kept.bringBack(to));
  await expect.poll(() => brought.flat()).toEqual(range(OLD, 100));
  expect(brought.map(({ length }) => length)).toEqual([MAX_KEPT_AT_ONCE, 100 - MAX_KEPT_AT_ONCE]);
  await expect.poll(() => kept.size).toBe(0);
  await kept.written();
  expect((await opened(file)).kept.size).toBe(0);
});

test('what another database would need is kept for it, and this one is not asked again', async () => {
  const { kept } = await opened();
  kept.keep([entry(OTHER, 1), entry(OLD, 1)]);
  const first = bringingTo(NEW, [OTHER]);
  await kept.look(first.to);
  expect(kept.size).toBe(1);
  await kept.look(first.to);
  expect(first.brought).toHaveLength(1);
  const second = bringingTo('d'.repeat(32));
  await kept.look(second.to);
  expect(second.brought).toEqual([[entry(OTHER, 1)]]);
});

test('a Security that does not take it costs nothing of it', async () => {
  const { kept, warnings } = await opened();
  kept.keep([entry(OLD, 1)]);
  const security = {
    bringBack: async () => {
      throw new Error('404');
    },
  };
  for (const _ of [1, 2]) await kept.look({ security, epoch: () => NEW });
  expect(warnings).toHaveLength(1);
  expect(kept.size).toBe(1);
});

test('a file that cannot be written is said once, what serves goes on, and once it can be it has everything', async () => {
  const folder = join(folderOf(), 'not', 'there');
  const { file, kept, warnings } = await opened(join(folder, 'revocations.jsonl'));
  kept.keep([entry(OLD, 1)]);
  await kept.written();
  kept.keep([entry(OLD, 2)]);
  await kept.written();
  expect(warnings).toEqual(['revocations could not be kept in a file yet; they are kept in memory']);
  expect(kept.size).toBe(2);
  mkdirSync(folder, { recursive: true });
  await expect.poll(async () => (await opened(file)).kept.size).toBe(2);
  kept.keep([entry(OLD, 3)]);
  await kept.written();
  expect((await opened(file)).kept.size).toBe(3);
});

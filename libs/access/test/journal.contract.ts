import { expect, test } from 'vitest';
import type { Journal, JournalEntry } from '../src/index.ts';

const ONE = '1'.repeat(32);
const TWO = '2'.repeat(32);

function entry(epoch: string, index: number, over: Partial<JournalEntry> = {}): JournalEntry {
  const hash = 'f'.repeat(64);
  const what = {
    requestId: `${epoch[0]}-${index}`,
    kind: 'user',
    subject: 'ünï\ncode "x"',
    reason: 'r',
    actor: 'a',
  } as const;
  return { epoch, index, hash, at: 1_800_000_000_000, ...what, ...over };
}

/** What every journal keeps; `open` gives another handle of the same empty journal each time. */
export function journalContract(kind: string, begin: () => Promise<() => Promise<Journal>>): void {
  const opened = async (count: number): Promise<Journal[]> => {
    const open = await begin();
    const all: Journal[] = [];
    for (let i = 0; i < count; i++) all.push(await open());
    return all;
  };

  test(`${kind}: an empty journal has no claim and no entries`, async () => {
    const [journal] = await opened(1);
    expect(await journal!.claimed()).toBeUndefined();
    expect(await journal!.read()).toEqual({ epochs: [], entries: [], damaged: [] });
    await expect(journal!.append(ONE, [entry(ONE, 1)])).rejects.toMatchObject({ code: 'ERR_JOURNAL_CLAIMED' });
    await journal!.close();
  });

  test(`${kind}: what was written is read by others, in its order; twice is once or more, never less`, async () => {
    const [journal, other] = await opened(2);
    expect(await journal!.claim(undefined, ONE)).toBe(true);
    await journal!.append(ONE, [entry(ONE, 1), entry(ONE, 2)]);
    await journal!.append(ONE, [entry(ONE, 2), entry(ONE, 3)]);
    const { epochs, entries } = await other!.read();
    expect(epochs).toEqual([ONE]);
    const once = [...new Map(entries.map((one) => [one.index, one])).values()];
    expect(once).toEqual([entry(ONE, 1), entry(ONE, 2), entry(ONE, 3)]);
    await Promise.all([journal!.close(), other!.close()]);
  });

  test(`${kind}: all that reach it say the same of who it is, and one of another place does not`, async () => {
    const [journal, other] = await opened(2);
    expect(journal!.identity).not.toBe('');
    expect(other!.identity).toBe(journal!.identity);
    await Promise.all([journal!.close(), other!.close()]);
  });

  test(`${kind}: it knows which entries it holds, and all of them may be written again`, async () => {
    const [journal] = await opened(1);
    await journal!.claim(undefined, ONE);
    expect(await journal!.holds(ONE, 0)).toBe(true);
    const entries = [entry(ONE, 1), entry(ONE, 2)];
    await journal!.append(ONE, entries);
    expect(await journal!.holds(ONE, 2)).toBe(true);
    expect(await journal!.last(ONE)).toMatchObject({ index: 2, hash: 'f'.repeat(64) });
    expect(await journal!.last(TWO)).toBeUndefined();
    await journal!.mend(ONE, [...entries, entry(ONE, 3)]);
    await journal!.append(ONE, [entry(ONE, 4)]);
    const read = await journal!.read();
    expect([...new Set(read.entries.map(({ index }) => index))].sort()).toEqual([1, 2, 3, 4]);
    expect(read.damaged).toEqual([]);
    await journal!.claim(ONE, TWO);
    await expect(journal!.mend(ONE, entries)).rejects.toMatchObject({ code: 'ERR_JOURNAL_CLAIMED' });
    await journal!.close();
  });

  test(`${kind}: an epoch whose entries do not count from one without a gap has lost some`, async () => {
    const [journal] = await opened(1);
    await journal!.claim(undefined, ONE);
    await journal!.append(ONE, [entry(ONE, 1), entry(ONE, 3)]);
    expect((await journal!.read()).damaged).toEqual([ONE]);
    await journal!.append(ONE, [entry(ONE, 2)]);
    expect((await journal!.read()).damaged).toEqual([]);
    await journal!.close();
  });

  test(`${kind}: what stands there is not written over by a log that went back, by whichever process`, async () => {
    const [journal, other] = await opened(2);
    await journal!.claim(undefined, ONE);
    await journal!.append(ONE, [entry(ONE, 1), entry(ONE, 2)]);
    const another = entry(ONE, 2, { hash: 'e'.repeat(64), requestId: 'another' });
    for (const one of [journal!, other!]) {
      await expect(one.append(ONE, [another])).rejects.toMatchObject({ code: 'ERR_JOURNAL_CLAIMED' });
      await expect(one.append(ONE, [another, entry(ONE, 3)])).rejects.toMatchObject({ code: 'ERR_JOURNAL_CLAIMED' });
      await expect(one.mend(ONE, [entry(ONE, 1), another])).rejects.toMatchObject({ code: 'ERR_JOURNAL_CLAIMED' });
      expect(await one.last(ONE)).toMatchObject({ index: 2, hash: 'f'.repeat(64) });
      expect((await one.read()).damaged).toEqual([]);
    }
    expect((await journal!.read()).entries).toEqual([entry(ONE, 1), entry(ONE, 2)]);
    await Promise.all([journal!.close(), other!.close()]);
  });

  test(`${kind}: it takes entries only of the epoch that claimed it last`, async () => {
    const [old, restored] = await opened(2);
    await old!.claim(undefined, ONE);
    await old!.append(ONE, [entry(ONE, 1)]);
    expect(await restored!.claim(undefined, TWO)).toBe(false);
    expect(await restored!.claim(ONE, TWO)).toBe(true);
    await expect(old!.append(ONE, [entry(ONE, 2)])).rejects.toMatchObject({ code: 'ERR_JOURNAL_CLAIMED' });
    await restored!.append(TWO, [entry(TWO, 1)]);
    expect(await old!.claimed()).toBe(TWO);
    expect((await restored!.read()).epochs).toEqual([ONE, TWO]);
    await Promise.all([old!.close(), restored!.close()]);
  });

  test(`${kind}: of claims at the same time one is taken`, async () => {
    const all = await opened(5);
    const taken = await Promise.all(all.map((journal, i) => journal.claim(undefined, String(i).repeat(32))));
    expect(taken.filter(Boolean)).toHaveLength(1);
    expect(await all[0]!.claimed()).toBe(String(taken.indexOf(true)).repeat(32));
    await Promise.all(all.map((journal) => journal.close()));
  });

  test(`${kind}: what was written before a claim came is read after it, whatever runs at the same time`, async () => {
    for (let round = 0; round < 5; round++) {
      const [old, restored] = await opened(2);
      await old!.claim(undefined, ONE);
      let acknowledged = 0;
      const writing = (async () => {
        for (let index = 1; ; index++) {
          await old!.append(ONE, [entry(ONE, index)]);
          acknowledged = index;
          await new Promise((resolve) => setImmediate(resolve));
        }
      })().catch((error: { code: string }) => error.code);
      await new Promise((resolve) => setTimeout(resolve, 5));
      expect(await restored!.claim(ONE, TWO)).toBe(true);
      const { entries } = await restored!.read();
      expect(await writing).toBe('ERR_JOURNAL_CLAIMED');
      expect(new Set(entries.map(({ index }) => index)).size).toBeGreaterThanOrEqual(acknowledged);
      await Promise.all([old!.close(), restored!.close()]);
    }
  });
}

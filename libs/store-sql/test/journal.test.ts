import { expect, onTestFinished, test } from 'vitest';
import { journalContract } from '../../access/test/journal.contract.ts';
import { openSqlJournal } from '../src/index.ts';
import { startDatabase } from './real-postgres.ts';
import { slowWay } from './slow-way.ts';

const { server } = await startDatabase();
let count = 0;

journalContract('postgresql', async () => {
  const realm = `realm-${count++}`;
  return () => openSqlJournal(server.address, realm);
});

test('a journal finds its primary again among servers of which one is silent and the other needs long', async () => {
  const [one, other] = [await slowWay(server.address, 0), await slowWay(server.address, 0)];
  const journal = await openSqlJournal({ ...server.address, hosts: [one.host, other.host] }, 'slow');
  onTestFinished(() => journal.close());
  expect(await journal.claim(undefined, 'epoch')).toBe(true);
  one.slow(3_600_000);
  other.slow(1_500);
  await expect.poll(() => journal.claimed().catch(() => 'not found'), { timeout: 90_000 }).toBe('epoch');
});

test('whoever asks a journal while its primary changes does not hear of it', async () => {
  const [gone, primary] = [await slowWay(server.address, 0), await slowWay(server.address, 0)];
  const journal = await openSqlJournal({ ...server.address, hosts: [gone.host, primary.host] }, 'moved');
  onTestFinished(() => journal.close());
  expect(await journal.claim(undefined, 'epoch')).toBe(true);
  gone.close();
  expect(await Promise.all(Array.from({ length: 20 }, () => journal.claimed()))).toEqual(Array(20).fill('epoch'));
});

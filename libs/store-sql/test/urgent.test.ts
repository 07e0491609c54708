import { expect, test } from 'vitest';
import { SqlStore } from '../src/index.ts';
import { startDatabase } from './real-postgres.ts';

const { server } = await startDatabase();

test('with every ordinary connection taken, and a line before it, urgent work goes on', async () => {
  const store = new SqlStore(server.address, { poolSize: 4 });
  const realm = store.in('busy');
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  let running = 0;
  const blocked = Array.from({ length: 20 }, () =>
    realm.transaction(async ({ tables }) => {
      await tables.users.count();
      running += 1;
      await ended;
    }),
  );
  await expect.poll(() => running).toBe(3);
  for (let i = 0; i < 5; i++) {
    const count = await realm.transaction(({ tables }) => tables.users.count(), { urgent: true });
    expect(count).toBe(0);
  }
  expect(running).toBe(3);
  end();
  await Promise.all(blocked);
  await store.close();
});

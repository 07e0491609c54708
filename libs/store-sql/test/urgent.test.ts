import pg from 'pg';
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

test('all connections are open before anybody needs them, and none is opened for work', async () => {
  const store = new SqlStore(server.address, { poolSize: 4 });
  const client = new pg.Client(server.address);
  await client.connect();
  const pids = async (): Promise<number[]> => {
    const text = `select pid from pg_stat_activity where application_name = 'sallyport-security' order by pid`;
    return (await client.query<{ pid: number }>(text)).rows.map(({ pid }) => pid);
  };
  const others = new Set(await pids());
  await store.openAll();
  const opened = (await pids()).filter((pid) => !others.has(pid));
  expect(opened).toHaveLength(4);
  const realm = store.in('open');
  await Promise.all(Array.from({ length: 40 }, () => realm.transaction(({ tables }) => tables.users.count())));
  expect((await pids()).filter((pid) => !others.has(pid))).toEqual(opened);
  await client.end();
  await store.close();
});

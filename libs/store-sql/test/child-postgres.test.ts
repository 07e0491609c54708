import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { scratchFolder } from '@sallyport/support';
import pg from 'pg';
import { expect, test } from 'vitest';
import { ChildPostgres, embeddedPostgres, findPostgres } from '../src/index.ts';

async function query(server: ChildPostgres, text: string): Promise<pg.QueryResult> {
  const client = new pg.Client(server.address);
  await client.connect();
  try {
    return await client.query(text);
  } finally {
    await client.end();
  }
}

test.each([
  ['the one found first', findPostgres()],
  ['the embedded one', embeddedPostgres()!],
])('starts, stops and goes on where it was: %s', async (_what, binaries) => {
  const folder = scratchFolder();
  const options = { folder: join(folder, 'db'), passwordFile: join(folder, 'pw'), binaries };
  const first = await ChildPostgres.start(options);
  await query(first, 'create table kept (n int); insert into kept values (7)');
  expect((await query(first, 'show fsync')).rows[0].fsync).toBe('on');
  expect((await query(first, 'show listen_addresses')).rows[0].listen_addresses).toBe('');
  await first.stop();
  const second = await ChildPostgres.start(options);
  expect((await query(second, 'select n from kept')).rows).toEqual([{ n: 7 }]);
  await second.stop();
  rmSync(folder, { recursive: true, force: true });
});

test('clears up after a parent that was killed, and loses no acknowledged row', async () => {
  const folder = scratchFolder();
  const place = JSON.stringify({ folder: join(folder, 'db'), passwordFile: join(folder, 'pw') });
  const script = `
    import { ChildPostgres } from '${new URL('../src/index.ts', import.meta.url).pathname}';
    import pg from '${import.meta.resolve('pg')}';
    const server = await ChildPostgres.start(${place});
    const client = new pg.Client(server.address);
    await client.connect();
    await client.query('create table if not exists kept (n int)');
    await client.query('insert into kept values (1)');
    process.stdout.write(String(server.pid), () => process.kill(process.pid, 'SIGKILL'));`;
  for (let round = 1; round <= 3; round++) {
    let orphan = 0;
    try {
      execFileSync('node', ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    } catch (error) {
      orphan = Number((error as { stdout: Buffer }).stdout.toString());
    }
    expect(readFileSync(`/proc/${orphan}/cmdline`, 'utf8')).toContain('postgres');
    const server = await ChildPostgres.start(JSON.parse(place));
    expect((await query(server, 'select count(*)::int as n from kept')).rows[0].n).toBe(round);
    await server.stop();
  }
  rmSync(folder, { recursive: true, force: true });
});

test('starts again when the server dies under it', async () => {
  const folder = scratchFolder();
  const server = await ChildPostgres.start({ folder: join(folder, 'db'), passwordFile: join(folder, 'pw') });
  const before = server.pid;
  process.kill(before, 'SIGKILL');
  const answered = (): Promise<unknown> =>
    query(server, 'select 1 as one').then(
      ({ rows }) => rows,
      () => undefined,
    );
  await expect.poll(answered).toEqual([{ one: 1 }]);
  expect(server.pid).not.toBe(before);
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

test.runIf(process.getuid?.() === 0)(
  'as root it works below a folder that its own user cannot pass, and a deleted one starts anew',
  async () => {
    const hidden = mkdtempSync('/tmp/sallyport-hidden-');
    const options = { folder: join(hidden, 'db'), passwordFile: join(hidden, 'pw') };
    const places: string[] = [];
    for (const fresh of [true, false, true]) {
      if (fresh) {
        rmSync(options.folder, { force: true });
        rmSync(options.passwordFile, { force: true });
      }
      const server = await ChildPostgres.start(options);
      places.push(realpathSync(options.folder));
      await query(server, fresh ? 'create table kept (n int)' : 'select n from kept');
      await server.stop();
    }
    expect(places[0]).toBe(places[1]);
    expect(places[2]).not.toBe(places[1]);
    for (const place of places) rmSync(place, { recursive: true, force: true });
    rmSync(hidden, { recursive: true, force: true });
  },
);

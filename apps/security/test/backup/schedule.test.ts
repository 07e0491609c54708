import { type BackupFinding, backupTargetsNow } from '@sallyport/access';
import { expect, test } from 'vitest';
import { scene as accessScene } from '../../../../libs/access/test/scene.ts';
import { BackupSchedule } from '../../src/backup/schedule.ts';
import type { BackupWord, StartWorker, WorkerOrder } from '../../src/backup/worker-process.ts';

const EVERY_MS = 300_000;
const [A, B] = ['folder /a', 'folder /b'];
const SILENT_LOG = { info: () => undefined, warn: () => undefined } as never;

/** A process that does what the test says. */
interface Worker {
  readonly order: WorkerOrder;
  readonly killed: () => boolean;
  say(word: BackupWord): void;
  end(how?: string): void;
}

/** Nodes on one store in memory, whose clocks the test moves. */
async function farm({ hangs = false } = {}) {
  const { access, clock } = await accessScene();
  const workers: Worker[] = [];
  const start: StartWorker = (order, hear) => {
    const { promise: ended, resolve } = Promise.withResolvers<string>();
    let killed = false;
    workers.push({ order, killed: () => killed, say: hear, end: (how = 'exit status 0') => resolve(how) });
    const kill = (): void => {
      killed = true;
      // A system call that hangs is not ended by that.
      if (!hangs) resolve('signal SIGKILL');
    };
    return { ended, kill };
  };
  const node = (id: string): BackupSchedule =>
    new BackupSchedule({
      ...{ access, node: { id }, places: [A, B], everyMs: EVERY_MS, log: SILENT_LOG, start },
      monotonicMs: () => clock.now,
    });
  const stateOf = async (place: string) =>
    (await backupTargetsNow(access, [A, B])).rows.find((row) => row.place === place)!;
  return { clock, workers, node, stateOf };
}

const verified = (at: number): BackupFinding => ({ verified: { name: 'x', takenAt: at, verifiedAt: at } });

test('one node makes a slot’s backup for all targets, in one process', async () => {
  const { clock, workers, node, stateOf } = await farm();
  const [one, two] = [node('n1'), node('n2')];
  await one.look();
  await two.look();
  expect(workers.map(({ order }) => order.map(({ place, work }) => `${work} ${place}`))).toEqual([
    [`export ${A}`, `export ${B}`],
  ]);
  for (const place of [A, B]) workers[0]!.say({ place, found: verified(clock.now) });
  workers[0]!.end();
  await expect.poll(async () => (await stateOf(B)).runId).toBeNull();
  clock.now += EVERY_MS - 1;
  await two.look();
  // Between two slots receipts are looked for.
  expect(workers[1]!.order.map(({ work }) => work)).toEqual(['look', 'look']);
  expect(one.verifiedAgeSeconds()).toBe(Number.POSITIVE_INFINITY);
  expect(two.verifiedAgeSeconds()).toBe(300);
});

test('a target that takes longer than a slot gets no second backup beside the first, and holds no other', async () => {
  const { clock, workers, node, stateOf } = await farm();
  const one = node('n1');
  await one.look();
  workers[0]!.say({ place: B, found: {} });
  await expect.poll(async () => (await stateOf(B)).runId).toBeNull();
  for (let slot = 1; slot <= 3; slot++) {
    clock.now += EVERY_MS;
    workers[0]!.say({ alive: true });
    await one.look();
    expect(workers[slot]!.order).toMatchObject([{ place: B, work: 'export' }]);
    workers[slot]!.say({ place: B, found: {} });
    workers[slot]!.end();
    await expect.poll(async () => (await stateOf(B)).runId).toBeNull();
  }
  expect(workers[0]!.killed()).toBe(false);
});

test('a node that is lost in the middle only delays: another makes it up once its turn stood still', async () => {
  const { clock, workers, node } = await farm();
  await node('lost').look();
  const other = node('n2');
  await other.look();
  clock.now += 60_001;
  await other.look();
  expect(workers).toHaveLength(2);
  expect(workers[1]!.order.map(({ place }) => place)).toEqual([A, B]);
});

test('a node that was only paused ends its work once it hears that another took over', async () => {
  const { clock, workers, node, stateOf } = await farm();
  const paused = node('n1');
  await paused.look();
  const other = node('n2');
  await other.look();
  clock.now += 60_001;
  await other.look();
  await paused.look();
  expect(workers.map(({ killed }) => killed())).toEqual([true, false]);
  workers[1]!.say({ place: A, found: verified(clock.now) });
  await expect.poll(async () => (await stateOf(A)).state.verified?.name).toBe('x');
});

test('a process that ends before it is done, or says nothing any more, is a trouble with a name', async () => {
  const { clock, workers, node, stateOf } = await farm();
  const one = node('n1');
  await one.look();
  workers[0]!.say({ place: A, found: {} });
  workers[0]!.end('signal SIGKILL');
  await expect.poll(async () => (await stateOf(B)).state.trouble?.code).toBe('ERR_BACKUP_BROKEN_OFF');
  expect((await stateOf(A)).state.trouble).toBeNull();
  expect(one.failing()).toBe(0);
  clock.now += EVERY_MS;
  await one.look();
  expect(one.failing()).toBe(1);
  clock.now += 600_001;
  await one.look();
  expect(workers[1]!.killed()).toBe(true);
});

test('a node that stops ends its processes, and another one makes up for them at once', async () => {
  const { workers, node, stateOf } = await farm();
  const one = node('n1');
  await one.look();
  workers[0]!.say({ place: A, found: {} });
  await expect.poll(async () => (await stateOf(A)).runId).toBeNull();
  await one.stop();
  expect(workers[0]!.killed()).toBe(true);
  await one.look();
  await node('n2').look();
  expect(workers).toHaveLength(2);
  expect(workers[1]!.order).toMatchObject([{ place: B, work: 'export' }]);
  expect((await stateOf(B)).state.trouble).toBeUndefined();
});

test('beside a process that hangs at a target no other one of its node goes there', async () => {
  const { clock, workers, node, stateOf } = await farm({ hangs: true });
  const one = node('n1');
  await one.look();
  const trouble = { code: 'ERR_TARGET_SLOW', words: 'nothing was heard' };
  workers[0]!.say({ place: A, found: { trouble } });
  workers[0]!.say({ place: B, found: {} });
  await expect.poll(async () => [(await stateOf(A)).runId, (await stateOf(B)).runId]).toEqual([null, null]);
  for (let slot = 1; slot <= 3; slot++) {
    clock.now += EVERY_MS;
    await one.look();
    expect(workers[slot]!.order).toMatchObject([{ place: B, work: 'export' }]);
    workers[slot]!.say({ place: B, found: {} });
    workers[slot]!.end();
    await expect.poll(async () => (await stateOf(B)).runId).toBeNull();
  }
  // It has said all that it had to say.
  expect(workers[0]!.killed()).toBe(true);
  workers[0]!.end();
  clock.now += EVERY_MS;
  await one.look();
  expect(workers.at(-1)!.order.map(({ place }) => place)).toEqual([A, B]);
  expect((await stateOf(A)).state.trouble?.code).toBe('ERR_TARGET_SLOW');
});

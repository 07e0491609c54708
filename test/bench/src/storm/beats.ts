import { parentPort, workerData } from 'node:worker_threads';
import { type DatabaseAddress, SqlStore } from '@sallyport/store-sql';

/** How often the row of the lease is looked at, ms. */
const LOOK_MS = 50;
/** A Proxy beats once a second: who sees none for twice as long has missed one, ms. */
const MISSED_MS = 2_000;

/** What the database says of the beats of one Proxy since the last time somebody asked. */
export interface SeenBeats {
  readonly beats: number;
  /** Longest time between two of them, ms of the store's clock. */
  readonly longestMs: number;
  readonly missed: number;
}

// In a thread of its own: the one of a thousand devices is busy.
const store = new SqlStore(workerData as DatabaseAddress, { poolSize: 1 });
let before: { beat: number; at: number } | undefined;
let seen: { beats: number; longestMs: number; missed: number } = { beats: 0, longestMs: 0, missed: 0 };

async function look(): Promise<void> {
  // The time of a beat is that of the lease that it gave, less how long that is.
  const [row] = await store.query<{ beat: number; at: number }>(
    'select beat, expires_at - lease_ms as at from leases order by beat desc limit 1',
  );
  if (!row) return;
  if (before && row.beat > before.beat) {
    const gapMs = (row.at - before.at) / (row.beat - before.beat);
    const { beats, longestMs, missed } = seen;
    seen = {
      beats: beats + row.beat - before.beat,
      longestMs: Math.max(longestMs, gapMs),
      missed: missed + (gapMs >= MISSED_MS ? Math.floor(gapMs / MISSED_MS) : 0),
    };
  }
  before = row;
}

const again = async (): Promise<void> => {
  await look().catch(() => undefined);
  setTimeout(() => void again(), LOOK_MS);
};
void again();

parentPort!.on('message', () => {
  parentPort!.postMessage(seen);
  seen = { beats: 0, longestMs: 0, missed: 0 };
});

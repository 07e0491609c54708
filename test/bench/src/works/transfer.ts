import { crc32 } from 'node:zlib';
import { content, LARGE_BYTES } from '../load/lane.ts';
import type { Subject } from '../subject.ts';
import { against, allArrived, type Bench, cpuOf, type Line, sharesOf, type Work } from '../work.ts';

const MB = 1_000_000;
const PARALLEL = [1, 8] as const;
/** Each lane moves its file so often. */
const TIMES = { 1: 4, 8: 1 } as const;
const UPLOAD_PART = 65_536;

/** CRC-32 of what lanes upload: the same part again and again. */
function uploadCrc(): number {
  const part = content(UPLOAD_PART);
  let sum = 0;
  for (let left = LARGE_BYTES; left > 0; left -= part.length) {
    sum = crc32(part.subarray(0, Math.min(left, part.length)), sum);
  }
  return sum;
}

function lineOf(
  { load }: Bench,
  subject: Subject,
  shape: { direction: 'down' | 'up'; parallel: 1 | 8; crc: () => number },
): Line {
  const { direction, parallel, crc } = shape;
  return {
    subject: subject.name,
    variant: `${parallel} at once`,
    unit: 'MB per CPU-second',
    async measure() {
      await load.open(await subject.lanes(Math.max(parallel, 2), 1));
      await load.transfer(direction, LARGE_BYTES, 1);
      let peakMiB = 0;
      let parts: Readonly<Record<string, number>> = {};
      const watch = setInterval(() => {
        const nowMiB = subject.memoryMiB();
        if (nowMiB <= peakMiB) return;
        peakMiB = nowMiB;
        parts = subject.memoryParts?.() ?? {};
      }, 200);
      const times = TIMES[parallel];
      let wallMs = 0;
      const { cpuMicros } = await cpuOf(subject, async () => {
        for (let i = 0; i < times; i++) {
          const outcome = await load.transfer(direction, LARGE_BYTES, parallel);
          allArrived(outcome, crc());
          wallMs += outcome.wallMs;
        }
      });
      clearInterval(watch);
      await load.close();
      const megabytes = (LARGE_BYTES * parallel * times) / MB;
      const note = `${Math.round(megabytes / (wallMs / 1000))} MB/s, ${peakMiB.toFixed(0)} MiB at most${sharesOf(parts, 1)}`;
      return { value: megabytes / (cpuMicros / MB), note };
    },
  };
}

function workOf(name: string, title: string, direction: 'down' | 'up'): Work {
  return {
    name,
    title,
    goals: PARALLEL.map((parallel) => against(`${parallel} at once`, 'nginx TLS', { atLeast: 1 })),
    lines(bench) {
      const { gateway, peers } = bench;
      let known: number | undefined;
      const crc = (): number => {
        known ??= direction === 'down' ? crc32(content(LARGE_BYTES)) : uploadCrc();
        return known;
      };
      const subjects = [
        gateway.subject(1),
        gateway.subject(2),
        peers.nginxTls,
        peers.nginxPlain,
        peers.haproxy,
        peers.replyFrom,
      ];
      return PARALLEL.flatMap((parallel) =>
        subjects.map((subject) => lineOf(bench, subject, { direction, parallel, crc })),
      );
    },
  };
}

/** W2: large downloads. */
export const download: Work = workOf('W2', '100 MB download', 'down');
/** W3: large uploads. */
export const upload: Work = workOf('W3', '100 MB upload', 'up');

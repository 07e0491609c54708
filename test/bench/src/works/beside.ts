import { LARGE_BYTES, type LargeFile } from '../load/lane.ts';
import type { Subject } from '../subject.ts';
import { allRight, type Bench, fewRefused, type Goal, type Line, OURS, type Work } from '../work.ts';

const LANES = 64;
const WARM_MS = 2_000;
const FOR_MS = 8_000;
const PER_SECOND = 500;
const DOWNLOADS = 4;
const ALONE = 'no download';
const BESIDE = `${DOWNLOADS} phones download`;
const PEER = 'nginx TLS';

/** Downloads of the first lanes, again and again until it is enough; gives MB per second. */
async function keepDownloading({ load }: Bench, file: LargeFile | undefined, enough: AbortSignal): Promise<number> {
  let [bytes, wallMs] = [0, 0];
  while (!enough.aborted) {
    const outcome = await load.transfer('down', LARGE_BYTES, DOWNLOADS, file);
    allRight(outcome);
    bytes += LARGE_BYTES * DOWNLOADS;
    wallMs += outcome.wallMs;
  }
  return bytes / 1000 / wallMs;
}

function lineOf(bench: Bench, subject: Subject, updateOf?: () => Promise<LargeFile>): Line[] {
  const { load, scale } = bench;
  const lineWith = (variant: string, downloads: number): Line => ({
    subject: subject.name,
    variant,
    unit: 'ms, p99',
    async measure() {
      const file = await updateOf?.();
      await load.open(await subject.lanes(LANES, 8));
      await load.paced(PER_SECOND, WARM_MS * scale);
      const enough = new AbortController();
      const downloading = downloads > 0 ? keepDownloading(bench, file, enough.signal) : undefined;
      const outcome = await load.paced(PER_SECOND, FOR_MS * scale);
      enough.abort();
      const rate = await downloading;
      await load.close();
      const refused = fewRefused(outcome);
      const [p50, p99] = [50, 99].map((part) => outcome.latency.percentile(part) / 1000);
      const note = `p50 ${p50!.toFixed(2)} ms at ${PER_SECOND}/s${rate === undefined ? '' : `, ${Math.round(rate)} MB/s beside`}`;
      return { value: p99!, note: refused > 0 ? `${note}, ${refused} refused` : note };
    },
  });
  return [lineWith(ALONE, 0), lineWith(BESIDE, DOWNLOADS)];
}

const goals: readonly Goal[] = [
  {
    title: `${BESIDE}: Sallyport by ${PEER}`,
    above: { subject: OURS, variant: BESIDE },
    below: { subject: PEER, variant: BESIDE },
    atMost: 2,
  },
];

/** W11: what small requests wait for while some of the same phones download an update. */
export const beside: Work = {
  name: 'W11',
  title: 'Small requests at a fixed rate, beside downloads of an update',
  goals,
  lines(bench) {
    const { gateway, peers } = bench;
    return [...lineOf(bench, gateway.subject(1), () => gateway.update()), ...lineOf(bench, peers.nginxTls)];
  },
};

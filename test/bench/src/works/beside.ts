import { crc32 } from 'node:zlib';
import { content, LARGE_BYTES, type LargeFile } from '../load/lane.ts';
import type { Subject } from '../subject.ts';
import type { Update } from '../update.ts';
import { against, allArrived, type Bench, fewRefused, type Line, type Work } from '../work.ts';

const LANES = 64;
const WARM_MS = 2_000;
const FOR_MS = 8_000;
const PER_SECOND = 500;
const DOWNLOADS = 4;
const ALONE = 'no download';
const BESIDE = `${DOWNLOADS} phones download`;
const PEER = 'nginx TLS';

/** What is downloaded: an update, or without a place the large file of the backend. */
type Wanted = Pick<Update, 'crc'> & { readonly file?: LargeFile };

/** Downloads of the first lanes, again and again until it is enough; gives MB per second. */
async function keepDownloading({ load }: Bench, { file, crc }: Wanted, enough: AbortSignal): Promise<number> {
  let [bytes, wallMs] = [0, 0];
  while (!enough.aborted) {
    const outcome = await load.transfer('down', LARGE_BYTES, DOWNLOADS, file);
    allArrived(outcome, crc);
    bytes += LARGE_BYTES * DOWNLOADS;
    wallMs += outcome.wallMs;
  }
  return bytes / 1000 / wallMs;
}

function linesOf(bench: Bench, subject: Subject, wantedOf: () => Wanted | Promise<Wanted>): Line[] {
  const { load, scale } = bench;
  const lineWith = (variant: string, downloads: number): Line => ({
    subject: subject.name,
    variant,
    unit: 'ms, p99',
    async measure() {
      const wanted = await wantedOf();
      await load.open(await subject.lanes(LANES, 8));
      await load.paced(PER_SECOND, WARM_MS * scale);
      const enough = new AbortController();
      const downloading = downloads > 0 ? keepDownloading(bench, wanted, enough.signal) : undefined;
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

/** W11: what small requests wait for while some of the same phones download an update. */
export const beside: Work = {
  name: 'W11',
  title: 'Small requests at a fixed rate, beside downloads of an update',
  goals: [against(BESIDE, PEER, { atMost: 2 })],
  lines(bench) {
    const { gateway, peers } = bench;
    const ofBackend = (): Wanted => ({ crc: crc32(content(LARGE_BYTES)) });
    return [
      ...linesOf(bench, gateway.subject(1), () => gateway.update()),
      ...linesOf(bench, peers.nginxTls, ofBackend),
    ];
  },
};

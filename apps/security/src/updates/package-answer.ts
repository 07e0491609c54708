import type { Readable } from 'node:stream';
import type { ReleaseRow } from '@sallyport/access';
import { ProblemError } from '@sallyport/http-service';
import type { Log } from '@sallyport/telemetry';
import type { FastifyReply } from 'fastify';
import type { Downloads } from './downloads.ts';
import type { PackageStore } from './package-store.ts';

/** A download is held against the rights of its user this often, ms. */
const LOOK_MS = 500;

/** What a package goes out with. */
export interface PackageAnswer {
  readonly packages: Pick<PackageStore, 'ensure' | 'read'>;
  readonly release: ReleaseRow;
  /** The field `range` of the request. */
  readonly range: string | undefined;
  /** Whether it may still go out. */
  readonly still: () => Promise<boolean>;
  readonly log: Log;
  readonly downloads: Downloads;
  /** Whom the download counts for. */
  readonly owner: string;
}

/** Sends a package from the byte on that is asked for, as long as it may go out. @throws ProblemError ERR_HTTP_INVALID for no such byte, ERR_SECURITY_SLOW, ERR_SECURITY_PACKAGES */
export async function answerPackage(
  reply: FastifyReply,
  { packages, release, range, still, log, downloads, owner }: PackageAnswer,
): Promise<FastifyReply> {
  const { bytes, sha256 } = release.package;
  const from = firstOf(range, bytes);
  await packages.ensure(release.package);
  const stream = downloads.begin(owner, () => packages.read(sha256, from));
  watch(stream, reply, { still, log });
  return reply
    .code(range === undefined ? 200 : 206)
    .headers(range === undefined ? {} : { 'content-range': `bytes ${from}-${bytes - 1}/${bytes}` })
    .header('content-length', bytes - from)
    .send(stream);
}

/** The first byte of a range without an end, as the SDK and browsers ask for. */
function firstOf(range: string | undefined, bytes: number): number {
  const from = Number(/^bytes=(\d{1,12})-$/.exec(range ?? 'bytes=0-')?.[1] ?? Number.NaN);
  if (Number.isNaN(from) || from >= bytes) throw new ProblemError('ERR_HTTP_INVALID', 'no such range of the package');
  return from;
}

/**
 * Breaks a download off once its release is not the device's any more. A store that does not answer decides nothing, and is asked again only
 * when it has: many downloads would else pile questions up before a store that is slow.
 */
function watch(
  stream: Readable,
  reply: FastifyReply,
  { still, log }: { readonly still: () => Promise<boolean>; readonly log: Log },
): void {
  let isLooking = false;
  const look = async (): Promise<void> => {
    if (isLooking) return;
    isLooking = true;
    try {
      if (!(await still())) stream.destroy(new Error('the release was taken away'));
    } catch (error) {
      log.warn({ err: error }, 'rights of a download cannot be read');
    } finally {
      isLooking = false;
    }
  };
  const timer = setInterval(() => void look(), LOOK_MS);
  stream.once('close', () => clearInterval(timer));
  reply.raw.once('close', () => stream.destroy());
}

import { type Agent, request } from 'node:https';
import type { IssuedPair, TestAuthority } from './authority.ts';

const DAY_MS = 86_400_000;

/** Where a load goes. */
export interface TlsPlace {
  readonly port: number;
  /** PEM of the CAs that the clients trust. */
  readonly ca: string;
  readonly path: string;
  readonly servername?: string;
}

/** Asks again and again, by connections of its own or by one that stands, until it is stopped; gives how many were answered with 200. */
export function tlsLoad(
  place: TlsPlace,
  agent: Agent,
): { readonly answered: number; stop(): Promise<{ answered: number; failed: number }> } {
  let [answered, failed, going] = [0, 0, true];
  const once = (): Promise<void> =>
    new Promise((resolve) => {
      const lost = (): void => {
        failed += 1;
        resolve();
      };
      const asked = request({ host: '127.0.0.1', ...place, agent }, (answer) => {
        answer.once('error', lost);
        answer.resume().once('end', () => {
          if (answer.statusCode === 200) answered += 1;
          else failed += 1;
          resolve();
        });
      });
      asked.once('error', lost);
      asked.end();
    });
  const loop = (async () => {
    while (going) await once();
  })();
  return {
    get answered() {
      return answered;
    },
    stop: async () => {
      going = false;
      await loop;
      agent.destroy();
      return { answered, failed };
    },
  };
}

/** A certificate that is no good for a place. */
export interface BadCertificate {
  readonly pair: IssuedPair;
  /** In the words of whoever refuses it. */
  readonly words: string;
  /** As metrics name it. */
  readonly why: string;
}

/** Certificates for a place, each wrong in one way: `corp` is trusted there, `other` is not, and `inUse` is the one that is shown. */
export async function badCertificates(of: {
  readonly corp: TestAuthority;
  readonly other: TestAuthority;
  readonly names: readonly [string, ...string[]];
  readonly inUse: IssuedPair;
}): Promise<readonly BadCertificate[]> {
  const { corp, other, names, inUse } = of;
  const [now, good] = [Date.now(), await corp.issue({ names })];
  const ended = await corp.issue({ names, from: now - DAY_MS, until: now - DAY_MS / 2 });
  const foreign = await corp.issue({ names: ['other.example'] });
  return [
    { pair: { certificate: '', key: '' }, words: 'is empty', why: 'empty' },
    { pair: { ...good, certificate: good.certificate.slice(0, 200) }, words: 'is cut off', why: 'no certificate' },
    { pair: { ...good, key: 'no key' }, words: 'is no PEM of a private key', why: 'no key' },
    { pair: { ...good, key: inUse.key }, words: 'do not belong together', why: 'wrong key' },
    { pair: ended, words: 'is over since', why: 'over' },
    { pair: await corp.issue({ names, from: now + DAY_MS }), words: 'is not good before', why: 'not yet good' },
    { pair: await corp.issue({ names, use: 'client' }), words: 'is not for a TLS server', why: 'wrong use' },
    { pair: foreign, words: `is for other.example, not for ${names[0]}`, why: 'wrong name' },
    { pair: await other.issue({ names }), words: 'none of the CAs that are named as trusted', why: 'untrusted' },
  ];
}

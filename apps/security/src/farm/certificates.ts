import { createHash } from 'node:crypto';
import {
  type AccessContext,
  listCertificates,
  listDirectories,
  listLastingKeys,
  listResources,
  type SeenCertificate,
} from '@sallyport/access';
import {
  CertificateError,
  type CertificateLife,
  certificatesOf,
  endWords,
  hostsOf,
  lifeOf,
} from '@sallyport/certificates';
import type { StatusView } from '@sallyport/security-api';
import type { CertificateView } from '@sallyport/security-api/admin';

const DAY_MS = 86_400_000;
const MAX_ROWS = 100_000;

/** A certificate of the registry, with its chain in PEM; empty for a key that signs. */
export type RegisteredCertificate = CertificateView & { readonly chain: string };

interface Known {
  readonly id: string;
  readonly purpose: CertificateView['purpose'];
  readonly use: string;
  readonly renewedBy: CertificateView['renewedBy'];
  readonly trouble?: string | null;
}

/** Every certificate of the realm, and every key that signs, by id: what nodes and Proxies show, and what rows hold. `now` in epoch ms. */
export async function certificatesOfRealm(access: AccessContext, now: number): Promise<RegisteredCertificate[]> {
  const [keys, seen, resources, directories] = [
    await listLastingKeys(access),
    await listCertificates(access),
    await listResources(access, { after: '', limit: MAX_ROWS }),
    await listDirectories(access),
  ];
  const found = [
    ...keys.map((key) => (key.purpose === 'ca' ? caOf(key, now) : signingKeyOf(key, now))),
    ...seen.flatMap(({ holder, certificates }) => certificates.map((one) => shownBy(holder, one, now))),
    ...resources.flatMap(({ name, backend: { ca, clientCertificate } }) => [
      ...(clientCertificate
        ? [
            of(clientCertificate.certificate, now, {
              id: `backend/${name}`,
              purpose: 'backend client',
              use: `who the gateway is to the backend of ${name}`,
              renewedBy: 'operator',
            }),
          ]
        : []),
      ...trustedBy(`resource/${name}`, `the backend of ${name} is trusted by it`, ca, now),
    ]),
    ...directories.flatMap(({ name, settings }) =>
      trustedBy(`directory/${name}`, `the directory ${name} is trusted by it`, (settings as { ca?: string }).ca, now),
    ),
  ];
  return found.sort((a, b) => (a.id < b.id ? -1 : 1));
}

type KeyParts = Awaited<ReturnType<typeof listLastingKeys>>[number];

function caOf({ id, publicPart, state }: KeyParts, now: number): RegisteredCertificate {
  const use = `issues the certificates of listeners and Proxies: ${state}`;
  return of(publicPart as string, now, { id, purpose: 'CA', use, renewedBy: 'operator' });
}

const SIGNS = {
  root: 'signs site maps: devices know the realm by it',
  assertion: 'signs who the user is, for backends',
} as const;

function signingKeyOf(
  { id, purpose, publicPart, createdAt, expiresAt, state }: Exclude<KeyParts, { readonly purpose: 'ca' }>,
  now: number,
): RegisteredCertificate {
  const { kty, crv, x, y } = publicPart as Readonly<Record<string, string>>;
  const thumbprint = JSON.stringify(kty === 'EC' ? { crv, kty, x, y } : { crv, kty, x });
  return {
    ...{ id, purpose: 'signing', use: `${SIGNS[purpose]}: ${state}`, names: [], subject: '', issuer: '', chain: '' },
    fingerprint: createHash('sha256').update(thumbprint).digest('base64url'),
    ...timesOf({ beginsAt: createdAt, endsAt: expiresAt, warnsAt: expiresAt - 180 * DAY_MS }, now),
    ...{ renewedBy: 'operator', trouble: null },
  };
}

const TRUSTED: Readonly<Record<string, string>> = {
  database: 'its database',
  redis: 'Redis',
  journal: 'the database of the journal',
};

function shownBy(holder: string, { place, chain, renewedBy, trouble }: SeenCertificate, now: number) {
  const [kind = '', ...rest] = holder.split('/');
  const name = rest.join('/');
  const isProxy = kind === 'proxy';
  const [, trusting] = /^trusted\/([a-z]+)/.exec(place) ?? [];
  if (trusting !== undefined) {
    const use = `node ${name} trusts ${TRUSTED[trusting] ?? trusting} by it`;
    return of(chain, now, { id: `${holder}/${place}`, purpose: 'trusted CA', use, renewedBy, trouble });
  }
  const purpose = !isProxy ? 'listener' : place === 'public' ? 'public listener' : 'Proxy';
  const use = !isProxy
    ? `the ${place} listener of node ${name}`
    : place === 'public'
      ? `the listener for devices of Proxy ${name}`
      : `who Proxy ${name} is to Security`;
  return of(chain, now, { id: `${holder}/${place}`, purpose, use, renewedBy, trouble });
}

function trustedBy(trusting: string, use: string, pem: string | undefined, now: number): RegisteredCertificate[] {
  if (pem === undefined) return [];
  const parts = pem.match(/-----BEGIN [\s\S]*?-----END [A-Z ]*-----/g) ?? [pem];
  return parts.map((part, at) => {
    const id = parts.length === 1 ? `trusted/${trusting}` : `trusted/${trusting}/${at + 1}`;
    return of(part, now, { id, purpose: 'trusted CA', use, renewedBy: 'operator' });
  });
}

function of(chain: string, now: number, { trouble = null, ...known }: Known): RegisteredCertificate {
  const leaf = readable(chain);
  if (leaf instanceof CertificateError) return unreadable(known, leaf);
  return {
    ...known,
    names: hostsOf(leaf).map(line),
    subject: line(leaf.subject),
    issuer: line(leaf.issuer),
    fingerprint: leaf.fingerprint256,
    ...timesOf(lifeOf(chain), now),
    trouble,
    chain,
  };
}

function readable(chain: string) {
  try {
    return certificatesOf(chain)[0];
  } catch (error) {
    if (error instanceof CertificateError) return error;
    throw error;
  }
}

/** What was stored before it was looked at. */
function unreadable(known: Known, { message }: CertificateError): RegisteredCertificate {
  const times = { beginsAt: 0, endsAt: 0, warnsAt: 0, daysLeft: 0 };
  return { ...known, ...times, names: [], subject: '', issuer: '', fingerprint: '', trouble: message, chain: '' };
}

function line(text: string): string {
  return text
    .replaceAll('\n', ', ')
    .replace(/[\p{Cc}]/gu, '?')
    .slice(0, 512);
}

function timesOf(life: CertificateLife, now: number): CertificateLife & { readonly daysLeft: number } {
  return { ...life, daysLeft: Math.floor((life.endsAt - now) / DAY_MS) };
}

/** What of the registry is worth a word. Nodes tell of their own listeners and the CA themselves. */
export function certificateWords(all: readonly RegisteredCertificate[], now: number): string[] {
  return all
    .filter(({ purpose }) => purpose !== 'listener' && purpose !== 'CA')
    .flatMap(({ id, trouble, ...life }) => {
      const ends = endWords(life, now);
      return [
        ...(ends === undefined ? [] : [`the certificate ${id} ${ends}`]),
        ...(trouble === null ? [] : [`a new certificate ${id} is refused: ${trouble}`]),
      ];
    })
    .slice(0, MAX_WORDS);
}

/** Words of the status at most. */
const MAX_WORDS = 32;

/** How many there are, and which ends first of those that nobody renews by themselves: for the status. */
export function certificatesView(all: readonly RegisteredCertificate[]): StatusView['certificates'] {
  const first = all.filter(({ renewedBy }) => renewedBy !== 'itself').toSorted((a, b) => a.endsAt - b.endsAt)[0];
  return {
    count: all.length,
    firstEnd: first === undefined ? null : { id: first.id, endsAt: first.endsAt, daysLeft: first.daysLeft },
  };
}

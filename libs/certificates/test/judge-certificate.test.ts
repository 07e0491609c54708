import { selfSigned, TestAuthority } from '@sallyport/support';
import { expect, test } from 'vitest';
import {
  type CertificateDemands,
  CertificateError,
  type CertificatePair,
  certificatesOf,
  judgeCertificate,
  lifeOf,
} from '../src/index.ts';

/** A moment on: some are made now. */
const now = Date.now() + 60_000;
const DAY = 86_400_000;
const corp = await TestAuthority.create('Corp CA');
/** Of the same name, but somebody else's. */
const twin = await TestAuthority.create('Corp CA');
const other = await TestAuthority.create('Other CA');
const below = await TestAuthority.create('Corp issuing CA', corp);
const names = ['gate.example', '10.1.2.3'];
const inUse = await corp.issue({ names });
const good = await corp.issue({ names });
const chained = await below.issue({ names });
const shortLived = await TestAuthority.create('Corp CA of a month', corp, now + 30 * DAY);
/** As between a balancer and Proxies. */
const inside = ['proxy-1.internal'];

function why(pair: CertificatePair, demands: Partial<CertificateDemands> = {}): string {
  try {
    judgeCertificate(pair, { now, use: 'server', ...demands });
    return 'taken';
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error;
    expect(error.message).not.toContain('PRIVATE');
    return error.why;
  }
}

test.each<[what: string, pair: CertificatePair, demands: Partial<CertificateDemands>, expected: string]>([
  ['the next one of the same CA', good, { inUse }, 'taken'],
  ['one by a CA below, with its chain', chained, { inUse, trusted: corp.certificate }, 'taken'],
  [
    'one with one name fewer, where nobody says which are needed',
    await corp.issue({ names: ['gate.example'] }),
    { inUse },
    'taken',
  ],
  [
    'one of another CA that is named as trusted',
    await other.issue({ names }),
    { inUse, trusted: other.certificate },
    'taken',
  ],
  ['the first one, whoever issued it', await other.issue({ names }), {}, 'taken'],
  [
    'a wildcard in the place of one',
    await corp.issue({ names: ['*.corp.example'] }),
    { inUse: await corp.issue({ names: ['*.corp.example'] }), names: ['gate.corp.example'] },
    'taken',
  ],
  ['one that signs itself', selfSigned('gate.example'), {}, 'taken'],
  [
    'the next one for names of its own, where a balancer has those of clients',
    await corp.issue({ names: inside }),
    { inUse: await corp.issue({ names: inside }), names: ['gate.example'] },
    'taken',
  ],
  [
    'one for the name that clients use by now',
    await corp.issue({ names: ['new.example'] }),
    { inUse, names: ['new.example'] },
    'taken',
  ],
  ['one that names its host in the subject only', selfSigned('gate.example', { extensions: [] }), {}, 'wrong name'],
  ['one of a CA in the place of a server', selfSigned('gate.example', { issuer: selfSigned('root') }), {}, 'wrong use'],
  [
    'one whose key signs certificates alone',
    selfSigned('gate.example', { extensions: ['subjectAltName=DNS:gate.example', 'keyUsage=critical,keyCertSign'] }),
    {},
    'wrong use',
  ],
  ['an empty file', { ...good, certificate: ' \n' }, { inUse }, 'empty'],
  ['an empty key', { ...good, key: '' }, { inUse }, 'empty'],
  ['no PEM', { ...good, certificate: 'x' }, { inUse }, 'no certificate'],
  ['one that is cut off', { ...good, certificate: good.certificate.slice(0, 300) }, { inUse }, 'no certificate'],
  [
    'a chain that is cut off',
    { ...chained, certificate: chained.certificate.slice(0, -120) },
    { inUse },
    'no certificate',
  ],
  ['no key', { ...good, key: good.certificate }, { inUse }, 'no key'],
  ['a key that is cut off', { ...good, key: good.key.slice(0, 60) }, { inUse }, 'no key'],
  ['the key of another one', { ...good, key: chained.key }, { inUse }, 'wrong key'],
  ['one that is over', await corp.issue({ names, until: now - 1 }), { inUse }, 'over'],
  ['one that is not good yet', await corp.issue({ names, from: now + DAY }), { inUse }, 'not yet good'],
  ['one for clients', await corp.issue({ names, use: 'client' }), { inUse }, 'wrong use'],
  ['one for other names', await corp.issue({ names: ['other.example'] }), { inUse }, 'wrong name'],
  [
    'one without a needed name',
    await corp.issue({ names: ['10.1.2.3'] }),
    { inUse, names: ['gate.example'] },
    'wrong name',
  ],
  ['one without a needed name at the start', good, { names: ['gate2.example'] }, 'wrong name'],
  ['one of another CA', await other.issue({ names }), { inUse }, 'untrusted'],
  ['one of another CA of the same name', await twin.issue({ names }), { inUse }, 'untrusted'],
  ['one of a CA that is not named as trusted', good, { trusted: other.certificate }, 'untrusted'],
  [
    'a chain in the wrong order',
    { ...good, certificate: good.certificate + other.certificate },
    { inUse },
    'broken chain',
  ],
])('%s', (_what, pair, demands, expected) => {
  expect(why(pair, demands)).toBe(expected);
});

test('what is taken has the chain alone, whatever stood in its file, and ends with the first certificate of it', async () => {
  const pair = await shortLived.issue({ names });
  const file = `words\n${pair.key}\n${pair.certificate}\n${pair.key}\n`;
  const { certificate, endsAt } = judgeCertificate({ certificate: file, key: file }, { now, use: 'server' });
  expect(certificate).not.toMatch(/PRIVATE|words/);
  expect(certificatesOf(certificate)).toHaveLength(2);
  expect(Math.abs(endsAt - (now + 30 * DAY))).toBeLessThan(1_000);
  expect(lifeOf(certificate).endsAt).toBe(endsAt);
});

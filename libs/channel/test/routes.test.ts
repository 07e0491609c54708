import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { formatHex, parseHex } from '../src/bytes.ts';
import { CborFields, type CborInput, encodeCbor } from '../src/cbor.ts';
import { keyOf, type SessionSecret } from '../src/crypto.ts';
import { nobleCrypto } from '../src/crypto-noble.ts';
import { ChannelError } from '../src/errors.ts';
import { MAX_ROUTES_BYTES, openRoutes, type Routes, readRoutes, routesToCbor, sealRoutes } from '../src/routes.ts';
import { counting } from './counting.ts';
import { providers, runSeed, seededBytes, seededRandom } from './providers.ts';

const file = new URL('../vectors/routes.json', import.meta.url);
const EPOCH = '0123456789abcdef0123456789abcdef';
const ROUTES: Routes = {
  epoch: EPOCH,
  asOf: 41,
  routes: [
    { name: 'wiki', kind: 'http', authority: 'wiki.corp', title: 'The wiki', sites: [['b'], ['a']] },
    { name: 'db', kind: 'tcp', authority: 'db.corp:5432', sites: [['a', 'b'], ['c']] },
    { name: 'apps', kind: 'http', authority: '*.apps.corp', sites: [['a']] },
  ],
};

interface Vector {
  readonly session_secret: string;
  readonly sid: string;
  /** What `resources` and the rest say. */
  readonly routes: unknown;
  readonly cbor: string;
  readonly sealed: string;
  /** In place of `sealed`: nothing of them is taken. */
  readonly refused: readonly string[];
}

function make(start: number, routes: Routes): Vector {
  const secret = keyOf<SessionSecret>(Uint8Array.from({ length: 32 }, (_, i) => start + i));
  const sid = Uint8Array.from({ length: 16 }, (_, i) => start + 100 + i);
  const sealed = sealRoutes(counting(start), { secret, sid }, routes);
  const flipped = (at: number): Uint8Array => sealed.map((byte, i) => (i === at ? byte ^ 1 : byte));
  const others = [0, 31, 32, sealed.length - 1].map(flipped);
  const foreign = sealRoutes(counting(start), { secret, sid: sid.map((byte) => byte ^ 1) }, routes);
  return {
    session_secret: formatHex(secret),
    sid: formatHex(sid),
    routes: routesToCbor(routes),
    cbor: formatHex(encodeCbor(routesToCbor(routes))),
    sealed: formatHex(sealed),
    refused: [...others, foreign, sealed.subarray(0, -1), sealed.subarray(0, 48)].map((bytes) => formatHex(bytes)),
  };
}

const made = [make(0, ROUTES), make(64, { ...ROUTES, asOf: 0, routes: [] })];

test('the code still gives the published vectors of routes', () => {
  if (process.env['WRITE_VECTORS']) writeFileSync(file, `${JSON.stringify(made, null, 1)}\n`);
  expect(JSON.parse(JSON.stringify(made))).toEqual(JSON.parse(readFileSync(file, 'utf8')));
});

test('every provider opens routes of the vectors, and takes nothing else for them', () => {
  for (const crypto of providers) {
    for (const vector of JSON.parse(readFileSync(file, 'utf8')) as Vector[]) {
      const of = { secret: keyOf<SessionSecret>(parseHex(vector.session_secret)), sid: parseHex(vector.sid) };
      const routes = openRoutes(crypto, of, parseHex(vector.sealed));
      expect(routesToCbor(routes)).toEqual(vector.routes);
      expect(readRoutes(CborFields.decode(parseHex(vector.cbor)))).toEqual(routes);
      for (const refused of vector.refused)
        expect(() => openRoutes(crypto, of, parseHex(refused))).toThrow(ChannelError);
    }
  }
});

test('what is sealed says neither how many resources there are nor how they are called', () => {
  const crypto = nobleCrypto();
  const of = { secret: keyOf<SessionSecret>(new Uint8Array(32).fill(7)), sid: new Uint8Array(16) };
  const [two, one] = [ROUTES.routes.slice(0, 2), ROUTES.routes.slice(0, 1)].map((routes) =>
    sealRoutes(crypto, of, { ...ROUTES, routes }),
  );
  expect(two!.length).toBe(one!.length);
  expect(Buffer.from(two!).includes('wiki')).toBe(false);
  expect(sealRoutes(crypto, of, ROUTES)).not.toEqual(sealRoutes(crypto, of, ROUTES));
});

test('of routes that fit into no message the first ones are sealed, with the word that there are more', () => {
  const route = (i: number) => ({ ...ROUTES.routes[0]!, name: `r${i}`, authority: `r${i}.corp` });
  const of = { secret: keyOf<SessionSecret>(new Uint8Array(32)), sid: new Uint8Array(16) };
  const crypto = nobleCrypto();
  const told = (count: number): Routes => {
    const sealed = sealRoutes(crypto, of, { ...ROUTES, routes: Array.from({ length: count }, (_, i) => route(i)) });
    expect(sealed.length).toBeLessThanOrEqual(MAX_ROUTES_BYTES);
    return openRoutes(crypto, of, sealed);
  };
  expect(told(500)).toMatchObject({ routes: { length: 500 } });
  expect(told(500).more).toBeUndefined();
  for (const count of [2_000, 5_000]) {
    const { routes, more } = told(count);
    expect(more).toBe(true);
    expect(routes.length).toBeGreaterThan(500);
    expect(routes.at(-1)).toEqual(route(routes.length - 1));
  }
});

const WIKI = { name: 'wiki', kind: 'http', authority: 'wiki.corp', sites: [['a']] };
const malformed: readonly (readonly [why: string, plain: CborInput])[] = [
  ['another version', { v: 2, epoch: EPOCH, as_of: 1, resources: [] }],
  ['no epoch', { v: 1, as_of: 1, resources: [] }],
  ['an epoch that is none', { v: 1, epoch: EPOCH.toUpperCase(), as_of: 1, resources: [] }],
  ['no index', { v: 1, epoch: EPOCH, resources: [] }],
  ['an unknown kind', { v: 1, epoch: EPOCH, as_of: 1, resources: [{ ...WIKI, kind: 'udp' }] }],
  ['no sites', { v: 1, epoch: EPOCH, as_of: 1, resources: [{ ...WIKI, sites: [] }] }],
  ['an empty rank', { v: 1, epoch: EPOCH, as_of: 1, resources: [{ ...WIKI, sites: [['a'], []] }] }],
  ['a rank that is a name', { v: 1, epoch: EPOCH, as_of: 1, resources: [{ ...WIKI, sites: ['a'] }] }],
  ['a site twice', { v: 1, epoch: EPOCH, as_of: 1, resources: [{ ...WIKI, sites: [['a'], ['b', 'a']] }] }],
  ['a site without a name', { v: 1, epoch: EPOCH, as_of: 1, resources: [{ ...WIKI, sites: [['']] }] }],
];

test.each(malformed)('refused as SPEC says: routes with %s', (_why, plain) => {
  const read = (): Routes => readRoutes(CborFields.decode(encodeCbor(plain)));
  expect(read).toThrow(expect.objectContaining({ code: 'ERR_CHANNEL_CBOR' }));
});

test('fields of a later version are ignored', () => {
  const plain = { v: 1, epoch: EPOCH, as_of: 1, later: 1, resources: [{ ...WIKI, later: [1] }] };
  const { routes } = readRoutes(CborFields.decode(encodeCbor(plain)));
  expect(routes).toEqual([WIKI]);
});

test('random bytes in place of routes end in an error of the channel, never in another one', () => {
  const seed = runSeed();
  const [random, bytes] = [seededRandom(seed), seededBytes(seed)];
  const of = { secret: keyOf<SessionSecret>(bytes(32)), sid: bytes(16) };
  for (let round = 0; round < 300; round++) {
    expect(() => openRoutes(nobleCrypto(), of, bytes(Math.floor(random() * 600)))).toThrow(ChannelError);
  }
});

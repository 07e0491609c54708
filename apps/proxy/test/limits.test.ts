import { createLog, createMetrics, createRefusals, type Refusals } from '@sallyport/telemetry';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { deviceAddress } from '../src/app.ts';
import { SocketAdmission } from '../src/device/admission.ts';
import { Pieces } from '../src/streams/pieces.ts';

/** Notes every limit that is met. */
function noting(): Refusals & { readonly limits: string[] } {
  const limits: string[] = [];
  return { limits, met: (limit) => void limits.push(limit) };
}

/** So many sockets of addresses; says which of them were ended to make room. */
function crowd(admission: SocketAdmission, addresses: readonly (string | undefined)[]) {
  const ended: number[] = [];
  const places = addresses.map((address, i) => admission.enter(address, () => void ended.push(i)));
  return { places, ended };
}

test('one address never takes the places of others, and strangers never those of channels', () => {
  const refusals = noting();
  const admission = new SocketAdmission(
    { maxSockets: 80, socketsPerAddress: 1_000, hellosPerAddress: 10, opensPerSession: 5 },
    refusals,
  );
  const other = crowd(admission, ['192.0.2.1']);
  const attacker = crowd(
    admission,
    Array.from({ length: 200 }, (_, i) => `2001:db8::${i.toString(16)}`),
  );
  expect(attacker.ended).toEqual(Array.from({ length: 190 }, (_, i) => i));
  expect(other.ended).toEqual([]);
  expect(admission.strangers).toBe(11);
  expect(refusals.limits[0]).toBe('sockets of an address');
  const proven = crowd(admission, ['192.0.2.1']);
  proven.places[0]!.leave();
  const many = crowd(
    admission,
    Array.from({ length: 200 }, (_, i) => `198.51.100.${i}`),
  );
  expect(admission.strangers).toBe(40);
  expect(refusals.limits.at(-1)).toBe('sockets without a channel');
  expect([other.ended, proven.ended, many.ended.length]).toEqual([[0], [], 160]);
  for (const place of [...attacker.places, ...other.places, ...many.places]) place.leave();
  expect(admission.strangers).toBe(0);
});

test('behind a load balancer a socket counts for the address that it names', () => {
  const admission = new SocketAdmission(
    { maxSockets: 80, socketsPerAddress: 2, hellosPerAddress: 10, opensPerSession: 5 },
    noting(),
  );
  const { places, ended } = crowd(admission, [undefined, undefined, undefined, undefined]);
  for (const place of places) place.belongsTo('192.0.2.1');
  expect(ended).toEqual([0, 1]);
  places[0]!.belongsTo('192.0.2.1');
  for (const place of places) place.leave();
  expect([admission.strangers, ended]).toEqual([0, [0, 1]]);
});

test('HELLOs that open nothing are counted by address; those that open a channel are not', () => {
  const refusals = noting();
  const limits = { maxSockets: 80, socketsPerAddress: 10, hellosPerAddress: 20, opensPerSession: 1_000 };
  const admission = new SocketAdmission(limits, refusals);
  const from = (address: string) => ({ address, sid: 'a' });
  for (let i = 0; i < 500; i++) {
    expect(admission.helloWaitMs(from('192.0.2.1'), 0)).toBe(0);
    admission.proved(from('192.0.2.1'), 0);
  }
  for (let i = 0; i < 20; i++) expect(admission.helloWaitMs(from(`2001:db8::${i}`), 0)).toBe(0);
  expect(admission.helloWaitMs(from('2001:db8::ffff'), 0)).toBeGreaterThan(0);
  expect(admission.helloWaitMs(from('2001:db8:0:1::1'), 0)).toBe(0);
  expect(admission.helloWaitMs(from('2001:db8::ffff'), 1_000)).toBe(0);
  expect(refusals.limits).toEqual(['HELLOs of an address']);
});

test('a session that opens channels without end waits; who only names it does not make it wait', () => {
  const refusals = noting();
  const limits = { maxSockets: 80, socketsPerAddress: 10, hellosPerAddress: 1_000, opensPerSession: 60 };
  const admission = new SocketAdmission(limits, refusals);
  const from = { address: '192.0.2.1', sid: 'a' };
  for (let i = 0; i < 500; i++) expect(admission.helloWaitMs({ address: '192.0.2.2', sid: 'a' }, 0)).toBe(0);
  for (let i = 0; i < 60; i++) {
    expect(admission.helloWaitMs(from, 0)).toBe(0);
    admission.proved(from, 0);
  }
  expect(admission.helloWaitMs(from, 0)).toBe(1_000);
  expect(admission.helloWaitMs({ ...from, sid: 'b' }, 0)).toBe(0);
  expect(admission.helloWaitMs(from, 1_000)).toBe(0);
  expect(refusals.limits).toEqual(['channels opened by a session']);
});

test('an address from a header is one; where a balancer names none, the device is not where that is', () => {
  const from = (forwarded: string | undefined, hops = 1): string =>
    deviceAddress(
      { headers: { 'x-forwarded-for': forwarded }, socket: { remoteAddress: '::ffff:10.0.0.9' } } as never,
      hops,
    );
  expect(from('203.0.113.7')).toBe('203.0.113.7');
  expect(from('8.8.8.8, 203.0.113.7')).toBe('203.0.113.7');
  expect(from('203.0.113.7, 10.1.1.1', 2)).toBe('203.0.113.7');
  expect(from('[2001:db8::1]:4711')).toBe('2001:db8:0:0:0:0:0:1');
  expect(from('203.0.113.7:4711')).toBe('203.0.113.7');
  for (const bad of ['', 'unknown', 'x'.repeat(5_000), '1.2.3.4;proto=https', '"1.2.3.4"', '1.2.3.4 5.6.7.8'])
    expect(from(bad), bad).toBe('unknown');
  // Who went past the outer balancer, with a header or without one.
  expect(from(undefined, 2)).toBe('unknown');
  expect(from('203.0.113.7', 2)).toBe('unknown');
  expect(from('203.0.113.7', 0)).toBe('10.0.0.9');
});

test('pieces come out as they went in, in few parts', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 6_000 }), fc.constantFrom('flush', 'keep', 'more'))),
      (steps) => {
        const out: Buffer[] = [];
        const pieces = new Pieces((bytes) => void out.push(Buffer.from(bytes)));
        const sent: Buffer[] = [];
        for (const [i, [size, then]] of steps.entries()) {
          const lent = Buffer.alloc(size, i);
          sent.push(Buffer.from(lent));
          pieces.add(lent);
          if (then === 'more') continue;
          if (then === 'flush') pieces.flush();
          else pieces.keep();
          lent.fill(0xee);
        }
        pieces.flush();
        expect(Buffer.compare(Buffer.concat(out), Buffer.concat(sent))).toBe(0);
      },
    ),
  );
  const out: Uint8Array[] = [];
  const pieces = new Pieces((bytes) => void out.push(bytes));
  for (let i = 0; i < 10_000; i++) pieces.add(Uint8Array.of(i));
  pieces.flush();
  expect(out.length).toBeLessThan(4);
});

test('a flood of refusals is one line in ten seconds, and all of them are counted', async () => {
  const lines: string[] = [];
  const metrics = createMetrics();
  let now = 0;
  const kind = { metric: 'limited_total', help: 'x', words: 'limit met' };
  const log = createLog('test', 'info', { write: (line) => void lines.push(line) });
  const refusals = createRefusals(kind, { log, metrics, now: () => now });
  for (let i = 0; i < 1_000; i++) refusals.met('sockets', { address: '192.0.2.1' });
  refusals.met('other');
  now = 10_000;
  refusals.met('sockets');
  expect(lines.map((line) => JSON.parse(line)).map(({ msg, times, level }) => [msg, times, level])).toEqual([
    ['limit met: sockets', 1, 40],
    ['limit met: other', 1, 40],
    ['limit met: sockets', 1_000, 40],
  ]);
  expect(await metrics.render()).toMatch(/limited_total\{why="sockets"\} 1001/);
});

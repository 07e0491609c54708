import { lookup } from 'node:dns/promises';
import pg from 'pg';
import { expect, test } from 'vitest';
import { isOutage, migrate } from '../src/index.ts';
import { startDatabase } from './real-postgres.ts';

const { server } = await startDatabase();

function answered(code: string): Error {
  return Object.assign(new pg.DatabaseError('said by the server', 18, 'error'), { code });
}

function failed(code: string): Error {
  return Object.assign(new Error('said by the system'), { code });
}

test.each([
  ['a server that goes down', answered('57P01'), true],
  ['a server that starts', answered('57P03'), true],
  ['a server with too many connections', answered('53300'), true],
  ['a standby', answered('25006'), true],
  ['a lock that was not to be had', answered('55P03'), true],
  ['a password', answered('28P01'), false],
  ['a host that may not connect', answered('28000'), false],
  ['a database that does not exist', answered('3D000'), false],
  ['a right that the role does not have', answered('42501'), false],
  ['a closed port', failed('ECONNREFUSED'), true],
  ['no way', failed('ENETUNREACH'), true],
  ['no socket', failed('ENOENT'), true],
  ['a name server that does not answer', failed('EAI_AGAIN'), true],
  ['a name that nobody knows', failed('ENOTFOUND'), true],
  ['a certificate of somebody else', failed('ERR_TLS_CERT_ALTNAME_INVALID'), false],
  ['a certificate of an unknown CA', failed('SELF_SIGNED_CERT_IN_CHAIN'), false],
  ['a certificate that has ended', failed('CERT_HAS_EXPIRED'), false],
  ['silence', new Error('timeout expired'), true],
  ['a pool that got none', new Error('timeout exceeded when trying to connect'), true],
  ['a cut', new Error('Connection terminated unexpectedly'), true],
  ['a fault of ours', new TypeError('x is not a function'), false],
  ['nothing', undefined, false],
])('%s', (_what, error, outage) => {
  expect(isOutage(error)).toBe(outage);
});

test('a real name that does not resolve is an outage', async () => {
  const error = await lookup('database.invalid').catch((cause: unknown) => cause);
  expect(isOutage(error)).toBe(true);
});

test('whoever comes for the schema hears whether waiting helps', async () => {
  const { address } = server;
  const away = migrate({ ...address, host: '/tmp/no-such-socket' }, undefined, 0);
  await expect(away).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' });
  const refused = migrate({ ...address, password: 'wrong' }, undefined, 0);
  await expect(refused).rejects.toMatchObject({ message: 'the database refuses the connection' });
});

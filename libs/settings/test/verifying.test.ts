import { expect, test } from 'vitest';
import { assertVerifying } from '../src/index.ts';

test('whoever tells Node to take any certificate, or TLS 1.0, is told to take that away', () => {
  expect(() => assertVerifying({}, 'TLSv1.2')).not.toThrow();
  expect(() => assertVerifying({ NODE_TLS_REJECT_UNAUTHORIZED: '1' }, 'TLSv1.3')).not.toThrow();
  expect(() => assertVerifying({ NODE_TLS_REJECT_UNAUTHORIZED: '0' }, 'TLSv1.2')).toThrow('take it away');
  expect(() => assertVerifying({}, 'TLSv1')).toThrow('--tls-min-v1.0');
});

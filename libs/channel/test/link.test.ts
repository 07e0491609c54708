import { expect, test } from 'vitest';
import { formatBase64Url } from '../src/bytes.ts';
import { type CborInput, encodeCbor } from '../src/cbor.ts';
import type { PublicKey } from '../src/crypto.ts';
import { type EnrolmentLink, formatLink, parseLink } from '../src/link.ts';

const LINK: EnrolmentLink = {
  origins: ['wss://a.example'],
  realm: 'main',
  kid: 1,
  rs: new Uint8Array(32) as PublicKey,
  root: new Uint8Array(32),
  code: '0000-0000000000000000',
  seq: 1,
};

test.each([{ site: 'b' }, { origin: 'wss://b.example:8443' }, { site: 'b', origin: 'ws://127.0.0.1:1' }])(
  'a link may fix its device: %o',
  (pin) => {
    expect(parseLink(formatLink('', { ...LINK, pin }))).toEqual({ ...LINK, pin });
  },
);

test.each([
  ['to nothing', {}],
  ['to what is no WebSocket origin', { origin: 'https://b.example' }],
  ['to what is no name', { site: 5 }],
  ['in another form', 'b'],
])('a link that fixes its device %s is none: the device must not go elsewhere', (_, pin) => {
  const fields = { v: 1, ...LINK, pin } as unknown as CborInput;
  expect(() => parseLink(formatBase64Url(encodeCbor(fields)))).toThrow(
    expect.objectContaining({ code: 'ERR_CHANNEL_LINK' }),
  );
});

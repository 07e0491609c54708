import 'reflect-metadata';
import { isIPv4 } from 'node:net';
import { Extension } from '@peculiar/x509';
import type { PermittedNames } from './permitted-names.ts';

const ID_NAME_CONSTRAINTS = '2.5.29.30';
/** Tags of DER and of GeneralName (RFC 5280, section 4.2.1.6). */
const SEQUENCE = 0x30;
const DNS_NAME = 0x82;
const IP_ADDRESS = 0x87;
const PERMITTED = 0xa0;
const EXCLUDED = 0xa1;
const BITS_V4 = 32;
const BITS_V6 = 128;

/**
 * The critical extension NameConstraints (RFC 5280, section 4.2.1.10): what a CA signs beyond it is good for nobody. What is of a kind
 * that nothing is permitted of is excluded whole: a constraint on one kind says nothing of the others.
 */
export function nameConstraints({ domains, addresses }: PermittedNames): Extension {
  const permitted = [
    ...domains.map((domain) => subtree(DNS_NAME, Buffer.from(domain))),
    ...addresses.map((address) => subtree(IP_ADDRESS, addressRange(address))),
  ];
  const none = [
    ...(domains.length === 0 ? [subtree(DNS_NAME, Buffer.alloc(0))] : []),
    ...(addresses.some(isIPv4) ? [] : [subtree(IP_ADDRESS, Buffer.alloc(BITS_V4 / 4))]),
    ...(addresses.some((address) => !isIPv4(address)) ? [] : [subtree(IP_ADDRESS, Buffer.alloc(BITS_V6 / 4))]),
  ];
  const parts = [tagged(PERMITTED, permitted), tagged(EXCLUDED, none)].filter((part) => part.length > 2);
  return new Extension(ID_NAME_CONSTRAINTS, true, tagged(SEQUENCE, parts));
}

function subtree(tag: number, name: Uint8Array): Buffer {
  return tagged(SEQUENCE, [tagged(tag, [name])]);
}

/** DER: tag, length in its shortest form, content. */
function tagged(tag: number, parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const size = content.length;
  const length = size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}

/** One address with a mask that leaves nothing else. */
function addressRange(address: string): Buffer {
  const bytes = isIPv4(address) ? Buffer.from(address.split('.').map(Number)) : bytesOfV6(address);
  return Buffer.concat([bytes, Buffer.alloc(bytes.length, 0xff)]);
}

function bytesOfV6(address: string): Buffer {
  // The parser of URLs writes every form in one: hexadecimal words.
  const plain = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [left = [], right = []] = plain.split('::').map((part) => part.split(':').filter(Boolean));
  const gap = Array.from({ length: 8 - left.length - right.length }, () => '0');
  const words = [...left, ...gap, ...right].map((word) => Number.parseInt(word, 16));
  return Buffer.from(words.flatMap((word) => [word >> 8, word & 0xff]));
}

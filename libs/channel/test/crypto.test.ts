import { expect, test } from 'vitest';
import { concat, encodeText, formatHex, parseHex } from '../src/bytes.ts';
import { type CryptoProvider, keyOf, publicKeyOf, type SecretKey, type Suite } from '../src/crypto.ts';
import { nobleCrypto } from '../src/crypto-noble.ts';
import { hkdfExpand, hkdfExtract } from '../src/schedule.ts';
import { providers, runSeed, seededBytes } from './providers.ts';
import { hasShared, readShared } from './third-party.ts';

interface WycheproofFile<T> {
  readonly testGroups: readonly ({
    readonly tests: readonly (T & { tcId: number; result: string; flags: string[] })[];
  } & Record<string, unknown>)[];
}

function cases<T>(file: string, keep: (group: Record<string, unknown>) => boolean = () => true) {
  const { testGroups } = readShared<WycheproofFile<T>>(`vectors/wycheproof/${file}`);
  return testGroups.filter(keep).flatMap((group) => group.tests.map((test) => ({ ...test, group })));
}

function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

interface AeadCase {
  key: string;
  iv: string;
  aad: string;
  msg: string;
  ct: string;
  tag: string;
}

test.runIf(hasShared).each([
  ['chacha20_poly1305_test.json', 1],
  ['aes_gcm_test.json', 2],
] as const)('seals and opens as Wycheproof says: %s', (file, suite: Suite) => {
  const fits = (group: Record<string, unknown>): boolean =>
    group['ivSize'] === 96 && group['keySize'] === 256 && group['tagSize'] === 128;
  const tests = cases<AeadCase>(file, fits);
  expect(tests.length).toBeGreaterThan(50);
  for (const vector of tests) for (const provider of providers) checkAead(provider, suite, vector);
});

function checkAead(provider: CryptoProvider, suite: Suite, vector: AeadCase & { result: string; tcId: number }): void {
  const key = provider.aead(suite, parseHex(vector.key));
  const sealed = parseHex(vector.ct + vector.tag);
  const opened = attempt(() => key.open(parseHex(vector.iv), parseHex(vector.aad), sealed));
  const label = `${provider.name} case ${vector.tcId}`;
  if (vector.result === 'invalid') return expect(opened, label).toBeUndefined();
  expect(formatHex(opened!), label).toBe(vector.msg);
  expect(formatHex(key.seal(parseHex(vector.iv), parseHex(vector.aad), parseHex(vector.msg))), label).toBe(
    formatHex(sealed),
  );
}

test.runIf(hasShared)('agrees on X25519 as Wycheproof says and refuses every all-zero result', () => {
  const tests = cases<{ public: string; private: string; shared: string }>('x25519_test.json');
  expect(tests.length).toBeGreaterThan(500);
  for (const vector of tests) {
    for (const provider of providers) {
      const shared = attempt(() =>
        provider.dh(keyOf<SecretKey>(parseHex(vector.private)), publicKeyOf(parseHex(vector.public))),
      );
      const zero = /^0+$/.test(vector.shared);
      expect(shared && formatHex(shared), `${provider.name} case ${vector.tcId}`).toBe(
        zero ? undefined : vector.shared,
      );
    }
  }
});

test.runIf(hasShared)('derives with HKDF and HMAC as Wycheproof says', () => {
  const tests = cases<{ ikm: string; salt: string; info: string; size: number; okm: string }>('hkdf_sha256_test.json');
  for (const vector of tests.filter(({ result, size }) => result === 'valid' && size <= 8_160)) {
    for (const provider of providers) {
      const key = hkdfExtract(provider, parseHex(vector.salt), parseHex(vector.ikm));
      expect(formatHex(hkdfExpand(provider, key, parseHex(vector.info), vector.size))).toBe(vector.okm);
    }
  }
  const macs = cases<{ key: string; msg: string; tag: string }>(
    'hmac_sha256_test.json',
    (group) => group['tagSize'] === 256,
  );
  for (const vector of macs.filter(({ result }) => result === 'valid')) {
    for (const provider of providers) {
      expect(formatHex(provider.hmacSha256(parseHex(vector.key), parseHex(vector.msg)))).toBe(vector.tag);
    }
  }
});

test.runIf(hasShared)('decapsulates ML-KEM-768 as Wycheproof says, from the seed', () => {
  const tests = cases<{ seed: string; c: string; K: string; ek?: string }>('mlkem_768_test.json');
  expect(tests.length).toBeGreaterThan(100);
  for (const vector of tests) {
    const shared = attempt(() =>
      nobleCrypto(() => parseHex(vector.seed))
        .generateKemKeyPair()
        .decapsulate(parseHex(vector.c)),
    );
    if (vector.result === 'valid') expect(formatHex(shared!), `case ${vector.tcId}`).toBe(vector.K);
    else expect(shared, `case ${vector.tcId}`).toBeUndefined();
  }
});

test.runIf(hasShared)('encapsulates ML-KEM-768 as Wycheproof says and refuses malformed keys everywhere', () => {
  for (const vector of cases<{ m: string; ek: string; c: string; K: string }>('mlkem_768_encaps_test.json')) {
    const made = attempt(() => nobleCrypto(() => parseHex(vector.m)).encapsulate(parseHex(vector.ek)));
    if (vector.result === 'valid') {
      expect(formatHex(made!.ciphertext)).toBe(vector.c);
      expect(formatHex(made!.sharedSecret)).toBe(vector.K);
      continue;
    }
    for (const provider of providers) {
      expect(
        attempt(() => provider.encapsulate(parseHex(vector.ek))),
        `${provider.name} ${vector.tcId}`,
      ).toBeUndefined();
    }
  }
});

interface AcvpFile {
  readonly testGroups: readonly { readonly testType: string; readonly tests: readonly Record<string, string>[] }[];
}

test.runIf(hasShared)('generates ML-KEM-768 keys as ACVP says', () => {
  const { testGroups } = readShared<AcvpFile>('vectors/acvp/ml-kem-768-keyGen.json');
  const tests = testGroups.flatMap((group) => group.tests);
  expect(tests.length).toBeGreaterThan(10);
  for (const { d, z, ek } of tests) {
    const pair = nobleCrypto(() => parseHex((d! + z!).toLowerCase())).generateKemKeyPair();
    expect(formatHex(pair.publicKey)).toBe(ek!.toLowerCase());
  }
});

// What every clone tests, whatever stands beside it: one example of each RFC, and what no provider may take.

test('every provider gives the bytes of RFC 7748, 5869, 4231 and 8439, and of the first GCM examples', () => {
  const [nine, zero] = [parseHex(`09${'00'.repeat(31)}`), new Uint8Array(32)];
  const text =
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
  const range = (from: number, count: number): Uint8Array => Uint8Array.from({ length: count }, (_, i) => from + i);
  for (const provider of providers) {
    expect(formatHex(provider.dh(keyOf<SecretKey>(nine), publicKeyOf(nine))), provider.name).toBe(
      '422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079',
    );
    const prk = hkdfExtract(provider, range(0, 13), new Uint8Array(22).fill(0x0b));
    expect(formatHex(hkdfExpand(provider, prk, range(0xf0, 10), 42))).toBe(
      '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
    );
    expect(formatHex(provider.hmacSha256(new Uint8Array(20).fill(0x0b), encodeText('Hi There')))).toBe(
      'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
    );
    const nonce = parseHex('070000004041424344454647');
    const sealed = provider
      .aead(1, range(0x80, 32))
      .seal(nonce, parseHex('50515253c0c1c2c3c4c5c6c7'), encodeText(text));
    expect(formatHex(sealed.subarray(0, 16))).toBe('d31a8d34648e60db7b86afbc53ef7ec2');
    expect(formatHex(sealed.subarray(-16))).toBe('1ae10b594f09e26a7e902ecbd0600691');
    const gcm = provider.aead(2, zero).seal(new Uint8Array(12), new Uint8Array(0), new Uint8Array(16));
    expect(formatHex(gcm)).toBe('cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919');
  }
});

/** Points of small order, and what is the same modulo the prime: whoever takes one agrees with everybody. */
const SMALL_ORDER = [
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(31)}`,
  `00${'00'.repeat(30)}80`,
];

test.each(SMALL_ORDER)('no provider agrees on anything with the point %s', (point) => {
  for (const provider of providers) {
    const { secretKey } = provider.generateKeyPair();
    expect(
      attempt(() => provider.dh(secretKey, publicKeyOf(parseHex(point)))),
      provider.name,
    ).toBeUndefined();
  }
});

test('no provider takes a malformed key or ciphertext of ML-KEM-768', () => {
  for (const provider of providers) {
    const pair = provider.generateKemKeyPair();
    const { ciphertext } = provider.encapsulate(pair.publicKey);
    const beyond = Uint8Array.from(pair.publicKey);
    // A coefficient that is not below q = 3329.
    beyond.set([0xff, 0xff, 0xff], 0);
    for (const key of [beyond, pair.publicKey.subarray(1), concat(pair.publicKey, Uint8Array.of(0)), new Uint8Array(0)])
      expect(
        attempt(() => provider.encapsulate(key as never)),
        provider.name,
      ).toBeUndefined();
    for (const message of [ciphertext.subarray(1), concat(ciphertext, Uint8Array.of(0)), new Uint8Array(0)])
      expect(
        attempt(() => pair.decapsulate(message)),
        provider.name,
      ).toBeUndefined();
    // A damaged one opens to something else, and tells nobody so (FIPS 203, implicit rejection).
    const damaged = Uint8Array.from(ciphertext);
    damaged[7]! ^= 1;
    expect(formatHex(pair.decapsulate(damaged))).not.toBe(formatHex(pair.decapsulate(ciphertext)));
  }
});

test('every provider gives the same bytes and opens what another sealed', () => {
  const bytes = seededBytes(runSeed());
  for (const size of [0, 1, 63, 64, 1_024, 16_383, 16_384, 65_519]) {
    for (const suite of [1, 2] as const) {
      const [key, nonce, ad, plaintext] = [bytes(32), bytes(12), bytes(size % 40), bytes(size)];
      const sealed = providers.map((provider) => provider.aead(suite, key).seal(nonce, ad, plaintext));
      expect(new Set(sealed.map(formatHex)).size).toBe(1);
      for (const provider of providers) {
        expect(formatHex(provider.aead(suite, key).open(nonce, ad, sealed[0]!))).toBe(formatHex(plaintext));
      }
    }
  }
});

test('sealing into given memory and opening in place give the same bytes, and damage is refused there too', () => {
  const bytes = seededBytes(runSeed());
  for (const size of [0, 1, 200, 1_200, 65_519]) {
    for (const provider of providers) {
      for (const suite of [1, 2] as const) {
        const [nonce, ad, plaintext] = [bytes(12), bytes(size % 7), bytes(size)];
        const key = provider.aead(suite, bytes(32));
        const sealed = key.seal(nonce, ad, plaintext);
        const memory = new Uint8Array(size + 24).fill(0xee);
        expect(formatHex(key.seal(nonce, ad, plaintext, memory.subarray(4, size + 20)))).toBe(formatHex(sealed));
        expect(formatHex(memory)).toBe(`eeeeeeee${formatHex(sealed)}eeeeeeee`);
        const record = Uint8Array.from(sealed);
        expect(formatHex(key.open(nonce, ad, record, record.subarray(0, size)))).toBe(formatHex(plaintext));
        const damaged = Uint8Array.from(sealed);
        damaged[size]! ^= 1;
        expect(() => key.open(nonce, ad, damaged, damaged.subarray(0, size))).toThrow('the message does not open');
      }
    }
  }
});

test('every pair of providers agrees on X25519 and ML-KEM-768', () => {
  for (const a of providers) {
    for (const b of providers) {
      const [ka, kb] = [a.generateKeyPair(), b.generateKeyPair()];
      expect(formatHex(a.dh(ka.secretKey, kb.publicKey))).toBe(formatHex(b.dh(kb.secretKey, ka.publicKey)));
      const kem = a.generateKemKeyPair();
      const { ciphertext, sharedSecret } = b.encapsulate(kem.publicKey);
      expect(formatHex(kem.decapsulate(ciphertext))).toBe(formatHex(sharedSecret));
    }
  }
});

test('a shortened tag is refused by every provider', () => {
  for (const provider of providers) {
    for (const suite of [1, 2] as const) {
      const key = provider.aead(suite, new Uint8Array(32));
      const nonce = new Uint8Array(12);
      const sealed = key.seal(nonce, new Uint8Array(0), concat(new Uint8Array(8)));
      for (const length of [0, 4, 12, 15, sealed.length - 1]) {
        expect(() => key.open(nonce, new Uint8Array(0), sealed.subarray(0, length))).toThrow();
      }
    }
  }
});

test('every provider gives plain bytes: a Buffer writes itself into JSON in its own way, and its slices are Buffers', () => {
  for (const provider of providers) {
    const pair = provider.generateKeyPair();
    const kem = provider.generateKemKeyPair();
    const { ciphertext, sharedSecret } = provider.encapsulate(kem.publicKey);
    const given: Uint8Array[] = [
      provider.randomBytes(32),
      provider.sha256(Uint8Array.of(1)),
      provider.hmacSha256(new Uint8Array(32), Uint8Array.of(1)),
      provider.hmacSha256(new Uint8Array(65), Uint8Array.of(1)),
      ...[pair, provider.keyPairOf(Buffer.from(pair.secretKey))].flatMap((keys) => [keys.publicKey]),
      pair.secretKey,
      provider.dh(pair.secretKey, provider.generateKeyPair().publicKey),
      ...[kem.publicKey, ciphertext, sharedSecret, kem.decapsulate(ciphertext)],
    ];
    for (const suite of [1, 2] as const) {
      const key = provider.aead(suite, new Uint8Array(32));
      const sealed = key.seal(new Uint8Array(12), new Uint8Array(0), Uint8Array.of(1, 2, 3));
      given.push(sealed, key.open(new Uint8Array(12), new Uint8Array(0), Buffer.from(sealed)));
    }
    for (const [i, bytes] of given.entries()) expect(bytes.constructor, `${provider.name} ${i}`).toBe(Uint8Array);
  }
});

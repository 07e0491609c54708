import type { CryptoProvider } from '../src/crypto.ts';
import { nobleCrypto } from '../src/crypto-noble.ts';
import { nodeCrypto } from '../src/crypto-node.ts';
import { sodiumCrypto } from '../src/crypto-sodium.ts';

/** Every provider of this machine. sodium-native is an optional package, but the tests want it. */
export const providers: readonly CryptoProvider[] = [nobleCrypto(), nodeCrypto(), sodium()];

function sodium(): CryptoProvider {
  const provider = sodiumCrypto();
  if (!provider) throw new Error('sodium-native did not install: its provider cannot be tested');
  return provider;
}

/** Deterministic random numbers (mulberry32), so that a failing run can be repeated from its seed. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Deterministic bytes for vectors and mutations. */
export function seededBytes(seed: number): (length: number) => Uint8Array {
  const random = seededRandom(seed);
  return (length) => Uint8Array.from({ length }, () => Math.floor(random() * 256));
}

/** The seed of this run: SEED of the environment, or one of the clock. Printed, so that a failure can be repeated. */
export function runSeed(): number {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000_000);
  console.log(`seed ${seed} (repeat with SEED=${seed})`);
  return seed;
}

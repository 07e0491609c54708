import type { AppContext } from '../src/context.ts';

/** An app context with some facts unknown. */
export const CONTEXT: AppContext = {
  id: 'example.app',
  version: '1.2.3',
  build: '45',
  signer: new Uint8Array(32).fill(3),
  os: 'android',
  osVersion: '16',
  osPatch: '2026-11-01',
  model: 'Pixel',
  posture: { rooted: false, lockScreen: true },
  sdk: 'test/1',
};

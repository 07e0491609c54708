import type { AppContext } from '@sallyport/channel';

/** App context of the devices of these tests. */
export const CONTEXT: AppContext = {
  id: 'test',
  version: '1',
  build: '1',
  signer: new Uint8Array(32),
  os: 'linux',
  osVersion: '1',
  osPatch: '',
  model: 'test',
  posture: {},
  sdk: 'test',
};

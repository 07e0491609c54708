import { parseArgs } from 'node:util';
import type { CryptoProvider } from '@sallyport/channel';
import { nobleCrypto } from '@sallyport/channel/noble';
import { nodeCrypto } from '@sallyport/channel/node';
import { sodiumCrypto } from '@sallyport/channel/sodium';
import { Device, DeviceError } from '@sallyport/device';
import { fileStorage, nodeWebSocket } from '@sallyport/device/node';
import { CONTEXT } from './gateway.ts';

/** One process of a device: opens its file, does the steps in their order, prints the outcome of each as a line of JSON. */
const { values, positionals: steps } = parseArgs({
  allowPositionals: true,
  options: { crypto: { type: 'string' }, file: { type: 'string' }, link: { type: 'string' } },
});

const PROVIDERS: Readonly<Record<string, () => CryptoProvider | undefined>> = {
  node: () => nodeCrypto(),
  sodium: () => sodiumCrypto(),
  noble: () => nobleCrypto(),
};

const device = await Device.open({
  storage: fileStorage(values.file!),
  crypto: PROVIDERS[values.crypto!]!()!,
  webSocket: nodeWebSocket,
  context: () => CONTEXT,
});

const STEPS: Readonly<Record<string, (argument: string) => Promise<unknown>>> = {
  enroll: (password) => device.enroll(values.link!, { user: 'ada', password }),
  login: (password) => device.login({ user: 'ada', password }),
  resume: () => device.resume(),
  logout: () => device.logout(),
  fetch: async (url) => (await device.fetch(url)).status,
};

for (const step of steps) {
  const [name = '', argument = ''] = step.split('=');
  const outcome = await STEPS[name]!(argument).catch((error: unknown) =>
    error instanceof DeviceError ? error.code : String(error),
  );
  process.stdout.write(`${JSON.stringify({ [name]: outcome ?? 'ok' })}\n`);
}
device.close();

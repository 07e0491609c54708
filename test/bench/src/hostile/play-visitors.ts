import { setTimeout as sleep } from 'node:timers/promises';
import { serverCrypto } from '@sallyport/channel/sodium';
import { Device, memoryStorage } from '@sallyport/device';
import { CONTEXT } from '../load/channel-lane.ts';
import { type FarmDevice, webSocketFrom } from './farm-device.ts';
import { answerWith } from './players.ts';

const PAUSE_MS = 200;
/** How long one reads what the backend sends. */
const READ_MS = 3_000;
let visits = 0;

/** Devices that use the hostile backend all the time: several requests and a WebSocket at once. */
async function visit({ address, record }: FarmDevice): Promise<void> {
  const storage = memoryStorage();
  await storage.store(record);
  const webSocket = webSocketFrom(address);
  const device = await Device.open({ storage, crypto: serverCrypto(), webSocket, context: () => CONTEXT });
  await device.resume();
  for (let i = 0; i < 4; i++) void keepAsking(device);
  void keepTalking(device);
}

async function keepAsking(device: Device): Promise<never> {
  for (;;) {
    visits += 1;
    try {
      const signal = AbortSignal.timeout(READ_MS);
      const answer = await device.fetch('http://hostile.corp/', { signal });
      for await (const _ of answer.body ?? []);
    } catch {
      // Whatever it is.
    }
    await sleep(PAUSE_MS);
  }
}

async function keepTalking(device: Device): Promise<never> {
  for (;;) {
    visits += 1;
    const socket = device.webSocket('ws://hostile.corp/');
    const over = new Promise<void>((resolve) => socket.addEventListener('close', () => resolve()));
    socket.addEventListener('open', () => socket.send('hello'));
    await Promise.race([over, sleep(READ_MS)]);
    socket.close();
    await sleep(PAUSE_MS);
  }
}

answerWith(async (order: readonly FarmDevice[] | 'tries') => {
  if (order === 'tries') return `${visits} visits`;
  await Promise.all((order as readonly FarmDevice[]).map(visit));
  return 'begun';
});

import type { AppContext } from '@sallyport/channel';
import { nobleCrypto } from '@sallyport/channel/noble';
import { Device } from './device.ts';
import type { WebSocketLike } from './gateway/socket.ts';
import { indexedDbStorage } from './kept/indexed-db-storage.ts';
import type { DeviceStorage } from './kept/record.ts';
import type { Attest } from './sign-in/evidence.ts';

export { indexedDbStorage } from './kept/indexed-db-storage.ts';
export { type OpenedText, SealedDatabase } from './kept/sealed-database.ts';

/**
 * A device in a browser or a web view: portable crypto, IndexedDB, and a probe whenever the network comes back; `attest` as in
 * `DeviceOptions`.
 */
export async function openDevice(
  context: () => AppContext,
  storage: DeviceStorage = indexedDbStorage(),
  attest?: Attest,
): Promise<Device> {
  const device = await Device.open({
    storage,
    crypto: nobleCrypto(),
    webSocket: (url, protocol) => new WebSocket(url, protocol) as WebSocketLike,
    context,
    attest,
  });
  globalThis.addEventListener?.('online', () => device.networkChanged());
  globalThis.document?.addEventListener('visibilitychange', () => {
    if (globalThis.document.visibilityState === 'visible') device.networkChanged();
  });
  return device;
}

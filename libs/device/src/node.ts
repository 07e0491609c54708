import type { AppContext } from '@sallyport/channel';
import { MAX_MESSAGE_BYTES } from '@sallyport/channel';
import { serverCrypto } from '@sallyport/channel/sodium';
import { WebSocket } from 'ws';
import { Device } from './device.ts';
import type { WebSocketFactory } from './gateway/socket.ts';
import type { DeviceStorage } from './kept/record.ts';
import type { Attest } from './sign-in/evidence.ts';

export { fileStorage } from './kept/file-storage.ts';

/** WebSockets of `ws`: no compression, bounded messages. */
export const nodeWebSocket: WebSocketFactory = (url, protocol) =>
  new WebSocket(url, protocol, { perMessageDeflate: false, maxPayload: MAX_MESSAGE_BYTES, handshakeTimeout: 5_000 });

/** A device on Node, with the fastest crypto of this machine; `attest` as in `DeviceOptions`. */
export function openDevice(storage: DeviceStorage, context: () => AppContext, attest?: Attest): Promise<Device> {
  return Device.open({ storage, crypto: serverCrypto(), webSocket: nodeWebSocket, context, attest });
}

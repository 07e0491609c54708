import { MAX_MESSAGE_BYTES } from '@sallyport/channel';
import type { DeviceRecord, WebSocketFactory } from '@sallyport/device';
import { WebSocket } from 'ws';

/** A device with a session, as it is handed to the process that plays it. */
export interface FarmDevice {
  readonly user: string;
  /** Where it connects from: every device has an address of its own. */
  readonly address: string;
  readonly record: DeviceRecord;
}

/** Sockets that come from an address of this machine. */
export function webSocketFrom(localAddress: string): WebSocketFactory {
  return (url, protocol) =>
    new WebSocket(url, protocol, {
      perMessageDeflate: false,
      maxPayload: MAX_MESSAGE_BYTES,
      handshakeTimeout: 5_000,
      localAddress,
    });
}

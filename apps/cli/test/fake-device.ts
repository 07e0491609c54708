import type { AddressInfo, Server } from 'node:net';
import type { RequestHead } from '@sallyport/channel';
import type { Device } from '@sallyport/device';

/** Heads of the requests that fake devices were asked for. */
export const asked: RequestHead[] = [];

/** A device that answers everything itself. */
export function fakeDevice(over: Partial<Record<keyof Device, unknown>> = {}): Device {
  return {
    resources: [{ name: 't', kind: 'http', authority: 't.example' }],
    resume: async () => undefined,
    request: async (head: RequestHead) => {
      asked.push(head);
      const fields = [
        ['sallyport-error', 'BACKEND_UNREACHABLE'],
        ['sallyport-may-have-run', 'no'],
        ['x-own', 'kept'],
      ];
      return { status: 200, fields, body: new Blob(['served']).stream() };
    },
    webSocket: () => {
      const socket = { close: () => undefined, onclose: undefined as (() => void) | undefined, failure: undefined };
      setImmediate(() => socket.onclose?.());
      return socket;
    },
    connect: async () => {
      const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
      return { readable, writable, abort: () => undefined };
    },
    ...over,
  } as unknown as Device;
}

/** Starts a server on a port of 127.0.0.1 that it finds. */
export async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Device } from '@sallyport/device';
import { answer } from './answers.ts';
import { answerOf } from './refusal.ts';
import { answeredFields, forwardedFields, hasContent, type RequestTarget } from './target.ts';
import { carryDown } from './tunnel.ts';

/** One request of a local client through the gateway, at the pace of both ends. */
export async function relay(
  device: Device,
  call: {
    readonly request: IncomingMessage;
    readonly response: ServerResponse;
    readonly target: RequestTarget;
    /** As the client wrote it; undefined: as Node read it. */
    readonly method: string | undefined;
  },
): Promise<void> {
  const { request, response, target } = call;
  const abort = new AbortController();
  response.on('error', () => response.destroy());
  response.on('close', () => abort.abort());
  const method = call.method ?? request.method ?? 'GET';
  const head = { method, ...target, fields: forwardedFields(request) };
  const body = hasContent(request) ? (request as AsyncIterable<Uint8Array>) : undefined;
  try {
    const got = await device.request(head, body, abort.signal);
    response.writeHead(got.status, answeredFields(got.fields));
    sendHead(response);
    await carryDown(got.body, response);
  } catch (error) {
    if (!response.headersSent) return answer(request, response, answerOf(device, error));
    // A cut after the head can only be shown by cutting this connection too, and never by an end that looks like a good one.
    response.socket?.resetAndDestroy();
    response.destroy();
  }
}

const NOTHING = Buffer.alloc(0);

/**
 * Sends the head before anything of its content is there, byte by byte as it came: `flushHeaders` would write what is beyond ASCII, like
 * a file's name, in UTF-8 once more. Where no content may be, the end that follows sends it.
 */
function sendHead(response: ServerResponse): void {
  response.write(NOTHING);
}
